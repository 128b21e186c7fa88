#!/usr/bin/env python3
"""Requests of every API and version, damaged in every way, against the live server.

The seeds are the golden vectors of test/corpus/kafka.  The server must survive without a report of
the sanitizers and without a restart of a process, and serve an ordinary client all the while.

FUZZ_SECONDS=n how long (10; 60 where CI=true), SEED=n the same choices again.  timeout: 600 s"""

import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

from kafka import Client, batch, produce_body
from node import ROLES
from scenario import ROOT, Scenario, say, wait_until

SECONDS = int(os.environ.get("FUZZ_SECONDS") or ("60" if os.environ.get("CI") == "true" else "10"))
FRAMES_MAX = 8  # pipelined in one connection
NUMBERS = [0, 1, -1, 2, 127, 128, 255, 256, 32767, -32768, 65535, 1 << 24, 0x7FFFFFFF, -0x80000000]
HEALTHY_TOPIC = "healthy"
HEALTHY_LATENCY_S = 10
MEMORY_BYTES_MAX = 1500 << 20  # the sanitizers keep what was freed for a while


# --- seeds ----------------------------------------------------------------------------------------

def read_apis():
    """{message name: (key, first flexible version)} of the schema."""
    text = (ROOT / "src/wire/kafka/kafka.schema").read_text()
    row = re.compile(r"^(\w+)_request\s+key (\d+)\s+versions \S+\s+flexible (\S+)", re.M)
    return {name: (int(key), 99 if flexible == "none" else int(flexible.rstrip("+")))
            for name, key, flexible in row.findall(text)}


def header(key, version, first_flexible, correlation):
    client = b"fuzz"
    fixed = struct.pack(">hhih", key, version, correlation, len(client)) + client
    return fixed + (b"\0" if version >= first_flexible else b"")


def read_seeds():
    """[(key, version, first flexible version, body)]"""
    seeds = []
    apis = read_apis()
    for path in sorted((ROOT / "test/corpus/kafka").glob("*_request.v*.hex")):
        name, version = re.match(r"(\w+)_request\.v(\d+)", path.name).groups()
        if name not in apis:
            continue
        key, first_flexible = apis[name]
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                seeds.append((key, int(version), first_flexible, bytes.fromhex(line)))
    batches = [bytes.fromhex("".join(line for line in path.read_text().splitlines()
                                     if not line.startswith("#")))
               for path in sorted((ROOT / "test/corpus/kafka").glob("batch_*.hex"))]
    batches.append(batch([b"one", b"two"]))
    for one in batches:
        for version in range(3, 9):
            seeds.append((0, version, 9, produce_body("fuzz", 0, one, timeout_ms=100)))
    return seeds


# --- damage ---------------------------------------------------------------------------------------

def damage(random, data):
    data = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4, 16))):
        if not data:
            break
        at = random.randrange(len(data))
        kind = random.randrange(7)
        if kind == 0:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at] = random.randrange(256)
        elif kind == 2:
            del data[at:at + random.choice((1, 2, 4, 8, 64))]
        elif kind == 3:
            data[at:at] = random.randbytes(random.choice((1, 2, 4, 64)))
        elif kind == 4 and at + 4 <= len(data):
            data[at:at + 4] = struct.pack(">i", random.choice(NUMBERS))
        elif kind == 5 and at + 2 <= len(data):
            data[at:at + 2] = struct.pack(">H", random.choice(NUMBERS) & 0xFFFF)
        elif kind == 6:
            data[at:at] = b"\xff\xff\xff\xff\x0f"  # the largest compact length
    return bytes(data)


def one_frame(random, seeds):
    key, version, first_flexible, body = random.choice(seeds)
    if random.random() < 0.05:
        version = random.choice((version + 1, 0, -1, 99, 32767))
    request = header(key, version, first_flexible, random.randrange(1 << 31))
    if random.random() < 0.1:
        request = damage(random, request + body)
    else:
        request += damage(random, body)
    size = len(request)
    if random.random() < 0.03:
        size = random.choice(NUMBERS + [size - 1, size + 1])
    return struct.pack(">I", size & 0xFFFFFFFF) + request


class Fuzzer:
    def __init__(self, random, node):
        self.random, self.node, self.seeds = random, node, read_seeds()
        self.connections = self.frames = self.answers = 0

    def one_connection(self):
        random = self.random
        frames = [one_frame(random, self.seeds) for _ in range(random.randint(1, FRAMES_MAX))]
        data = b"".join(frames)
        if random.random() < 0.2:
            data = data[:random.randrange(len(data))]
        self.connections += 1
        self.frames += len(frames)
        with socket.create_connection(("127.0.0.1", self.node.port), 10) as s:
            try:
                at = 0
                while at < len(data):
                    step = len(data) if random.random() < 0.7 else random.randint(1, len(data))
                    s.sendall(data[at:at + step])
                    at += step
                s.settimeout(random.choice((0.001, 0.01, 0.05)))
                while True:
                    part = s.recv(1 << 16)
                    if not part:
                        break
                    self.answers += 1
            except (TimeoutError, ConnectionError):
                pass
            if random.random() < 0.2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Healthy(threading.Thread):
    """An ordinary client beside it all."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.error, self.count, self.slowest_s = node, None, 0, 0.0
        self.is_stopping = threading.Event()

    def run(self):
        try:
            with Client(self.node.port, HEALTHY_LATENCY_S) as client:
                client.metadata([HEALTHY_TOPIC])
                while not self.is_stopping.is_set():
                    begin = time.monotonic()
                    error, offset = client.produce(HEALTHY_TOPIC, 0, [b"%d" % self.count])
                    assert (error, offset) == (0, self.count), f"error {error}, offset {offset}"
                    error, high, data = client.fetch(HEALTHY_TOPIC, 0, self.count)
                    assert error == 0 and high == self.count + 1 and b"%d" % self.count in data
                    self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
                    self.count += 1
                    time.sleep(0.05)
        except Exception as error:
            self.error = error


def memory_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return 0


def main(s):
    node = s.node()
    node.start()
    before = {role: node.role_pid(role) for role in ROLES}
    random = s.seed()
    fuzzer, healthy = Fuzzer(random, node), Healthy(node)
    with Client(node.port) as client:
        client.metadata(["fuzz"])
    healthy.start()
    with s.test(f"{SECONDS} s of damaged requests of {len(read_apis())} APIs kill no process"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            fuzzer.one_connection()
        say(f"{fuzzer.connections} connections, {fuzzer.frames} frames, "
            f"{fuzzer.answers} times something was answered")
        assert {role: node.role_pid(role) for role in ROLES} == before, "a process died"
        assert fuzzer.answers > 0
    # S3
    with s.test("an ordinary client was served all the while, and is served afterwards"):
        wait_until(lambda: healthy.count > 0 or healthy.error, 30, "something was written")
        healthy.is_stopping.set()
        healthy.join(30)
        assert healthy.error is None, healthy.error
        say(f"{healthy.count} records, the slowest in {healthy.slowest_s * 1000:.0f} ms")
        with Client(node.port) as client:
            assert client.produce(HEALTHY_TOPIC, 0, [b"after"])[0] == 0
    with s.test("what was left of it all fits into memory"):
        for role, pid in before.items():
            size = memory_bytes(pid)
            say(f"{role}: {size >> 20} MiB")
            assert size < MEMORY_BYTES_MAX
    with s.test("it stops in an orderly way"):
        assert node.terminate() == 0


if __name__ == "__main__":
    with Scenario() as s:
        main(s)
