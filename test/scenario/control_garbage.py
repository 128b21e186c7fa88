#!/usr/bin/env python3
"""Whatever is said to the port of control: bytes of no protocol, half of one, endless ones, and
thousands of connections that say nothing.  Control answers its machines all the same, and does not
grow."""

import base64
import http.client
import socket
import struct
import time
from pathlib import Path

from machine import Machine, control_options
from node import children_of, free_port, words_of
from scenario import Scenario, wait_until

ROUNDS = 60
IDLE_CONNECTIONS = 1500
GROWTH_KB_MAX = 64 * 1024


def role_pid(machine, role):
    return next(pid for pid in children_of(machine.process.pid) if f"role:{role}" in words_of(pid))


def memory_kb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def talk(port, *pieces, wait_s=0.02):
    """Says them one after the other, and reads whatever comes."""
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        s.settimeout(wait_s)
        heard = b""
        try:
            for piece in pieces:
                s.sendall(piece)
                try:
                    heard += s.recv(65536)
                except TimeoutError:
                    pass
        except OSError:
            pass
        return heard


def key_of(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/key?v=142")
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return answer.read()


def upgrade(initiation):
    return (b"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\n"
            b"Connection: upgrade\r\nX-Tailscale-Handshake: " + base64.b64encode(initiation) +
            b"\r\nContent-Length: 0\r\n\r\n")


def garbage(random):
    """One thing that nobody should say, as the pieces in which it comes."""
    noise = random.randbytes(random.randrange(1, 5000))
    initiation = struct.pack(">HBH", 142, 1, 96) + random.randbytes(96)
    return random.choice([
        (noise,),
        (b"\x16\x03\x01" + noise,),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise, noise),
        (b"GET /key HTTP/1.1\r\n" + b"X: " + noise + b"\r\n\r\n",),
        (b"POST /register HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + noise,),
        (b"GET /register/" + noise.hex().encode()[:3000] + b" HTTP/1.1\r\n\r\n",),
        (upgrade(noise[:101]), noise),
        (upgrade(initiation), noise),
        (upgrade(initiation + b"x"),),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise,),
    ])


def run_all(s):
    random = s.seed()
    port = free_port()
    control = Machine(s, "control", options=control_options(realm=port))
    control.start()
    pid = role_pid(control, "realm")
    key = key_of(port)
    for _ in range(ROUNDS):
        talk(port, *garbage(random))
    before = memory_kb(pid)

    with s.test("garbage of every kind is survived"):
        heard = [talk(port, *garbage(random), wait_s=0.005) for _ in range(4 * ROUNDS)]
        assert any(b"HTTP/1.1 4" in words for words in heard), "nobody was refused"
        assert role_pid(control, "realm") == pid, "control was restarted"
        assert key_of(port) == key

    with s.test("endless headers and bodies are cut off"):
        for begin in [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked"
                      b"\r\n\r\nffffff\r\n", b"\x16\x03\x01\xff\xff"]:
            talk(port, begin, *[b"x" * 65536] * 64, wait_s=0.001)
        assert key_of(port) == key

    with s.test(f"{IDLE_CONNECTIONS} connections that say nothing or little keep nobody out"):
        idle = []
        for i in range(IDLE_CONNECTIONS):
            idle.append(socket.create_connection(("127.0.0.1", port), 60))
            if i % 2:
                idle[-1].sendall(b"POST /ts2021 HTTP/1.1\r\n")
        begin = time.monotonic()
        assert key_of(port) == key
        assert time.monotonic() - begin < 10
        for connection in idle:
            connection.close()

    with s.test("it has not grown"):
        wait_until(lambda: memory_kb(pid) < before + GROWTH_KB_MAX, 10,
                   f"{before} kB before, {memory_kb(pid)} kB now")
        assert role_pid(control, "realm") == pid, "control was restarted"

    with s.test("control stops in order"):
        assert control.stop() == 0


with Scenario() as scenario:
    run_all(scenario)
