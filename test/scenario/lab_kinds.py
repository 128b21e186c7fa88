#!/usr/bin/env python3
"""The routers of lab.py translate and filter as the ones in the world whose names they bear; every
scenario of the mesh stands on that."""

# Its sockets are in namespaces of its own, so it runs beside others.

import os
import socket
import subprocess
import sys
import time

from lab import KINDS, MESH_PORT, Lab, why_not
from scenario import Scenario, skip_all

# Who gets in at the port that our datagram to one server left by, and from how many ports our
# datagrams to two ports of two addresses leave.
EXPECTED = {
    #        ports  same address,  other     unasked
    #               other port     address   to 41641
    "open": (1, True, True, True),
    "fw": (1, False, False, False),
    "eif": (1, True, True, True),
    "adf": (1, True, False, False),
    "apdf": (1, False, False, False),
    "adm": (2, False, False, False),
    "sym": (4, False, False, False),
    "sympm": (4, False, False, True),
}
PATIENCE_S = 10
SILENCE_S = 0.2


def arrives(receiver, sender, to, expected=True):
    """Does this datagram reach the socket, and nothing else."""
    word = os.urandom(8)
    receiver.settimeout(PATIENCE_S if expected else SILENCE_S)
    sender.sendto(word, to)
    try:
        while receiver.recvfrom(100)[0] != word:
            pass
        return True
    except TimeoutError:
        return False


def bound(host, address, port=0):
    s = host.socket()
    s.bind((address, port))
    s.settimeout(PATIENCE_S)
    return s


def seen_by(server_socket, client):
    client.sendto(b"who am I", server_socket.getsockname())
    return server_socket.recvfrom(100)[1]


def measure(server, host, expected):
    sockets = [bound(server, ip4) for ip4 in server.all_ip4[:2] for _ in range(2)]
    client = bound(host, host.ip4, MESH_PORT)
    seen = [seen_by(s, client) for s in sockets]
    assert arrives(client, sockets[0], seen[0]), "no answer gets in at all"
    other_port, other_address = bound(server, server.all_ip4[0]), bound(server, server.all_ip4[2])
    return (len({port for _, port in seen}), arrives(client, other_port, seen[0], expected[1]),
            arrives(client, other_address, seen[0], expected[2]),
            arrives(client, other_address, (seen[0][0], MESH_PORT), expected[3]))


def reaches(host, address, expected=True):
    """By TCP, port 80."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.socket(socket.SOCK_STREAM, family) as stream:
        stream.settimeout(PATIENCE_S if expected else SILENCE_S)
        try:
            stream.connect((address, 80))
            return True
        except OSError:
            return False


def listen(host):
    stream = host.socket(socket.SOCK_STREAM, socket.AF_INET6)
    stream.bind(("::", 80))
    stream.listen()
    return stream


why = why_not()
if why:
    skip_all(f"lab.py: {why}")

with Scenario(checks_logs=False) as s, Lab(s.scratch) as lab:
    server = lab.server("server", addresses=3, ipv6=True)
    web = listen(server)

    with s.test("each of the eight kinds maps and filters as its name says"):
        hosts = {kind: lab.host(kind, kind) for kind in KINDS}
        found = {kind: measure(server, host, EXPECTED[kind]) for kind, host in hosts.items()}
        assert found == EXPECTED, found

    with s.test("two hosts behind one router both get out, and see each other"):
        first = hosts["apdf"]
        second = lab.host("second", router=first.router)
        a, b = bound(first, first.ip4, 5000), bound(second, second.ip4, 5000)
        outside = bound(server, server.ip4)
        assert seen_by(outside, a) != seen_by(outside, b)
        assert arrives(a, b, (first.ip4, 5000))

    with s.test("behind two routers in a row the outer one's address is seen"):
        carrier = lab.router("apdf", lan="100.64.0.0/24")
        inner = lab.host("inner", "apdf", upstream=carrier)
        assert inner.router.ip4.startswith("100.64.0.")
        assert seen_by(bound(server, server.ip4), bound(inner, inner.ip4))[0] == carrier.ip4

    with s.test("hairpin: the own public address leads back into the LAN, where it was built"):
        for hairpin in [True, False]:
            one = lab.host("one", "eif", hairpin=hairpin)
            two = lab.host("two", router=one.router)
            a, b = bound(one, one.ip4), bound(two, two.ip4)
            assert arrives(a, b, seen_by(bound(server, server.ip4), a), hairpin) == hairpin

    with s.test("where UDP is blocked TCP still goes"):
        blocked = lab.host("blocked", "apdf", udp=False)
        assert not arrives(bound(server, server.ip4, 7), bound(blocked, blocked.ip4),
                           (server.ip4, 7), False)
        assert reaches(blocked, server.ip4)
        blocked.router.set_udp(True)
        assert arrives(bound(server, server.ip4, 7), bound(blocked, blocked.ip4), (server.ip4, 7))

    with s.test("IPv6 gets out and answers get in, with and without IPv4"):
        dual = lab.host("dual", "apdf", ipv6=True)
        six = lab.host("six", "apdf", ipv4=False, ipv6=True)
        assert reaches(dual, server.ip6) and reaches(dual, server.private)
        assert reaches(six, server.ip6) and not reaches(six, server.ip4, False)
        listening = listen(dual)
        assert not reaches(server, dual.ip6, False)

    with s.test("a mapping ends after its time, and when the router is switched off and on"):
        short = lab.host("short", "sym", udp_timeout_s=1)
        client, outside = bound(short, short.ip4), bound(server, server.ip4)
        while True:
            begin = time.monotonic()
            before, again = seen_by(outside, client), seen_by(outside, client)
            if time.monotonic() - begin < 0.7:  # else it may have ended in between
                break
        assert again == before
        time.sleep(2.2)
        after = seen_by(outside, client)
        assert after != before
        short.router.forget_connections()
        assert seen_by(outside, client) != after

    with s.test("without the drop a datagram that comes too early moves the port"):
        early = lab.host("early", "apdf", drop_input=False)
        outside, client = bound(server, server.ip4), bound(early, early.ip4, 6000)
        outside.sendto(b"too early", (early.router.ip4, 6000))
        time.sleep(0.3)
        assert seen_by(outside, client)[1] != 6000

    with s.test("a host moves to another network"):
        moving = hosts["sym"]
        before = seen_by(bound(server, server.ip4), bound(moving, moving.ip4))
        moving.join(hosts["eif"].router)
        after = seen_by(bound(server, server.ip4), bound(moving, moving.ip4))
        assert (before[0], after[0]) != (after[0], before[0])
        assert after[0] == hosts["eif"].router.ip4

    with s.test("a lab that is killed leaves no process behind"):
        program = ("import sys, time; sys.path.insert(0, sys.argv[1])\n"
                   "from lab import Lab\n"
                   "p = Lab().host('h').spawn('sleep', '1000'); print(p.pid, flush=True)\n"
                   "time.sleep(1000)")
        other = s.spawn(sys.executable, "-c", program, os.path.dirname(__file__),
                        stdout=subprocess.PIPE, text=True)
        sleeper = int(other.stdout.readline())
        os.kill(sleeper, 0)
        other.kill()
        other.wait()
        for _ in range(100):
            try:
                os.kill(sleeper, 0)
            except ProcessLookupError:
                break
            time.sleep(0.02)
        else:
            raise AssertionError("it still runs")
