#!/usr/bin/env python3
"""A broker on an S3 store that is ill in one way after the other, over HTTP, under an idempotent
producer: nothing acknowledged is lost, moved or there twice, no wrong byte reaches a reader, and
when the store is well again everything goes on by itself.  The cases are F1 to F12 of doc/cases.md.

SEED=n repeats what is drawn.  Never skipped.  timeout: 300 s; runs beside others"""

import time

import kcat
from kafka import Client, crc32c
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, say, wait_until
from sick_store import SickStore

TOPIC = "ledger"
PARTITIONS = 2
STRIKES_MIN = 5
DATA = "/v1/d/"
# Requests that hang end soon, and the store refuses to overwrite: a repeated put gets 412.
URL = "&timeout_ms=3000&class=cas"


def goes_on(records=40, timeout_s=60):
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) >= before + records or writer.error, timeout_s,
               "the producer goes on by itself")
    assert writer.error is None, writer.error


def through(name, share, seconds=2, strikes=STRIKES_MIN, **aim):
    """The store is ill for a while, and some requests feel it; then the producer goes on."""
    before = store.struck[name]
    end = time.monotonic() + seconds
    with store.ill(name, share, **aim):
        wait_until(lambda: store.struck[name] >= before + strikes and time.monotonic() > end, 30,
                   f"requests that {name} strikes")
    goes_on()
    say(f"{name}: {store.struck[name] - before} requests")


def check_now():
    with writer.paused():
        assert writer.producer.flush(60), "records are still without an answer"
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        check_exactly_once(writer, kcat.records(node.address, TOPIC))


def read_all(partition, values):
    """Offset by offset until all is read: an error is fine, a wrong byte is not."""
    errors, offset, end = 0, 0, time.monotonic() + 120
    while offset < len(values):
        assert time.monotonic() < end, f"offset {offset} cannot be read"
        try:
            with Client(node.port, 60) as client:
                error, _, data = client.fetch(TOPIC, partition, offset)
        except OSError:
            error, data = -1, b""
        if error or not data:
            errors += 1
            continue
        while len(data) >= 61:
            size = int.from_bytes(data[8:12], "big") + 12
            if len(data) < size:
                break
            base, count = int.from_bytes(data[0:8], "big"), int.from_bytes(data[57:61], "big")
            assert crc32c(data[21:size]) == int.from_bytes(data[17:21], "big")
            for i in range(count):
                assert values[base + i] in data[61:size], f"offset {base + i} is another record"
            assert base <= offset < base + count, f"{base} in place of {offset}"
            offset = base + count
            data = data[size:]
    return errors


with Scenario() as s:
    random = s.seed()
    store = SickStore(random)
    node = s.node("sick", bucket=store.url("cluster", URL), environment=store.environment(),
                  options=["--default-partitions", PARTITIONS, "--seal", "no"])
    node.start(60)
    with Client(node.port) as client:
        client.metadata([TOPIC])
    writer = NumberedWriter(node.address, TOPIC, PARTITIONS, 200, padding=b" " + b"y" * 300)
    writer.start()
    goes_on()

    # F1
    with s.test("puts that time out, break off or fail, and were not done, are done again"):
        through("closes", 0.3, method="PUT", prefix=DATA)
        through("hangs", 0.2, method="PUT", prefix=DATA)
        through("fails", 0.3, method="PUT", prefix=DATA)
        through("closes", 0.1, method="PUT")  # the journal's, too
        check_now()
    # F2
    with s.test("puts that were done and seemed to fail are there once"):
        through("closes_after", 0.3, method="PUT", prefix=DATA)
        through("hangs_after", 0.2, method="PUT", prefix=DATA)
        through("fails_after", 0.3, method="PUT", prefix=DATA)
        through("closes_after", 0.1, method="PUT")
        check_now()
    # F3
    with s.test("bursts in which the store refuses everything are waited for"):
        for _ in range(3):
            through("slow_down", 1.0, seconds=1)
            through("unavailable", 1.0, seconds=1)
        through("fails", 1.0, seconds=1)
        check_now()
    # F9
    with s.test("while some requests take ten seconds others go on"):
        begin = len(writer.acknowledged)
        through("slow", 0.02, seconds=10, strikes=3)
        assert len(writer.acknowledged) > begin + 200, "nothing went on meanwhile"
        check_now()
    # F11
    with s.test("credentials that expire under way are fetched anew, and nobody notices"):
        for _ in range(5):
            before = store.struck["ExpiredToken"]
            store.expire()
            goes_on()
            assert store.struck["ExpiredToken"] > before
        say(f"{store.struck['ExpiredToken']} requests were refused")
        check_now()
    # F12
    with s.test("a clock that the store disagrees with, and that jumps, is replaced by its own"):
        for ahead_s in (3 * 3600, -2 * 3600, 0):
            before = store.struck["RequestTimeTooSkewed"]
            store.clock_ahead_s = ahead_s
            goes_on()
            assert store.struck["RequestTimeTooSkewed"] > before
        say(f"{store.struck['RequestTimeTooSkewed']} requests were refused")
        check_now()
    # F6
    with s.test("whatever a get gives, no wrong byte reaches a reader, and all is read at last"):
        writer.stop(60)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        values = {offset: value for value, (partition, offset) in writer.acknowledged.items()
                  if partition == 0}
        for name in ("half", "flip", "shift_range", "shift_bytes", "ignore_range", "missing",
                     "unavailable", "fails"):
            node.kill()
            node.start(60)  # nothing is in memory
            before = store.struck[name]
            with store.ill(name, 0.5, method="GET", prefix=DATA):
                errors = read_all(0, values)
            say(f"{name}: {store.struck[name] - before} requests, {errors} errors for clients")
            assert store.struck[name] > before
    with s.test("in the end every acknowledged record is there once, where it was said"):
        node.kill()
        node.start(60)
        check_exactly_once(writer, kcat.records(node.address, TOPIC))
        say(f"{len(writer.acknowledged)} records")
        assert node.terminate() == 0
