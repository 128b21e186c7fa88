#!/usr/bin/env python3
"""Many clients that together want more memory than there may be: answers that nobody takes,
requests that do not end. The process stays below its limits, and who takes what he asked for is
served."""

import socket
import struct
import time
from pathlib import Path

from kafka import FETCH, PRODUCE, Client, array, batch, frame, produce_body, text
from node import release_program
from scenario import Scenario, say, wait_until

TOPIC = "much"
GREEDY = 50
FETCHES = 3  # of each, without reading
FETCH_BYTES = 55 << 20
REQUEST_BYTES = 100 << 20
SENT_BYTES = 20 << 20  # of each announced request
BATCHES = 66
SMALL_WINDOW_BYTES = 8192  # else the kernel takes the answers of those who do not
# AGENT_ANSWER_BYTES_MAX or AGENT_BUFFERED_BYTES_MAX, the cache of blocks, what the heap keeps.
GROWTH_MAX = (256 + 64 + 64 + 40) << 20
SLOW_S = 30  # AGENT_SLOW_MS


def memory_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return 0


def greedy_fetch():
    part = struct.pack(">iqi", 0, 0, FETCH_BYTES)
    return frame(FETCH, 4, struct.pack(">iiiib", -1, 0, 1, FETCH_BYTES, 0) +
                 array([text(TOPIC) + array([part])]))


def idler(node):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
    client.connect(("127.0.0.1", node.port))
    return client


def highest_growth(pid, before, seconds):
    highest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        highest = max(highest, memory_bytes(pid) - before)
        time.sleep(0.05)
    say(f"{highest >> 20} MiB more at most")
    return highest


def gets_records(client):
    error, _, records = client.fetch(TOPIC, 0, 0)
    return error == 0 and len(records) > 0


def fill(node):
    with Client(node.port) as client:
        client.metadata([TOPIC])
        body = produce_body(TOPIC, 0, batch([b"x" * 900_000]))
        for _ in range(BATCHES):
            client.call(PRODUCE, 3, body)


def unread_answers(s, node, pid):
    clients = []
    with s.test(f"{GREEDY} clients that fetch {FETCH_BYTES >> 20} MiB and do not read are bounded"):
        before = memory_bytes(pid)
        for _ in range(GREEDY):
            clients.append(idler(node))
            clients[-1].sendall(greedy_fetch() * FETCHES)
        assert highest_growth(pid, before, 5) < GROWTH_MAX
    # S4
    with s.test("meanwhile others produce, and after a while they also get records"):
        with Client(node.port, 2 * SLOW_S) as client:
            assert client.produce(TOPIC, 0, [b"small"])[0] == 0
            begin = time.monotonic()
            wait_until(lambda: gets_records(client), 2 * SLOW_S, "records")
            say(f"after {time.monotonic() - begin:.1f} s")
    for client in clients:
        client.close()


def feed(clients, left):
    """As much as the server takes; true when nobody has anything left."""
    for client in clients:
        try:
            while left[client] > 0:
                left[client] -= client.send(bytes(min(left[client], 1 << 20)))
        except BlockingIOError:
            pass
    return not any(left.values())


def endless_requests(s, node, pid):
    clients = [idler(node) for _ in range(GREEDY)]
    with s.test(f"{GREEDY} clients that announce {REQUEST_BYTES >> 20} MiB each are not all read"):
        before = memory_bytes(pid)
        for client in clients:
            client.sendall(struct.pack(">ihhi", REQUEST_BYTES, PRODUCE, 3, 1))
            client.setblocking(False)
        left = {client: SENT_BYTES for client in clients}
        for _ in range(20):
            feed(clients, left)
            assert highest_growth(pid, before, 0.1) < GROWTH_MAX
        stuck = sum(1 for bytes_left in left.values() if bytes_left > 0)
        say(f"{stuck} were told to wait")
        assert stuck >= GREEDY - 3
        with Client(node.port) as client:
            assert client.produce(TOPIC, 0, [b"small"])[0] == 0
    with s.test("when they go, large requests of others are read again"):
        for client in clients:
            client.close()
        with Client(node.port) as client:
            assert client.produce(TOPIC, 0, [b"x" * 900_000])[0] == 0


with Scenario() as s:
    node = s.node(program=release_program())
    node.start()
    fill(node)
    pid = node.role_pid("streams")
    unread_answers(s, node, pid)
    endless_requests(s, node, pid)
    with s.test("no process was restarted, and the node stops in an orderly way"):
        assert node.role_pid("streams") == pid
        assert node.terminate() == 0
