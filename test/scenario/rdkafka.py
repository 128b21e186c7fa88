"""librdkafka, the library behind kcat and many clients, as a producer that knows what was
acknowledged: kcat itself does not tell."""

import contextlib
import ctypes
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_void_p

PARTITION_ANY = -1
FLAG_COPY = 2
ERROR_QUEUE_FULL = -184
TEXT_BYTES = 512


class Message(Structure):
    _fields_ = [("error", c_int), ("topic", c_void_p), ("partition", c_int32),
                ("payload", c_void_p), ("size", c_size_t), ("key", c_void_p),
                ("key_size", c_size_t), ("offset", c_int64), ("private", c_void_p)]


ON_DELIVERY = CFUNCTYPE(None, c_void_p, POINTER(Message), c_void_p)
ON_ERROR = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_void_p)


def load():
    library = ctypes.CDLL("librdkafka.so.1")
    for name, result in (("conf_new", c_void_p), ("new", c_void_p), ("topic_new", c_void_p),
                         ("err2str", c_char_p), ("last_error", c_int), ("conf_set", c_int),
                         ("produce", c_int), ("poll", c_int), ("flush", c_int),
                         ("fatal_error", c_int), ("destroy", None), ("topic_destroy", None),
                         ("conf_set_dr_msg_cb", None), ("conf_set_error_cb", None),
                         ("outq_len", c_int)):
        getattr(library, "rd_kafka_" + name).restype = result
    return library


class Producer:
    """acknowledged: {value: (partition, offset)}, failed: {value: reason}; errors: what the library
    told the application besides, as sentences."""

    def __init__(self, brokers, **settings):
        self.lib = load()
        self.acknowledged, self.failed, self.topics = {}, {}, {}
        self.sent, self.errors = 0, []
        self.on_error = ON_ERROR(self.take_error)
        self.on_delivery = ON_DELIVERY(self.delivered)  # kept: the library only borrows it
        conf = c_void_p(self.lib.rd_kafka_conf_new())
        settings = {"bootstrap.servers": brokers, "acks": "all", "log_level": "2",
                    "reconnect.backoff.ms": "20", "reconnect.backoff.max.ms": "200",
                    "retry.backoff.ms": "50", "linger.ms": "2",
                    **{name.replace("_", "."): str(value) for name, value in settings.items()}}
        text = ctypes.create_string_buffer(TEXT_BYTES)
        for name, value in settings.items():
            if self.lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), text, TEXT_BYTES):
                raise ValueError(text.value.decode())
        self.lib.rd_kafka_conf_set_dr_msg_cb(conf, self.on_delivery)
        self.lib.rd_kafka_conf_set_error_cb(conf, self.on_error)
        self.handle = c_void_p(self.lib.rd_kafka_new(0, conf, text, TEXT_BYTES))
        if not self.handle:
            raise ValueError(text.value.decode())

    def delivered(self, handle, message, opaque):
        m = message.contents
        value = ctypes.string_at(m.payload, m.size)
        if m.error:
            self.failed[value] = self.lib.rd_kafka_err2str(m.error).decode()
        else:
            assert value not in self.acknowledged, f"acknowledged twice: {value}"
            self.acknowledged[value] = (m.partition, m.offset)

    def take_error(self, handle, error, reason, opaque):
        self.errors.append(f"{self.lib.rd_kafka_err2str(error).decode()}: "
                           f"{reason.decode(errors='replace')}")

    def topic(self, name):
        if name not in self.topics:
            self.topics[name] = c_void_p(
                self.lib.rd_kafka_topic_new(self.handle, name.encode(), None))
        return self.topics[name]

    def send(self, topic, value, key=None, partition=PARTITION_ANY):
        while self.lib.rd_kafka_produce(self.topic(topic), c_int32(partition), FLAG_COPY, value,
                                        c_size_t(len(value)), key, c_size_t(len(key or b"")),
                                        None) != 0:
            error = self.lib.rd_kafka_last_error()
            if error != ERROR_QUEUE_FULL:
                raise RuntimeError(self.fatal() or self.lib.rd_kafka_err2str(error).decode())
            self.poll(100)
        self.sent += 1

    def poll(self, timeout_ms=0):
        self.lib.rd_kafka_poll(self.handle, timeout_ms)

    def flush(self, timeout_s):
        """True when nothing is left that waits for an answer."""
        self.lib.rd_kafka_flush(self.handle, int(timeout_s * 1000))
        return self.lib.rd_kafka_outq_len(self.handle) == 0

    def fatal(self):
        """Why an idempotent producer gave up, or None."""
        text = ctypes.create_string_buffer(TEXT_BYTES)
        error = self.lib.rd_kafka_fatal_error(self.handle, text, TEXT_BYTES)
        return text.value.decode() if error else None

    def close(self):
        for topic in self.topics.values():
            self.lib.rd_kafka_topic_destroy(topic)
        self.lib.rd_kafka_destroy(self.handle)
        self.handle = None


class NumberedWriter(threading.Thread):
    """Writes numbered records, n to partition n % partitions, until it is told to stop.
    key_of: the key of n."""

    def __init__(self, brokers, topic, partitions, records_per_s=1000, padding=b"",
                 key_of=lambda number: None, **settings):
        super().__init__(daemon=True)
        settings = {"enable_idempotence": "true", "message_timeout_ms": 300000, **settings}
        self.producer = Producer(brokers, **settings)
        self.kafka_topic, self.partitions, self.padding = topic, partitions, padding
        self.key_of = key_of
        self.pause_ms = max(1, 1000 * partitions // records_per_s)
        self.is_stopping = threading.Event()
        self.may_write = threading.Event()
        self.may_write.set()
        self.error = None
        self.count = 0

    @property
    def acknowledged(self):
        return self.producer.acknowledged

    def run(self):
        try:
            while not self.is_stopping.is_set():
                if not self.may_write.is_set():
                    self.producer.poll(10)
                    continue
                for _ in range(self.partitions):
                    value = b"%d%s" % (self.count, self.padding)
                    self.producer.send(self.kafka_topic, value, self.key_of(self.count),
                                       self.count % self.partitions)
                    self.count += 1
                self.producer.poll(self.pause_ms)
        except Exception as error:
            self.error = error

    @contextlib.contextmanager
    def paused(self):
        """No new records inside; kcat -e ends only where nothing is added all the time."""
        self.may_write.clear()
        try:
            yield
        finally:
            self.may_write.set()

    def stop(self, timeout_s=60):
        """Waits until every record is acknowledged or failed."""
        self.is_stopping.set()
        self.join(timeout_s)
        assert self.error is None, self.error
        assert self.producer.flush(timeout_s), "records are still without an answer"
        assert self.producer.fatal() is None, self.producer.fatal()
        with contextlib.suppress(Exception):
            self.producer.close()


def check_exactly_once(writer, records):
    """Every record that was acknowledged is there once, where it was said to be, in order."""
    where = {}
    for partition, offset, _, value in records:
        assert value not in where, f"{value} is there twice: {where[value]}, {partition, offset}"
        where[value] = (partition, offset)
    lost = [value for value in writer.acknowledged if value not in where]
    assert not lost, f"{len(lost)} acknowledged records are lost, such as {lost[:5]}"
    moved = [(value, said, where[value]) for value, said in writer.acknowledged.items()
             if where[value] != said]
    assert not moved, f"{len(moved)} records are not where they were said to be: {moved[:5]}"
    for wanted in range(writer.partitions):
        numbers = [int(value.split(b" ")[0]) for partition, _, _, value in records
                   if partition == wanted]
        assert numbers == sorted(numbers), f"partition {wanted} is out of order"
        offsets = [offset for partition, offset, _, _ in records if partition == wanted]
        assert offsets == list(range(len(offsets))), f"partition {wanted} has gaps"


def check_prefix(earlier, later):
    """What was read once is read again: offsets never change their meaning."""
    now = {(partition, offset): value for partition, offset, _, value in later}
    for partition, offset, _, value in earlier:
        assert now.get((partition, offset)) == value, \
            f"offset {offset} of partition {partition} was {value}, " \
            f"now it is {now.get((partition, offset))}"
