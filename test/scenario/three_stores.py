#!/usr/bin/env python3
"""The journal in three S3 stores of others: while any one of them is away, producers go on and a
node that was killed comes back; nothing is lost or there twice.

Stores: versitygw twice, in different directories, and minio; see s3_store.py."""
# one run only: nothing acknowledged may depend on luck

import kcat
from rdkafka import NumberedWriter, check_exactly_once
from s3_store import KEYS, Store
from scenario import Scenario, Skip, say, wait_until

# timeout: 300 s
PARTITIONS = 4


def goes_on(writer, what):
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 200 or writer.error, 60,
               f"the producer goes on {what}")
    assert not writer.error, writer.error


def run(s, stores):
    records, *others = stores
    node = s.node("three", bucket=records.url("records"), environment=KEYS, options=[
        "--journal", ",".join(store.url("journal") for store in stores),
        "--key-file", s.scratch / "hanse.key", "--default-partitions", PARTITIONS])
    with s.test("a journal in three stores: the producer goes on while one of them is away"):
        say(f"serving after {node.start(60):.1f} s")
        writer = NumberedWriter(node.address, "ledger", PARTITIONS, 400)
        writer.start()
        goes_on(writer, "with three stores")
        for store in others:
            store.stop()
            goes_on(writer, f"without {store.name}")
            store.start()
            goes_on(writer, f"with {store.name} again")
    for end, begin, how in ((Store.stop, Store.start, "is away"),
                            (Store.freeze, Store.thaw, "answers nothing")):
        with s.test(f"a node that is killed while one of them {how} comes back with the others"):
            for store in others:
                end(store)
                goes_on(writer, f"without {store.name}")
                node.kill()
                say(f"serving after {node.start(60):.1f} s, {store.name} {how}")
                goes_on(writer, "after the node came back")
                begin(store)
                goes_on(writer, "with three stores again")
    with s.test("nothing is lost, and nothing is there twice"):
        writer.stop(60)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        node.kill()
        node.start(60)
        rows = kcat.records(node.address, "ledger")
        check_exactly_once(writer, rows)
        say(f"{len(rows)} records")
        assert node.terminate() == 0


with Scenario() as s:
    stores = [Store(s.scratch / "one", "versitygw"), Store(s.scratch / "two", "versitygw"),
              Store(s.scratch / "three", "minio")]
    missing = [store.name for store in stores if not store.program()]
    if missing:
        with s.test("a journal in three stores"):
            raise Skip(f"{missing[0]} is not installed")
    else:
        try:
            for store in stores:
                store.start()
            run(s, stores)
        finally:
            for store in stores:
                store.stop()
