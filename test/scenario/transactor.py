"""Transactions of librdkafka: a writer that knows what became of each, and a program that reads,
works and writes with exactly-once."""

import contextlib
import ctypes
import threading
import time
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t
from ctypes import c_void_p

from rdkafka import Message, Producer, load

CONSUMER = 1
COMMITTED, ABORTED, UNKNOWN = "committed", "aborted", "unknown"
CALL_MS = 10_000
ASSIGN_PARTITIONS = -175  # what a rebalance is about; else it revokes


class TopicPartition(Structure):
    _fields_ = [("topic", c_char_p), ("partition", c_int32), ("offset", c_int64),
                ("metadata", c_void_p), ("metadata_size", c_size_t), ("opaque", c_void_p),
                ("error", c_int), ("private", c_void_p)]


class TopicPartitions(Structure):
    _fields_ = [("count", c_int), ("size", c_int), ("elements", POINTER(TopicPartition))]


ON_REBALANCE = CFUNCTYPE(None, c_void_p, c_int, POINTER(TopicPartitions), c_void_p)


class KafkaError(Exception):
    """What a call about transactions said."""

    def __init__(self, lib, error):
        self.code = lib.rd_kafka_error_code(error)
        self.is_fatal = bool(lib.rd_kafka_error_is_fatal(error))
        self.is_retriable = bool(lib.rd_kafka_error_is_retriable(error))
        self.must_abort = bool(lib.rd_kafka_error_txn_requires_abort(error))
        super().__init__(lib.rd_kafka_error_string(error).decode())
        lib.rd_kafka_error_destroy(error)


def load_transactions():
    lib = load()
    for name in ("init_transactions", "begin_transaction", "commit_transaction",
                 "abort_transaction", "send_offsets_to_transaction", "consumer_poll",
                 "consumer_group_metadata", "topic_partition_list_new", "incremental_assign",
                 "incremental_unassign", "rebalance_protocol"):
        getattr(lib, "rd_kafka_" + name).restype = c_void_p
    lib.rd_kafka_consumer_poll.restype = POINTER(Message)
    lib.rd_kafka_error_string.restype = c_char_p
    lib.rd_kafka_topic_name.restype = c_char_p
    lib.rd_kafka_rebalance_protocol.restype = c_char_p
    lib.rd_kafka_conf_set_rebalance_cb.restype = None
    for name in ("error_is_fatal", "error_is_retriable", "error_txn_requires_abort", "error_code",
                 "error_string", "error_destroy", "message_destroy",
                 "consumer_group_metadata_destroy", "topic_partition_list_destroy",
                 "topic_name"):
        getattr(lib, "rd_kafka_" + name).argtypes = [c_void_p]
    return lib


class TransactionalProducer(Producer):
    """A producer with a transactional.id, whose calls raise KafkaError."""

    def __init__(self, brokers, transactional_id, **settings):
        super().__init__(brokers, transactional_id=transactional_id, **settings)
        self.lib = load_transactions()

    def call(self, name, *words):
        error = getattr(self.lib, "rd_kafka_" + name)(self.handle, *words)
        if error:
            raise KafkaError(self.lib, error)

    def retried(self, name, *words, until_s=120):
        """Again where the library says that this helps."""
        end = time.monotonic() + until_s
        while True:
            try:
                return self.call(name, *words)
            except KafkaError as error:
                if not error.is_retriable or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def begin_life(self):
        self.retried("init_transactions", CALL_MS)

    def begin(self):
        self.call("begin_transaction")

    def commit(self):
        self.retried("commit_transaction", CALL_MS)

    def abort(self):
        self.retried("abort_transaction", CALL_MS)


class Client(threading.Thread):
    """Goes on until it is told to stop.  why: what made its lives end; error: what made it end."""

    def __init__(self, brokers, transactional_id):
        super().__init__(daemon=True)
        self.brokers, self.id = brokers, transactional_id
        self.lives, self.why, self.error = 0, [], None
        self.is_stopping = threading.Event()

    def stop(self, timeout_s=150):
        self.is_stopping.set()
        self.join(timeout_s)
        assert not self.is_alive(), f"{self.id} is stuck: {self.why[-3:]}"
        assert self.error is None, self.error


class Transactor(Client):
    """Writes transactions one after the other: `size` records each, over all partitions, valued
    ID-NUMBER-INDEX.  Every `abort_each`th is aborted on purpose.

    outcomes: {number: COMMITTED, ABORTED or UNKNOWN}, of each that was begun."""

    def __init__(self, brokers, topic, partitions, transactional_id, size=8, abort_each=5,
                 pause_s=0.02, **settings):
        super().__init__(brokers, transactional_id)
        self.settings = {"transaction_timeout_ms": 20_000, "message_timeout_ms": 20_000,
                         **settings}
        self.kafka_topic, self.partitions, self.pause_s = topic, partitions, pause_s
        self.size, self.abort_each = size, abort_each
        self.outcomes = {}

    def values(self, number):
        return [b"%s-%d-%d" % (self.id.encode(), number, index) for index in range(self.size)]

    def transact(self, producer, number):
        self.outcomes[number] = UNKNOWN
        producer.begin()
        for index, value in enumerate(self.values(number)):
            producer.send(self.kafka_topic, value, partition=(number + index) % self.partitions)
        if number % self.abort_each == self.abort_each - 1:
            producer.poll(20)
            producer.abort()
            self.outcomes[number] = ABORTED
            return
        try:
            producer.commit()
            self.outcomes[number] = COMMITTED
        except KafkaError as error:
            self.why.append(str(error))
            if not error.must_abort:
                raise
            producer.abort()
            self.outcomes[number] = ABORTED

    def live(self, number):
        """One producer, until it must not go on; returns the next number."""
        producer = TransactionalProducer(self.brokers, self.id, **self.settings)
        self.lives += 1
        try:
            producer.begin_life()
            while not self.is_stopping.is_set():
                number += 1
                self.transact(producer, number - 1)
                producer.poll(int(1000 * self.pause_s))
        except (KafkaError, RuntimeError) as error:
            self.why.append(str(error))
        finally:
            with contextlib.suppress(Exception):
                producer.close()
        return number

    def run(self):
        number = 0
        try:
            while not self.is_stopping.is_set():
                number = self.live(number)
            last = TransactionalProducer(self.brokers, self.id, **self.settings)
            last.begin_life()  # what is still open ends now
            last.close()
        except Exception as error:
            self.error = error

    def check(self, records):
        """`records`: [(partition, offset, key, value)] as a read_committed reader got them."""
        seen = {}
        for _, _, _, value in records:
            if value.startswith(self.id.encode() + b"-"):
                seen[value] = seen.get(value, 0) + 1
        twice = [value for value, times in seen.items() if times > 1]
        assert not twice, f"{len(twice)} records of transactions are there twice: {twice[:5]}"
        for number, outcome in self.outcomes.items():
            found = [value for value in self.values(number) if value in seen]
            assert outcome != COMMITTED or len(found) == self.size, \
                f"{len(found)} of {self.size} records of {self.id}-{number}, which was committed"
            assert outcome != ABORTED or not found, \
                f"{len(found)} records of {self.id}-{number}, which was aborted"
            assert len(found) in (0, self.size), \
                f"{self.id}-{number} is torn: {len(found)} of {self.size} records"
        known = {value for number in self.outcomes for value in self.values(number)}
        assert not set(seen) - known, "records that nobody wrote"


class Consumer:
    """A member of a group that reads what is committed, and commits nothing by itself.  revoked:
    {(topic, partition)} that it had to give back; whoever asks takes them out."""

    def __init__(self, brokers, group, topics, **settings):
        self.lib = load_transactions()
        conf = c_void_p(self.lib.rd_kafka_conf_new())
        text = ctypes.create_string_buffer(512)
        settings = {"bootstrap.servers": brokers, "group.id": group, "log_level": "2",
                    "enable.auto.commit": "false", "auto.offset.reset": "earliest",
                    "isolation.level": "read_committed", "reconnect.backoff.ms": "20",
                    "reconnect.backoff.max.ms": "200",
                    **{name.replace("_", "."): str(value) for name, value in settings.items()}}
        for name, value in settings.items():
            if self.lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), text, 512):
                raise ValueError(text.value.decode())
        self.revoked = set()
        self.on_rebalance = ON_REBALANCE(self.rebalance)  # kept: the library only borrows it
        self.lib.rd_kafka_conf_set_rebalance_cb(conf, self.on_rebalance)
        self.handle = c_void_p(self.lib.rd_kafka_new(CONSUMER, conf, text, 512))
        self.lib.rd_kafka_poll_set_consumer(self.handle)
        self.subscribe(topics)

    def rebalance(self, handle, error, partitions, opaque):
        """What the library does by itself where nobody asks, and a note of what is revoked."""
        handle, is_assigned = c_void_p(handle), error == ASSIGN_PARTITIONS
        if not is_assigned:
            self.revoked.update((it.topic.decode(), it.partition) for it in
                                partitions.contents.elements[:partitions.contents.count])
        if self.lib.rd_kafka_rebalance_protocol(handle) == b"COOPERATIVE":
            call = "incremental_assign" if is_assigned else "incremental_unassign"
            failed = getattr(self.lib, f"rd_kafka_{call}")(handle, partitions)
            if failed:
                self.lib.rd_kafka_error_destroy(failed)
        else:
            self.lib.rd_kafka_assign(handle, partitions if is_assigned else None)

    def subscribe(self, topics):
        wanted = c_void_p(self.lib.rd_kafka_topic_partition_list_new(len(topics)))
        for topic in topics:
            self.lib.rd_kafka_topic_partition_list_add(wanted, topic.encode(), c_int32(-1))
        error = self.lib.rd_kafka_subscribe(self.handle, wanted)
        self.lib.rd_kafka_topic_partition_list_destroy(wanted)
        assert error == 0, error

    def poll(self, timeout_ms):
        """(topic, partition, offset, value), or None."""
        message = self.lib.rd_kafka_consumer_poll(self.handle, timeout_ms)
        if not message:
            return None
        m = message.contents
        row = None
        if not m.error:
            row = (self.lib.rd_kafka_topic_name(m.topic).decode(), m.partition, m.offset,
                   ctypes.string_at(m.payload, m.size))
        self.lib.rd_kafka_message_destroy(message)
        return row

    @contextlib.contextmanager
    def offsets(self, following):
        """A list for the library of {(topic, partition): next offset}."""
        wanted = c_void_p(self.lib.rd_kafka_topic_partition_list_new(len(following)))
        for (topic, partition), offset in following.items():
            self.lib.rd_kafka_topic_partition_list_add(wanted, topic.encode(), c_int32(partition))
            self.lib.rd_kafka_topic_partition_list_set_offset(
                wanted, topic.encode(), c_int32(partition), c_int64(offset))
        try:
            yield wanted
        finally:
            self.lib.rd_kafka_topic_partition_list_destroy(wanted)

    def close(self):
        self.lib.rd_kafka_consumer_close(self.handle)
        self.lib.rd_kafka_destroy(self.handle)


class Worker(Client):
    """Reads one topic in a group and writes each record to another, with exactly-once.  After any
    error it begins anew, from what was committed.  Every `fail_each`th transaction ends in one, on
    purpose, when all of it has been sent, offsets too."""

    def __init__(self, brokers, group, source, target, transactional_id, fail_each=0, **settings):
        super().__init__(brokers, transactional_id)
        self.group, self.source, self.target = group, source, target
        self.settings, self.count, self.fail_each = settings, 0, fail_each
        self.begun = self.failed = 0

    def take(self, consumer):
        """Some rows.  What was read of a partition before it was revoked belongs to whoever has it
        next: committed now, by a member that is one again, it would be there twice."""
        rows, end = [], time.monotonic() + 0.2
        consumer.revoked.clear()
        while len(rows) < 50 and time.monotonic() < end:
            row = consumer.poll(50)
            if consumer.revoked:
                rows = [it for it in rows if it[:2] not in consumer.revoked]
                consumer.revoked.clear()
            if row:
                rows.append(row)
        return rows

    def work(self, consumer, producer):
        rows = self.take(consumer)
        if not rows:
            return
        producer.begin()
        for _, partition, _, value in rows:
            producer.send(self.target, value, partition=partition)
        following = {(topic, partition): offset + 1 for topic, partition, offset, _ in rows}
        metadata = c_void_p(consumer.lib.rd_kafka_consumer_group_metadata(consumer.handle))
        try:
            with consumer.offsets(following) as wanted:
                producer.retried("send_offsets_to_transaction", wanted, metadata, CALL_MS)
        finally:
            consumer.lib.rd_kafka_consumer_group_metadata_destroy(metadata)
        self.begun += 1
        if self.fail_each and self.begun % self.fail_each == 0:
            self.failed += 1
            raise RuntimeError("a failure on purpose")
        producer.commit()
        self.count += len(rows)

    def live(self):
        consumer = Consumer(self.brokers, self.group, [self.source], session_timeout_ms=6000,
                            **self.settings)
        producer = TransactionalProducer(self.brokers, self.id, transaction_timeout_ms=20_000,
                                         message_timeout_ms=20_000)
        self.lives += 1
        try:
            producer.begin_life()
            while not self.is_stopping.is_set():
                self.work(consumer, producer)
        except (KafkaError, RuntimeError) as error:
            self.why.append(str(error))
            with contextlib.suppress(KafkaError):
                producer.abort()
        finally:
            consumer.close()
            with contextlib.suppress(Exception):
                producer.close()

    def run(self):
        try:
            while not self.is_stopping.is_set():
                self.live()
        except Exception as error:
            self.error = error
