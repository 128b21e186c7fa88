#!/usr/bin/env python3
"""What no client should send: refused with the protocol's own error where there is one, otherwise
the connection is closed with one line in the log; everybody else is served as before."""

import gzip
import struct
import time
from pathlib import Path

from kafka import API_VERSIONS, CREATE_TOPICS, FETCH, METADATA, PRODUCE
from kafka import Client, array, batch, crc32c, frame, produce_body, record, text
from scenario import Scenario, say, wait_until

TOPIC = "ordinary"
CORRUPT_MESSAGE, UNKNOWN_TOPIC, MESSAGE_TOO_LARGE, UNSUPPORTED_VERSION = 2, 3, 10, 35
REFUSED = "closing connection"
IDLE_CONNECTIONS = 300
BOMB_BYTES = 300 << 20
MEMORY_GROWTH_MAX = 250 << 20
# What was freed is not to count: the sanitizer would keep 256 MiB of it.
ENVIRONMENT = {"ASAN_OPTIONS": "quarantine_size_mb=8"}


def is_healthy(node):
    with Client(node.port) as client:
        return client.produce(TOPIC, 0, [b"healthy"])[0] == 0


def refused_count(node):
    return node.log().count(REFUSED)


def check_refused(node, data, lines=1):
    """The connection is closed, with so many lines in the log, and nobody else notices."""
    before = refused_count(node)
    with Client(node.port) as client:
        client.socket.sendall(data)
        assert client.is_closed(), "the connection stays open"
    wait_until(lambda: refused_count(node) >= before + lines, 5, "a line in the log")
    time.sleep(0.02)
    assert refused_count(node) == before + lines, "more than one line in the log"
    assert is_healthy(node)


def framed(data):
    return struct.pack(">i", len(data)) + data


def resealed(data, at, new):
    """The batch with other bytes at a place, and the checksum right."""
    data = data[:at] + new + data[at + len(new):]
    return data[:17] + struct.pack(">I", crc32c(data[21:])) + data[21:]


def memory_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return 0


# --- frames ---------------------------------------------------------------------------------------

def frames(s, node):
    cases = {
        "a frame of two gigabytes": struct.pack(">i", 0x7FFFFFFF),
        "a frame of negative size": struct.pack(">i", -1) + b"x" * 100,
        "an empty frame": struct.pack(">i", 0),
        "a frame shorter than a header": framed(b"\0\1\0\0"),
        "a client id longer than its frame": framed(struct.pack(">hhih", 3, 1, 1, 30000) + b"abc"),
        "an unknown API": frame(9999, 0, b""),
        "an API between brokers": frame(4, 0, b"\0" * 64),
        "a version that is not served": frame(METADATA, 99, array([])),
        "a negative version": frame(METADATA, -1, array([])),
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"x" * 190,
        "an array of two billion topics": frame(METADATA, 1, struct.pack(">i", 0x7FFFFFFF)),
        "an array of a negative number of topics": frame(CREATE_TOPICS, 2, struct.pack(">i", -7)),
        "a string longer than the request": frame(METADATA, 1, struct.pack(">ih", 1, 500) + b"a"),
        "a name that ends in the middle": frame(METADATA, 1, struct.pack(">ih", 1, 5) + b"ab"),
        "garbage": framed(bytes(range(256)) * 16),
    }
    for name, data in cases.items():
        with s.test(f"{name} closes the connection with one line in the log"):
            check_refused(node, data)
    with s.test("bytes behind the end of a request are passed over, as Kafka does"):
        with Client(node.port) as client:
            assert client.call(METADATA, 1, array([text(TOPIC)]) + b"more")
    with s.test("a request that is cut off by its sender does no harm"):
        whole = frame(PRODUCE, 3, produce_body(TOPIC, 0, batch([b"cut off"])))
        for size in range(0, len(whole), 7):
            with Client(node.port) as client:
                client.socket.sendall(whole[:size])
        assert is_healthy(node)
    with s.test("requests before a bad one are answered"):
        with Client(node.port) as client:
            client.socket.sendall(frame(METADATA, 1, array([text(TOPIC)]), 41) +
                                  frame(9999, 0, b""))
            assert client.receive()[0] == 41
            assert client.is_closed()


# --- errors the protocol has ----------------------------------------------------------------------

def protocol_errors(s, node):
    with s.test("ApiVersions in an unknown version is answered in version 0, with error 35"):
        with Client(node.port) as client:
            answer = client.call(API_VERSIONS, 99, b"\0anything")
            assert struct.unpack(">h", answer[:2])[0] == UNSUPPORTED_VERSION
            assert client.metadata([TOPIC]), "the connection goes on"
    good = batch([b"a", b"b", b"c"])
    cases = {
        "with a wrong checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "of fewer records than it says": resealed(good, 57, struct.pack(">i", 9)),
        "whose last offset does not fit its count": resealed(good, 23, struct.pack(">i", 77)),
        "with bytes behind its end": good + b"\0\0\0",
        "that is cut off": good[:-5],
        "of an unknown codec": resealed(good, 21, struct.pack(">h", 7)),
        "that says it is a control batch": resealed(good, 21, struct.pack(">h", 32)),
    }
    for name, data in cases.items():
        with s.test(f"a batch {name} is refused, and the connection goes on"):
            with Client(node.port) as client:
                answer = client.call(PRODUCE, 3, produce_body(TOPIC, 0, data))
                at = 4 + 2 + len(TOPIC) + 4 + 4
                error, = struct.unpack(">h", answer[at:at + 2])
                say(f"error {error}")
                assert error not in (0, -1)
                assert client.produce(TOPIC, 0, [b"good"])[0] == 0
    with s.test("a batch above the limit is refused as too large"):
        with Client(node.port) as client:
            assert client.produce(TOPIC, 0, [b"x" * (1 << 20)])[0] == MESSAGE_TOO_LARGE
            assert client.produce(TOPIC, 0, [b"good"])[0] == 0
    with s.test("a topic or partition that does not exist has its own error"):
        with Client(node.port) as client:
            assert client.produce(TOPIC, 99, [b"x"])[0] == UNKNOWN_TOPIC
            assert client.produce("missing", 0, [b"x"])[0] == UNKNOWN_TOPIC
            assert client.fetch("missing", 0, 0)[0] == UNKNOWN_TOPIC


# --- greed ----------------------------------------------------------------------------------------

def bomb():
    """A batch that is small on the wire and large when it is unpacked."""
    packed = gzip.compress(record(0, b"\0" * BOMB_BYTES))
    tail = struct.pack(">hiqqqhii", 1, 0, 1700000000000, 1700000000000, -1, -1, -1, 1) + packed
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def greed(s, node):
    with s.test("a batch that grows a thousandfold when it is unpacked does not fill the memory"):
        pid = node.role_pid("streams")
        before = memory_bytes(pid)
        with Client(node.port, 60) as client:
            answer = client.call(PRODUCE, 3, produce_body(TOPIC, 0, bomb()))
            at = 4 + 2 + len(TOPIC) + 4 + 4
            say(f"error {struct.unpack('>h', answer[at:at + 2])[0]}")
        growth = memory_bytes(pid) - before
        say(f"{growth >> 20} MiB more")
        assert growth < BOMB_BYTES / 2 and is_healthy(node)
    with s.test(f"{IDLE_CONNECTIONS} connections that say half a word leave room for others"):
        clients = [Client(node.port) for _ in range(IDLE_CONNECTIONS)]
        for client in clients:
            client.socket.sendall(frame(METADATA, 1, array([text(TOPIC)]))[:9])
        assert is_healthy(node)
        for client in clients:
            client.socket.close()
        assert is_healthy(node)
    with s.test("a client that asks and does not read is not read any more, and fills no memory"):
        pid = node.role_pid("streams")
        with Client(node.port) as writer:
            for _ in range(20):
                assert writer.produce(TOPIC, 0, [b"x" * 900_000])[0] == 0
        before = memory_bytes(pid)
        part = struct.pack(">iqi", 0, 0, 50 << 20)
        body = struct.pack(">iiiib", -1, 0, 1, 50 << 20, 0) + \
            array([text(TOPIC) + array([part])])
        with Client(node.port) as client:
            client.socket.setblocking(False)
            sent = 0
            try:
                while sent < 2000:
                    client.socket.sendall(frame(FETCH, 4, body))
                    sent += 1
            except BlockingIOError:
                pass
            time.sleep(1)
            growth = memory_bytes(pid) - before
            say(f"{sent} requests for 18 MB each were sent; {growth >> 20} MiB more")
            assert growth < MEMORY_GROWTH_MAX and is_healthy(node)
        assert is_healthy(node)


with Scenario() as s:
    node = s.node(environment=ENVIRONMENT)
    node.start()
    pids = node.pids()
    with Client(node.port) as client:
        client.metadata([TOPIC])
    frames(s, node)
    protocol_errors(s, node)
    greed(s, node)
    with s.test("no process was restarted, and the node stops in an orderly way"):
        assert node.pids() == pids
        assert node.terminate() == 0
