#!/usr/bin/env python3
"""Topics with cleanup.policy=compact: of each key the last record stays, at its offset; tombstones
go when their time is over; nothing of an aborted transaction is left, and what is open is waited
for; `kill -9` in the middle does no harm.  Apache Kafka's own tools set and read, where they are.
timeout: 300 s; runs beside others"""

import signal
import subprocess
import time

import apache_kafka
import kcat
import rdkafka
from scenario import Scenario, Skip, wait_until
from transactor import TransactionalProducer

KEYS, ROUNDS = 20, 30
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
UNCOMMITTED = ("-X", "isolation.level=read_uncommitted")


def hanse(*words):
    subprocess.run([node.program, *words, "--kafka", node.address], check=True, capture_output=True,
                   timeout=60)


def create(name, **settings):
    """With a pass as soon as there is anything for one."""
    settings = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", **settings}
    hanse("topic", "create", name, "--partitions", "1")
    hanse("topic", "config", name, *[f"{key}={value}" for key, value in settings.items()])


def produce(topic, pairs, *words):
    text = "".join(f"{key}:{value}\n" for key, value in pairs).encode()
    kcat.produce(node.address, topic, text, "-K:", "-X", "batch.num.messages=7", *words)


def rows(topic, *words):
    """[(offset, key, value)]; the value of a tombstone is empty."""
    return [(offset, key.decode(), value.decode())
            for _, offset, key, value in kcat.records(node.address, topic, *words)]


def last_of_each(pairs, first=0):
    """What compaction leaves of records that follow each other."""
    last = {key: (offset, key, value) for offset, (key, value) in enumerate(pairs, first)}
    return sorted(last.values())


def wait_rows(topic, wanted, *words):
    def holds():
        got = rows(topic, *words)
        assert got == wanted, f"{len(got)} records, {len(wanted)} wanted: {got[:5]}"
        return True
    wait_until(holds, 20, f"{topic} is compacted")


def end_of(topic):
    return int(kcat.kcat(node.address, "-Q", "-t", f"{topic}:0:-1").decode().split()[-1])


with Scenario() as s:
    node = s.node(environment={"HANSE_TEST_KEY_BACKOFF_MS": "100"})
    node.start()
    pairs = [(f"k{i % KEYS}", f"{i}-" + "x" * 50) for i in range(KEYS * ROUNDS)]

    # L1
    with s.test("the last value of each key stays, at its offset, in every codec"):
        for codec in CODECS:
            create(codec)
            produce(codec, pairs, "-z", codec)
        for codec in CODECS:
            wait_rows(codec, last_of_each(pairs))
            assert end_of(codec) == len(pairs), codec

    with s.test("what is written later takes the place of what was compacted"):
        more = pairs + [(f"k{i}", "new") for i in range(0, KEYS, 2)]
        produce("zstd", more[len(pairs):])
        wait_rows("zstd", last_of_each(more))
        assert end_of("zstd") == len(more)

    with s.test("a reader that begins between the records that are left goes on"):
        assert kcat.consume(node.address, "gzip", "-o", "5", "-f", "%o\n").split() == \
            [b"%d" % offset for offset, _, _ in last_of_each(pairs)]

    # L2
    with s.test("a tombstone takes the value before it, and goes when its time is over"):
        create("graves", **{"cleanup.policy": "compact,delete", "delete.retention.ms": "100"})
        produce("graves", pairs[:KEYS])
        kcat.produce(node.address, "graves", b"k3:\n", "-K:", "-Z")
        wanted = [row for row in last_of_each(pairs[:KEYS]) if row[1] != "k3"]

        def is_gone():
            produce("graves", [("other", time.time())])
            got = [row for row in rows("graves") if row[1] != "other"]
            assert got == wanted, got
            return True
        wait_until(is_gone, 20, "the tombstone is gone")

    # L3
    with s.test("of aborted transactions nothing is left, and an open one is waited for"):
        create("deals")
        first = TransactionalProducer(node.address, "first")
        first.begin_life()
        for turn, key in enumerate([b"a", b"b", b"a", b"b"]):
            first.begin()
            first.send("deals", b"%d" % turn, key=key, partition=0)
            assert first.flush(30)
            (first.abort if turn == 3 else first.commit)()
        # offsets 0, 2, 4 and 6; the ends of the transactions are 1, 3, 5 and 7
        wait_rows("deals", [(2, "b", "1"), (4, "a", "2")], *UNCOMMITTED)
        wait_rows("deals", [(2, "b", "1"), (4, "a", "2")])
        first.begin()
        first.send("deals", b"open", key=b"a", partition=0)
        assert first.flush(30)
        produce("deals", [("b", "behind"), ("b", "last")])
        produce("none", [("k0", "seen")])
        wait_rows("none", last_of_each(pairs + [("k0", "seen")]))  # passes go on
        assert len(rows("deals", *UNCOMMITTED)) == 5
        first.commit()
        wait_rows("deals", [(8, "a", "open"), (10, "b", "last")], *UNCOMMITTED)
        wait_rows("deals", [(8, "a", "open"), (10, "b", "last")])
        first.close()

    with s.test("a record without a key is refused"):
        try:
            kcat.produce(node.address, "none", b"no key\n", "-X", "message.timeout.ms=5000")
            raise AssertionError("it was taken")
        except kcat.KcatError as error:
            assert "failed to validate record" in str(error), error

    # L4
    with s.test("kill -9 of agent and control in the middle: what was acknowledged last is there"):
        create("kills")
        producer = rdkafka.Producer(node.address, enable_idempotence="true",
                                    message_timeout_ms=120000)
        keys, number = {}, 0
        for role in ("streams", "control", "streams", "streams"):
            for _ in range(400):
                value = b"%d" % number
                keys[value] = b"key-%d" % (number % 37)
                producer.send("kills", value + b"-" + b"y" * 200, key=keys[value], partition=0)
                number += 1
            node.wait_serving()
            producer.poll(300)
            node.signal(signal.SIGKILL, role)
        assert producer.flush(100) and not producer.failed, producer.failed
        last = {}
        for value, (_, offset) in producer.acknowledged.items():
            key = keys[value.split(b"-")[0]]
            last[key] = max(last.get(key, (-1,)), (offset, key.decode(), value.decode()))
        producer.close()
        wait_rows("kills", sorted(last.values()))
        assert end_of("kills") == number

    with s.test("Apache Kafka's tools set it, show it and read to the end"):
        why = apache_kafka.why_not()
        if why:
            raise Skip(why)

        def tool(name, *words):
            return apache_kafka.run(name, "--bootstrap-server", node.address, *words)
        tool("configs", "--alter", "--entity-type", "topics", "--entity-name", "lz4",
             "--add-config", "min.cleanable.dirty.ratio=0.25,cleanup.policy=[compact,delete]")
        said = tool("configs", "--describe", "--entity-type", "topics", "--entity-name", "lz4")
        assert "min.cleanable.dirty.ratio=0.25" in said, said
        assert "cleanup.policy=compact,delete" in said, said
        said = tool("console-consumer", "--topic", "kills", "--from-beginning", "--max-messages",
                    len(last))
        assert sorted(line for line in said.splitlines() if "-yyy" in line) == \
            sorted(value for _, _, value in last.values()), said[-2000:]
