#!/usr/bin/env python3
"""A disk that is full, read-only or lies, and a bucket that fails on purpose: nothing acknowledged
is lost, nothing wrong is served, and it heals by itself where it can."""
# one run only: nothing acknowledged may depend on luck

import ctypes
import hashlib
import os
import time

import kcat
from kafka import METADATA, Client, array, crc32c, text
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, Skip, say, wait_until

TOPIC = "ledger"
PARTITIONS = 2
DISK_BYTES = 24 << 20
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 0x20000, 1, 32, 0x4000, 1 << 18
# The codes after which a producer tries again by itself.
RETRIABLE = {2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 56}
FAULTS = {"HANSE_TEST_FAULTS": "1"}


# --- a small disk ---------------------------------------------------------------------------------

def mount(source, path, kind, flags, data):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, str(path).encode() if path else None, kind, flags, data) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def small_disk(path):
    """In a namespace of our own, so that it goes away with us; not everybody may."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) < 0:
        return False
    try:
        mount(b"none", "/", None, MS_REC | MS_PRIVATE, None)
        path.mkdir()
        mount(b"none", path, b"tmpfs", 0, b"size=%d" % DISK_BYTES)
    except OSError:
        return False
    return True


def remount(path, flags):
    def attempt():
        try:
            mount(b"none", path, None, MS_REMOUNT | flags, None)
            return True
        except OSError:  # a file is being written
            return False
    wait_until(attempt, 10, "the disk is mounted again")


def fill(path):
    with open(path, "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError:
            pass


def produce_error(node):
    try:
        with Client(node.port, 40) as client:
            client.metadata(["probe"])
            return client.produce("probe", 0, [b"x" * 100_000])[0]
    except OSError as error:
        say(f"the connection ended: {error}")
        return None


def goes_on(writer, timeout_s=60):
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 20 or writer.error, timeout_s,
               "the producer goes on by itself")
    assert writer.error is None, writer.error


def check_nothing_lost(writer, node):
    writer.stop(60)
    assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
    rows = kcat.records(node.address, TOPIC)
    check_exactly_once(writer, rows)
    say(f"{len(rows)} records")


def disk_tests(s):
    disk = s.scratch / "disk"
    node = writer = None
    if not small_disk(disk):
        with s.test("full and read-only disks"):
            raise Skip("mounting a tmpfs is not allowed here")
        return

    with s.test("on a full disk produce gets an error after which clients try again"):
        node = s.node("disk", bucket=f"file:{disk}/bucket",
                      options=["--default-partitions", PARTITIONS])
        node.start()
        with Client(node.port) as client:
            client.metadata(["probe"])
        writer = NumberedWriter(node.address, TOPIC, PARTITIONS, 100, padding=b" " + b"y" * 200)
        writer.start()
        goes_on(writer)
        fill(disk / "filler")
        error = produce_error(node)
        say(f"error {error}")
        assert error is None or error in RETRIABLE
    with s.test("what was written before is still served"):
        error, high, data = wait_until(lambda: fetch_or_none(node, TOPIC, 0, 0), 30, "a fetch")
        assert error == 0 and high > 0 and data
    # F10
    with s.test("when there is space again it recovers by itself, and nothing is lost"):
        time.sleep(2)
        (disk / "filler").unlink()
        goes_on(writer)
    with s.test("a change that the full disk holds up is told about, and made when there is space"):
        fill(disk / "filler")
        with Client(node.port, 60) as client:
            sent = client.send(METADATA, 1, array([text("patient")]))
            wait_until(lambda: "cannot be written" in node.log(), 20, "the log says it")
            assert "No space left" in node.log()
            (disk / "filler").unlink()
            assert client.receive()[0] == sent
        wait_until(lambda: "can be written again" in node.log(), 20, "the log says it")
        with Client(node.port) as client:
            wait_until(lambda: client.produce("patient", 0, [b"x"])[0] == 0, 20, "the topic")
        goes_on(writer)
    with s.test("on a disk that became read-only produce fails, and reading goes on"):
        remount(disk, MS_RDONLY)
        error = produce_error(node)
        say(f"error {error}")
        assert error is None or error in RETRIABLE
        error, high, data = wait_until(lambda: fetch_or_none(node, TOPIC, 0, 0), 30, "a fetch")
        assert error == 0 and high > 0 and data
    # F10
    with s.test("when the disk can be written again it recovers by itself, and nothing is lost"):
        remount(disk, 0)
        goes_on(writer)
        check_nothing_lost(writer, node)
        node.kill()
        node.start()
        check_exactly_once(writer, kcat.records(node.address, TOPIC))
        assert node.terminate() == 0


def fetch_or_none(node, topic, partition, offset):
    try:
        with Client(node.port) as client:
            return client.fetch(topic, partition, offset)
    except OSError:
        return None


# --- damaged objects ------------------------------------------------------------------------------

def objects(bucket, prefix):
    return sorted(path for path in (bucket / prefix).rglob("*") if path.is_file())


def digests(bucket):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in objects(bucket, ".")}


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    os.chmod(path, 0o600)
    path.write_bytes(bytes(data))


def damaged_data(s):
    bucket = s.scratch / "damaged"
    node = s.node("damaged", bucket=f"file:{bucket}", options=["--default-partitions", 2])
    # F6
    with s.test("a damaged data file fails only the partition that needs it, and is named"):
        node.start()
        with Client(node.port) as client:
            client.metadata([TOPIC])
            assert client.produce(TOPIC, 0, [b"canary-zero"]) == (0, 0)
            assert client.produce(TOPIC, 1, [b"canary-one"]) == (0, 0)
            assert client.produce(TOPIC, 0, [b"canary-later"]) == (0, 1)
        node.kill()
        victim, = [path for path in objects(bucket, "v1/d") if b"canary-zero" in path.read_bytes()]
        flip(victim, victim.read_bytes().index(b"canary-zero"))
        node.start()
        with Client(node.port) as client:
            error, _, data = client.fetch(TOPIC, 0, 0)
            say(f"error {error}")
            assert error != 0 and b"canary" not in data
            assert client.fetch(TOPIC, 1, 0)[0] == 0
            assert b"canary-later" in client.fetch(TOPIC, 0, 1)[2]
            assert client.produce(TOPIC, 0, [b"more"]) == (0, 2)
        assert victim.name in node.log(), "the log does not name the data file"
    with s.test("a data file that is gone fails only the partition that needs it, and is named"):
        node.kill()
        victim, = [path for path in objects(bucket, "v1/d") if b"canary-one" in path.read_bytes()]
        victim.unlink()
        node.start()
        with Client(node.port) as client:
            assert client.fetch(TOPIC, 1, 0)[0] != 0
            assert b"canary-later" in client.fetch(TOPIC, 0, 1)[2]
        assert victim.name in node.log(), "the log does not name the data file"
        node.kill()


def damaged_journal(s):
    bucket = s.scratch / "journal"
    node = s.node("journal", bucket=f"file:{bucket}")
    with s.test("a damaged journal record: the node refuses to lead and names it"):
        node.start()
        with Client(node.port) as client:
            client.metadata([TOPIC])
            for i in range(20):
                assert client.produce(TOPIC, 0, [b"%d" % i]) == (0, i)
        node.kill()
        before = digests(bucket)
        records = [path for path in objects(bucket, "v1/j") if path.stat().st_size > 100]
        victim = records[len(records) // 2]
        flip(victim, victim.stat().st_size // 2)
        node.launch()
        key = str(victim.relative_to(bucket))
        say(f"damaged {key}")
        wait_until(lambda: key in node.log(), 20, f"{key} in the log")
        time.sleep(1)
        assert not node.is_serving(), "it serves"
    with s.test("nothing was changed, and when the record is as it was everything is there"):
        node.kill()
        flip(victim, victim.stat().st_size // 2)
        after = digests(bucket)
        changed = [str(path) for path in before if after.get(path) != before[path]]
        assert not changed, f"changed or gone: {changed}"
        node.start()
        with Client(node.port) as client:
            assert client.fetch(TOPIC, 0, 0)[1] == 20
        node.kill()


# --- a bucket that fails on purpose ---------------------------------------------------------------

def failing_bucket(s):
    bucket = s.scratch / "failing"
    faults = "fault_before_ppm=8000&fault_after_ppm=8000&fault_delay_ms=5"
    with s.test("a bucket that fails one operation in sixty loses nothing"):
        node = s.node("failing", bucket=f"fault:file:{bucket}?fault_seed=7&{faults}",
                      environment=FAULTS, options=["--default-partitions", PARTITIONS])
        node.start()
        writer = NumberedWriter(node.address, TOPIC, PARTITIONS, 200)
        writer.start()
        for _ in range(5):
            goes_on(writer)
            time.sleep(1)
        writer.stop(120)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        node.kill()
        clean = s.node("clean", bucket=f"file:{bucket}")
        clean.start()
        check_exactly_once(writer, kcat.records(clean.address, TOPIC))
        clean.kill()
    with s.test("a bucket that lies now and then never makes a wrong record, only errors"):
        values = {offset: value for partition, offset, value in
                  ((p, o, v) for v, (p, o) in writer.acknowledged.items()) if partition == 0}
        node = s.node("lying", environment=FAULTS,
                      bucket=f"fault:file:{bucket}?fault_seed=9&fault_prefix=v1/d/"
                             "&fault_corrupt_ppm=300000&fault_truncate_ppm=100000")
        node.start()
        errors = check_every_offset(node, values)
        say(f"{len(values)} offsets, {errors} errors on the way")


def check_every_offset(node, values):
    """Fetches until all is read; an error is fine, a wrong byte is not."""
    errors, offset, end = 0, 0, time.monotonic() + 60
    with Client(node.port) as client:
        while offset < len(values):
            assert time.monotonic() < end, f"offset {offset} cannot be read"
            error, _, data = client.fetch(TOPIC, 0, offset)
            if error or not data:
                errors += 1
                continue
            while len(data) >= 61:
                size = int.from_bytes(data[8:12], "big") + 12
                if len(data) < size:
                    break
                base = int.from_bytes(data[0:8], "big")
                last = base + int.from_bytes(data[23:27], "big")
                assert crc32c(data[21:size]) == int.from_bytes(data[17:21], "big")
                assert values[base] in data[:size] and values[last] in data[:size]
                offset = last + 1
                data = data[size:]
    return errors


with Scenario() as s:
    damaged_data(s)
    damaged_journal(s)
    failing_bucket(s)
    disk_tests(s)
