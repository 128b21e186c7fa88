#!/usr/bin/env python3
"""`hanse tunnel` as a WireGuard device: configured by wg(8), with Debian's wireguard-go and with
itself on the other side, in namespaces: who begins, what is carried, who moves, dies and lies."""

# Its devices and sockets have names of their own, so it runs beside others.

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from lab import Lab, why_not
from node import IS_ASAN, program
from scenario import BROKEN, Scenario, Skip, say, skip_all, wait_until

# timeout: 300 s
SOCKETS = Path("/var/run/wireguard")
BYTES = (8 if IS_ASAN else 32) << 20
FLOOD = 20_000
# A datagram may be lost on a busy machine, and a handshake is tried again after 5 s.
PATIENCE_S = 10  # of wait_until()
CONNECT_S = 40
FIRST_S = 15  # a packet that waits for a handshake, which may need its second try
NUMBER = iter(range(1000))


def key():
    return subprocess.run(["wg", "genkey"], capture_output=True, text=True,
                          check=True).stdout.strip()


class Device:
    """One end: a device in a host's namespace, ours or wireguard-go's."""

    def __init__(self, s, host, number, kind="hanse", port=0, offloads="all", threads=0):
        self.s, self.host, self.kind, self.offloads = s, host, kind, offloads
        self.threads = ["--threads", str(threads)] if threads else []
        self.name = f"w{os.getpid() % 1000000}x{next(NUMBER)}"
        self.ip4, self.ip6 = f"10.9.0.{number}", f"fd09::{number}"
        self.port = port or 41600 + number
        self.socket = SOCKETS / f"{self.name}.sock"
        self.log = s.scratch / f"{self.name}.log"
        self.key_file = s.scratch / f"{self.name}.key"
        self.set_key()

    def set_key(self):
        self.key_file.write_text(key())
        self.key_file.chmod(0o600)
        self.public = subprocess.run(["wg", "pubkey"], input=self.key_file.read_text(), text=True,
                                     capture_output=True, check=True).stdout.strip()

    def start(self):
        command = ([program(), "tunnel", self.name, "--offloads", self.offloads, *self.threads]
                   if self.kind == "hanse" else ["wireguard-go", "-f", self.name])
        with open(self.log, "ab") as log:
            self.process = self.host.spawn(*command, stdout=log, stderr=log,
                                           env={**os.environ, "LOG_LEVEL": "info"})
        wait_until(lambda: self.process.poll() is not None or self.answers(), PATIENCE_S,
                   f"{self.name} answers")
        assert self.process.poll() is None, f"ended at once: {self.log.read_text()}"
        self.wg("set", self.name, "private-key", self.key_file, "listen-port", self.port)
        self.host.ip(f"addr add {self.ip4}/24 dev {self.name}",
                     f"addr add {self.ip6}/64 dev {self.name} nodad",
                     f"link set {self.name} mtu 1420 up")
        self.host.settle()

    def answers(self):
        return self.wg("show", self.name, check=False).returncode == 0

    def wg(self, *words, check=True, **settings):
        return self.host.run("wg", *words, check=check, **settings)

    def knows(self, other, endpoint=None, *words):
        at = ["endpoint", endpoint] if endpoint else []
        self.wg("set", self.name, "peer", other.public, "allowed-ips",
                f"{other.ip4}/32,{other.ip6}/128", *at, *words)

    def at(self):
        return f"{self.host.ip4}:{self.port}"

    def is_answered(self, other, *words, count=1, wait_s=2, v6=False):
        """Whether each of count pings is."""
        done = self.host.run("ping", "-c", count, "-i", "0.05", "-W", wait_s, *words,
                             other.ip6 if v6 else other.ip4, check=False)
        return f" {count} received" in done.stdout

    def ping(self, other, *words, **settings):
        """Until it is answered."""
        wait_until(lambda: self.is_answered(other, *words, **settings), PATIENCE_S,
                   f"{other.name} answers {self.name}")

    def ping_first(self, other):
        """The first packet is answered already, however long the handshake takes."""
        assert self.is_answered(other, wait_s=FIRST_S), f"{other.name} does not answer {self.name}"

    def is_silent(self, other, *words):
        return not self.is_answered(other, *words, wait_s=1)

    def show(self, what, peer):
        for line in self.wg("show", self.name, what).stdout.splitlines():
            if line.startswith(peer.public):
                return line.split("\t")[1:]
        return []

    def handshake_s(self, peer):
        return int(self.show("latest-handshakes", peer)[0])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=CONNECT_S)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def rss_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


@contextlib.contextmanager
def pair(s, lab, kinds=("hanse", "hanse"), offloads="all", hosts=None):
    hosts = hosts or (lab.host("a"), lab.host("b"))
    # One of them does it with several threads, whatever cores there are.
    a = Device(s, hosts[0], 1, kinds[0], offloads=offloads, threads=4)
    b = Device(s, hosts[1], 2, kinds[1], offloads=offloads)
    try:
        for d in (a, b):
            d.start()
        yield a, b
    finally:
        for d in (a, b):
            with contextlib.suppress(Exception):
                d.stop()
            if d.kind == "hanse" and d.log.exists():
                for line in d.log.read_text(errors="replace").splitlines():
                    if BROKEN.search(line):
                        BROKEN_LINES.append(f"{d.name}: {line}")


BROKEN_LINES = []


def carry(sender, receiver, v6=False):
    """Bytes through TCP, which arrive as they were."""
    listener = receiver.host.socket(socket.SOCK_STREAM, socket.AF_INET6 if v6 else socket.AF_INET)
    listener.bind((receiver.ip6 if v6 else receiver.ip4, 0))
    listener.listen()
    listener.settimeout(CONNECT_S)
    client = sender.host.socket(socket.SOCK_STREAM, socket.AF_INET6 if v6 else socket.AF_INET)
    client.settimeout(CONNECT_S)
    data = random.randbytes(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()

    def send():
        client.connect(listener.getsockname()[:2])
        for i in range(BYTES >> 20):
            part = data[i * 4099 % 65536:]
            client.sendall(part)
            sent.update(part)
        client.close()

    thread = threading.Thread(target=send)
    thread.start()
    connection, _ = listener.accept()
    connection.settimeout(CONNECT_S)
    while part := connection.recv(1 << 18):
        got.update(part)
    thread.join()
    connection.close()
    listener.close()
    assert sent.digest() == got.digest(), "what arrived is not what was sent"


def iperf(sender, receiver, *words):
    receiver.host.spawn("iperf3", "-s", "-1", "-B", receiver.ip4, stdout=subprocess.DEVNULL)
    end = time.monotonic() + CONNECT_S
    while True:
        done = sender.host.run("iperf3", "-J", "-t", 1, "-c", receiver.ip4, *words, check=False)
        if done.returncode == 0:
            sums = json.loads(done.stdout)["end"]
            if "sum" in sums or "sum_received" in sums:
                return sums
            # On a busy machine it may end well and say nothing.
            receiver.host.spawn("iperf3", "-s", "-1", "-B", receiver.ip4,
                                stdout=subprocess.DEVNULL)
        assert time.monotonic() < end, done.stdout[-500:]
        time.sleep(0.1)


# --- what works with others, whoever begins ----------------------------------------------------

def check_pair(s, lab, kinds, words, offloads="all"):
    with pair(s, lab, kinds, offloads) as (a, b):
        with s.test(f"{words}: pings over IPv4 and IPv6"):
            a.knows(b, b.at())
            b.knows(a)
            a.ping(b, count=3)
            a.ping(b, count=3, v6=True)
            b.ping(a, count=3)
            assert b.show("endpoints", a) == [a.at()]
            assert a.handshake_s(b) > 0 and b.handshake_s(a) > 0
        with s.test(f"{words}: TCP arrives as it was sent, both ways"):
            carry(a, b)
            carry(b, a)
            carry(a, b, v6=True)
        with s.test(f"{words}: UDP of all sizes, and large pings in fragments"):
            for size in [0, 1, 15, 16, 17, 1391, 1392, 1393, 4000, 20000]:
                a.ping(b, "-s", size)
                b.ping(a, "-s", size)
        if offloads != "all":
            return
        with s.test(f"{words}: a session ends and another one begins"):
            before = a.handshake_s(b)
            b.wg("set", b.name, "peer", a.public, "remove")
            assert a.is_silent(b)
            time.sleep(max(0, before + 1.05 - time.time()))
            b.knows(a, a.at())
            b.ping(a)  # b begins this time
            a.ping(b)
            assert a.handshake_s(b) > before


def check_speed(s, lab):
    with pair(s, lab) as (a, b), s.test("iperf3, TCP and UDP, one second each"):
        if not shutil.which("iperf3"):
            raise Skip("iperf3 is not installed")
        a.knows(b, b.at())
        b.knows(a)
        for words in ([], ["-R"], ["-P", "4"]):
            bits = iperf(a, b, *words)["sum_received"]["bits_per_second"]
            say(f"TCP {' '.join(words)} {bits / 1e9:.2f} Gbit/s")
            assert bits > 1e6
        wait_until(lambda: udp_loss_percent(a, b) < 20, PATIENCE_S, "not much is lost")


def udp_loss_percent(a, b):
    percent = iperf(a, b, "-u", "-b", "50M")["sum"]["lost_percent"]
    say(f"UDP at 50 Mbit/s: {percent:.2f} % lost")
    return percent


# --- rules ------------------------------------------------------------------------------------

def check_rules(s, lab):
    with pair(s, lab) as (a, b):
        a.knows(b, b.at())
        b.knows(a)
        a.ping(b)
        with s.test("what comes from an address that is not the peer's is dropped"):
            a.host.ip(f"addr add 10.9.0.77/24 dev {a.name}")
            a.host.settle()
            b.host.run("ip", "route", "replace", "10.9.0.77/32", "dev", b.name)
            b.wg("set", b.name, "peer", key_public(), "allowed-ips", "10.9.0.77/32")
            assert a.is_silent(b, "-I", "10.9.0.77")
            a.ping(b)
            b.knows(a)
            b.wg("set", b.name, "peer", a.public, "allowed-ips", "10.9.0.1/32,10.9.0.77/32")
            a.ping(b, "-I", "10.9.0.77")
        with s.test("the longest prefix says which peer, and a prefix moves"):
            stranger = key_public()
            a.wg("set", a.name, "peer", stranger, "allowed-ips", "10.9.0.0/24")
            a.ping(b)
            a.wg("set", a.name, "peer", stranger, "allowed-ips", "10.9.0.2/32")
            assert a.is_silent(b)
            a.knows(b)
            a.ping(b)
            a.wg("set", a.name, "peer", stranger, "remove")
        with s.test("packets are padded, and never beyond the MTU"):
            for mtu in [1280, 1390]:
                for d in (a, b):
                    d.host.run("ip", "link", "set", d.name, "mtu", mtu)
                time.sleep(1.1)  # it is asked for once a second
                for size in [mtu - 28, mtu - 29, mtu - 44]:
                    a.ping(b, "-M", "do", "-s", size)
        with s.test("another key of ours: the old one is refused, the new one at once taken"):
            old = a.public
            a.set_key()
            a.wg("set", a.name, "private-key", a.key_file)
            assert a.is_silent(b)
            b.wg("set", b.name, "peer", old, "remove")
            b.knows(a, a.at())
            b.ping_first(a)
        with s.test("preshared keys must agree"):
            psk = s.scratch / "psk"
            psk.write_text(key())
            psk.chmod(0o600)
            for d, other in ((a, b), (b, a)):
                d.wg("set", d.name, "peer", other.public, "remove")
            a.knows(b, b.at(), "preshared-key", psk)
            b.knows(a)
            assert a.is_silent(b)
            b.wg("set", b.name, "peer", a.public, "preshared-key", psk)
            b.knows(a, a.at())
            b.ping_first(a)


def key_public():
    return subprocess.run(["wg", "pubkey"], input=key(), text=True, capture_output=True,
                          check=True).stdout.strip()


def check_configuration(s, lab):
    with pair(s, lab) as (a, b):
        a.knows(b, b.at(), "persistent-keepalive", "25")
        b.knows(a)
        with s.test("wg showconf, setconf and syncconf give the same back"):
            a.wg("set", a.name, "fwmark", "0x1234")
            before = a.wg("showconf", a.name).stdout
            assert "PersistentKeepalive = 25" in before and "FwMark = 0x1234" in before
            saved = s.scratch / "saved.conf"
            saved.write_text(before)
            a.wg("set", a.name, "fwmark", "0", "peer", b.public, "remove")
            assert a.wg("showconf", a.name).stdout != before
            a.wg("setconf", a.name, saved)
            assert a.wg("showconf", a.name).stdout == before
            a.wg("syncconf", a.name, saved)
            assert a.wg("showconf", a.name).stdout == before
            a.ping(b)
        with s.test("a thousand peers with three prefixes each are set, shown and removed"):
            lines = "".join(f"[Peer]\nPublicKey = {key_public_of(i)}\nAllowedIPs = "
                            f"10.{100 + i // 256}.{i % 256}.0/24, fd10:{i:x}::/64, "
                            f"172.20.{i // 256}.{i % 256}/32\n" for i in range(1, 1001))
            many = s.scratch / "many.conf"
            many.write_text(a.wg("showconf", a.name).stdout + lines)
            a.wg("setconf", a.name, many)
            assert len(a.wg("show", a.name, "peers").stdout.split()) == 1001
            a.ping(b)
            a.wg("syncconf", a.name, s.scratch / "saved.conf")
            assert a.wg("show", a.name, "peers").stdout.split() == [b.public]
        with s.test("a port that is taken is refused, and the old one stays"):
            taken = a.host.socket()
            taken.bind(("0.0.0.0", 41999))
            assert a.wg("set", a.name, "listen-port", "41999", check=False).returncode != 0
            assert a.wg("show", a.name, "listen-port").stdout.strip() == str(a.port)
            a.ping(b)
        with s.test("what is no request is answered with an error"):
            for request in [b"\n\n", b"get=2\n\n", b"set=1\nprivate_key=12\n\n",
                            b"set=1\nallowed_ip=10.0.0.0/8\n\n", b"set=1\nlisten_port=65536\n\n",
                            b"set=1\npublic_key=" + b"0" * 64 + b"\n\n", b"x" * 3000 + b"\n\n",
                            bytes(range(256)) + b"\n\n"]:
                with socket.socket(socket.AF_UNIX) as c:
                    c.settimeout(CONNECT_S)
                    c.connect(str(a.socket))
                    c.sendall(request)
                    assert c.recv(1000) == b"errno=22\n\n", request
            a.ping(b)
        with s.test("only its owner may open the socket"):
            assert a.socket.stat().st_mode & 0o077 == 0
        with s.test("a second process for the same device is refused"):
            done = a.host.run(program(), "tunnel", a.name, check=False)
            assert done.returncode == 1 and "busy" in done.stdout, done.stdout
            a.ping(b)
        with s.test("removing the socket, or the device, ends the process"):
            a.socket.unlink()
            assert a.process.wait(timeout=CONNECT_S) == 0
            b.host.run("ip", "link", "del", b.name)
            assert b.process.wait(timeout=CONNECT_S) == 0
            assert not b.socket.exists()


def key_public_of(number):
    """Any 32 bytes are a key."""
    import base64
    return base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()


# --- who moves, who sleeps, who dies ----------------------------------------------------------

def check_roaming(s, lab):
    for kinds in (("hanse", "hanse"), ("hanse", "go"), ("go", "hanse")):
        with pair(s, lab, kinds) as (a, b), s.test(f"{kinds[1]} follows {kinds[0]} that moves"):
            need_go(kinds)
            a.knows(b, b.at())
            b.knows(a)
            a.ping(b)
            before = b.show("endpoints", a)
            if kinds[0] == "hanse":  # the other one goes on with the address it had
                a.host.join(lab.internet)
                a.ping(b)
                after = b.show("endpoints", a)
                assert before != after == [a.at()], (before, after)
                b.ping(a)
            a.wg("set", a.name, "listen-port", "41777")
            a.ping(b)
            assert b.show("endpoints", a) == [f"{a.host.ip4}:41777"]
            b.ping(a)


def check_ipv6_outside(s, lab):
    hosts = [lab.host(name, ipv6=True) for name in "ab"]
    for kinds in (("hanse", "hanse"), ("hanse", "go")):
        with pair(s, lab, kinds, hosts=hosts) as (a, b):
            with s.test(f"over IPv6 outside, and from there to IPv4, with {kinds[1]}"):
                need_go(kinds)
                a.knows(b, f"[{b.host.ip6}]:{b.port}")
                b.knows(a)
                a.ping(b)
                assert b.show("endpoints", a) == [f"[{a.host.ip6}]:{a.port}"]
                carry(a, b)
                a.knows(b, b.at())
                a.ping(b)
                assert b.show("endpoints", a) == [a.at()]
                carry(b, a)


def check_nat(s, lab):
    router = lab.router("apdf", udp_timeout_s=2)
    inside = lab.host("inside", router=router)
    with pair(s, lab, hosts=(inside, lab.host("outside"))) as (a, b):
        with s.test("behind a NAT that forgets after 2 s, a keepalive of 1 s keeps the way open"):
            a.knows(b, b.at())
            b.knows(a)
            wait_until(lambda: a.is_answered(b) and b.is_answered(a), PATIENCE_S,
                       "b answers a, and at once a answers b")
            time.sleep(3)
            assert b.is_silent(a), "the NAT forgets nothing"
            a.knows(b, b.at(), "persistent-keepalive", "1")
            time.sleep(3.5)
            b.ping(a)


def check_death(s, lab):
    with pair(s, lab) as (a, b):
        a.knows(b, b.at())
        b.knows(a, a.at())
        a.ping(b)
        with s.test("killed and started again, it is back with the first packet"):
            b.kill()
            assert b.socket.exists()  # a killed process leaves it, and that is no obstacle
            b.start()
            b.knows(a, a.at())
            b.ping_first(a)
            a.ping(b)
        with s.test("garbage on the port: bounded memory, and the tunnel goes on"):
            flood(s, lab, a, b)


def flood(s, lab, a, b):
    attacker = lab.host("attacker")
    out = attacker.socket()
    dice = s.seed()
    before = b.rss_kib()
    real = b"\x01\0\0\0" + dice.randbytes(144)
    for i in range(FLOOD):
        kind, size = dice.choice([(1, 148), (2, 92), (3, 64), (4, 32), (4, 1400), (4, 20),
                                  (1, 147), (0, 60), (9, 9000), (4, 48)])
        datagram = bytes([kind, 0, 0, 0]) + dice.randbytes(size - 4)
        if i % 7 == 0:
            datagram = real[:dice.randrange(len(real))] + datagram
        out.sendto(datagram, (b.host.ip4, b.port))
        if i % 2000 == 0:
            a.ping(b)
    a.ping(b, count=3)
    grown = b.rss_kib() - before
    say(f"{FLOOD} datagrams of garbage: {grown} KiB more")
    assert grown < (64 << 10 if IS_ASAN else 4 << 10)


def need_go(kinds):
    if "go" in kinds and not shutil.which("wireguard-go"):
        raise Skip("wireguard-go is not installed")


def main():
    for tool in ("wg", "ping"):
        if not shutil.which(tool):
            skip_all(f"{tool} is not installed")
    if why_not():
        skip_all(why_not())
    if not os.path.exists("/dev/net/tun"):
        skip_all("/dev/net/tun is not there")
    with Scenario(checks_logs=False) as s, Lab(s.scratch) as lab:
        if shutil.which("wireguard-go"):
            check_pair(s, lab, ("hanse", "go"), "ours begins with wireguard-go")
            check_pair(s, lab, ("go", "hanse"), "wireguard-go begins with ours")
        else:
            with s.test("with wireguard-go on the other side, 8 tests and roaming"):
                raise Skip("wireguard-go is not installed")
        check_pair(s, lab, ("hanse", "hanse"), "two of ours")
        check_pair(s, lab, ("hanse", "hanse"), "two of ours without offloads", "none")
        check_speed(s, lab)
        check_rules(s, lab)
        check_configuration(s, lab)
        check_roaming(s, lab)
        check_ipv6_outside(s, lab)
        check_nat(s, lab)
        check_death(s, lab)
        with s.test("no process reported a bug of its own"):
            assert not BROKEN_LINES, "\n".join(BROKEN_LINES[:20])


if __name__ == "__main__":
    main()
