#!/usr/bin/env python3
"""Records go when they are old or too many, deleted topics come back, producers are forgotten.
timeout: 120 s
"""

import json
import re
import signal
import time
from pathlib import Path

import kcat
import rdkafka
from guarded_client import hanse
from kafka import BROKER_RESOURCE, PRODUCE, Client, alter_configs, batch, produce_body
from scenario import Scenario, wait_until

OUT_OF_RANGE = 1
DAY_MS = 24 * 3600 * 1000
GRACE_MS = 300
GONE_S = 15
MANY = 40


def control(*words):
    """A command that asks control on this machine."""
    return hanse(node, *words, "--run-dir", str(node.run_dir))


def run(*words):
    done = hanse(node, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def produce(topic, values, partition=0, age_ms=0):
    data = batch(values, timestamp_ms=int(time.time() * 1000) - age_ms)
    with Client(node.port) as client:
        answer = client.call(PRODUCE, 3, produce_body(topic, partition, data))
        at = 4 + 2 + len(topic) + 4 + 4
        assert answer[at:at + 2] == b"\0\0", answer


def first(topic, partition=0):
    out = kcat.kcat(node.address, "-Q", "-t", f"{topic}:{partition}:-2").decode()
    return int(re.search(r"offset (\d+)", out).group(1))


def described(topic):
    return [(p["first_offset"], p["next_offset"]) for p in
            json.loads(run("topic", "describe", topic, "--json"))["partitions"]]


def deleted():
    done = control("topic", "deleted", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["topics"]


def data_bytes(s):
    found = [path for path in Path(s.scratch, "bucket", "v1", "d").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in found)


with Scenario() as s:
    node = s.node(environment={"HANSE_TEST_DATA_GRACE_MS": str(GRACE_MS)})
    node.start()
    alter_configs(node.port, BROKER_RESOURCE, "", {"log.retention.check.interval.ms": 1})

    with s.test("records go when they are older than a week, whole files of them, oldest first"):
        run("topic", "create", "aged", "--partitions", "1")
        produce("aged", [b"old"] * 10, age_ms=8 * DAY_MS)
        produce("aged", [b"older"] * 5, age_ms=30 * DAY_MS)
        produce("aged", [b"young"] * 3)
        produce("aged", [b"late"] * 2, age_ms=8 * DAY_MS)
        wait_until(lambda: first("aged") == 15, GONE_S, "what is old has gone")
        assert described("aged") == [(15, 20)]
        with Client(node.port) as client:
            error, high, _ = client.fetch("aged", 0, 14)
            assert (error, high) in ((OUT_OF_RANGE, 20), (OUT_OF_RANGE, -1)), (error, high)
        # a consumer goes on at what there is
        assert kcat.consume(node.address, "aged", "-o", "0", "-X",
                            "auto.offset.reset=earliest") == b"young\n" * 3 + b"late\n" * 2

    with s.test("a committed offset before the log start is reset as its group says"):
        run("group", "reset", "readers", "--topic", "aged", "--to", "16", "--execute")
        run("topic", "trim", "aged", "--before", "18", "--execute")
        out = kcat.kcat(node.address, "-G", "readers", "-q", "-c", "2", "-X",
                        "auto.offset.reset=earliest", "-f", "%o %s\n", "aged")
        assert out == b"18 late\n19 late\n", out

    with s.test("a partition becomes no smaller than retention.bytes, and is told so"):
        run("topic", "create", "sized", "--partitions", "1")
        for i in range(10):
            produce("sized", [b"x" * 10000])
        run("topic", "config", "sized", "retention.bytes=35000")
        wait_until(lambda: first("sized") == 6, GONE_S, "six files have gone")
        assert described("sized") == [(6, 10)]
        refused = hanse(node, "topic", "config", "sized", "retention.bytes=-2")
        assert refused.returncode == 1 and b"number" in refused.stderr, refused.stderr

    with s.test("nothing goes of topics that are only compacted"):
        run("topic", "create", "compacted", "--partitions", "1")
        run("topic", "config", "compacted", "cleanup.policy=compact", "retention.ms=1")
        kcat.produce(node.address, "compacted", b"k:v\n", "-K:")

    with s.test("control is killed while records of many partitions go"):
        run("topic", "create", "many", "--partitions", str(MANY))
        for i in range(MANY):
            produce("many", [b"v"] * (i + 1), partition=i)
        run("topic", "config", "many", "retention.ms=1")
        for _ in range(3):
            node.signal(signal.SIGKILL, "control")
            wait_until(lambda: node.role_pid("control"), GONE_S, "control is back")
        wait_until(lambda: described("many") == [(i + 1, i + 1) for i in range(MANY)], GONE_S,
                   "all have gone, and no high watermark moved")
        assert described("compacted") == [(0, 1)]

    with s.test("a deleted topic comes back with records, settings and offsets of groups"):
        run("topic", "create", "orders", "--partitions", "2")
        written = b"".join(b"order %d\n" % i for i in range(500))
        kcat.produce(node.address, "orders", written, "-p", "1")
        run("topic", "config", "orders", "retention.ms=86400000")
        run("group", "reset", "accounts", "--topic", "orders", "--to", "earliest", "--execute")
        before = json.loads(run("topic", "describe", "orders", "--json"))
        run("topic", "delete", "orders")
        assert hanse(node, "topic", "describe", "orders").returncode == 3
        assert "orders" not in run("group", "describe", "accounts").decode()
        listed = deleted()
        assert [(t["name"], t["id"], t["partitions"]) for t in listed] == \
            [("orders", before["id"], 2)]
        assert listed[0]["until_ms"] - listed[0]["deleted_ms"] == DAY_MS
        assert listed[0]["bytes"] > 1000
        assert control("topic", "undelete", "orders").returncode == 0
        assert json.loads(run("topic", "describe", "orders", "--json")) == before
        assert kcat.consume(node.address, "orders") == written
        assert b"86400000" in run("topic", "config", "orders")
        assert "orders" in run("group", "describe", "accounts").decode()
        assert not deleted()

    with s.test("its name is free meanwhile, and it comes back under another one"):
        run("topic", "delete", "orders")
        run("topic", "create", "orders", "--partitions", "1")
        kcat.produce(node.address, "orders", b"new\n")
        taken = control("topic", "undelete", "orders")
        assert taken.returncode == 1 and b"a topic has that name" in taken.stderr
        nobody = control("topic", "undelete", "nobody")
        assert nobody.returncode == 3 and b"no deleted topic" in nobody.stderr
        node.kill()
        node.start()
        wait_until(lambda: control("topic", "undelete", "orders", "orders-of-may").returncode == 0,
                   GONE_S, "it is brought back")
        assert kcat.consume(node.address, "orders-of-may") == written
        assert kcat.consume(node.address, "orders") == b"new\n"

    with s.test("what is let go frees its bytes, and cannot come back"):
        kcat.produce(node.address, "big", b"x" * 900000 + b"\n", "-z", "none")
        large = data_bytes(s)
        run("topic", "delete", "big")
        shown = control("topic", "purge")
        assert shown.returncode == 0 and b"big" in shown.stdout and deleted()
        assert control("topic", "purge", "big", "--execute").returncode == 0
        assert control("topic", "undelete", "big").returncode != 0
        wait_until(lambda: data_bytes(s) < large - 900000, GONE_S, "its file has gone")

    with s.test("a producer that is forgotten goes on without anybody noticing"):
        alter_configs(node.port, BROKER_RESOURCE, "", {"producer.id.expiration.ms": 500})
        producer = rdkafka.Producer(node.address, enable_idempotence="true")
        producer.send("resumed", b"1", partition=0)
        assert producer.flush(30)
        wait_until(lambda: not json.loads(run("producer", "list", "resumed", "--json"))[
            "producers"], GONE_S, "the producer is forgotten")
        producer.send("resumed", b"2", partition=0)
        assert producer.flush(60)
        assert producer.acknowledged == {b"1": (0, 0), b"2": (0, 1)}, producer.failed
        assert not producer.fatal()
        producer.close()
