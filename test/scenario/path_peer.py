"""The path engine over real sockets, behind the routers of lab.py: test/nat/path_peer.c, with this
program as control, and Unix sockets where relays would be."""

import socket
import struct
import threading
import time
from pathlib import Path

from lab import MESH_PORT
from scenario import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/asan/nat/path_peer"
STUN_PORT = 3478
COOKIE = 0x2112A442


def why_not():
    return None if PROGRAM.exists() else f"{PROGRAM.relative_to(ROOT)} is not built"


class StunServer:
    """Answers binding requests at every address of a lab's server."""

    def __init__(self, server):
        self.addresses = [f"{ip4}:{STUN_PORT}" for ip4 in server.all_ip4]
        for ip4 in server.all_ip4:
            s = server.socket()
            s.bind((ip4, STUN_PORT))
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()
        if server.ip6:
            self.addresses.append(f"[{server.ip6}]:{STUN_PORT}")
            s = server.socket(family=socket.AF_INET6)
            s.bind((server.ip6, STUN_PORT))
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        while True:
            request, source = s.recvfrom(1500)
            if len(request) < 20 or request[:2] != b"\0\1":
                continue
            family = 2 if s.family == socket.AF_INET6 else 1
            address = socket.inet_pton(s.family, source[0])
            mask = struct.pack("!I", COOKIE) + request[8:20]
            address = bytes(a ^ b for a, b in zip(address, mask))
            value = struct.pack("!BBH", 0, family, source[1] ^ COOKIE >> 16) + address
            s.sendto(struct.pack("!HHI", 0x0101, 4 + len(value), COOKIE) + request[8:20] +
                     struct.pack("!HH", 0x0020, len(value)) + value, source)


class State:
    def __init__(self, words):
        self.kind, self.udp, self.relay, self.gap_ms = words[0], *map(int, words[1:4])
        self.why = " ".join(words[4:])


class PathPeer:
    def __init__(self, host, name, scratch, stun, *options, port=MESH_PORT):
        self.host, self.name = host, name
        self.socket = f"{scratch}/{name}"
        self.friends, self.changes, self.states, self.pongs = [], [], {}, []
        self.key, self.endpoints, self.info = None, [], None
        words = [word for address in stun.addresses for word in ["--stun", address]]
        self.log = open(f"{scratch}/{name}.log", "w+")
        self.process = host.spawn(PROGRAM, self.socket, port, *words, *options, stdin=-1,
                                  stdout=-1, stderr=self.log, text=True, bufsize=1)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            what, *words = line.split()
            if what == "key":
                self.key = words
            elif what == "endpoints":
                self.endpoints = [word.split("/")[0] for word in words]
                self.kinds = [int(word.split("/")[1]) for word in words]
                for friend in list(self.friends):
                    friend.say_peer(self)  # as control would
            elif what == "change":
                self.changes.append((time.monotonic(), words[0], " ".join(words[1:])))
            elif what == "state":
                self.states[words[0]] = State(words[1:])
            elif what == "info":
                self.info = [int(word) for word in words]
            elif what in ["pong", "lost"]:
                self.pongs.append([what] + words)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def say_peer(self, other):
        self.say("peer", other.name, *other.key, other.socket, *other.endpoints)

    def reset(self, other):
        """What came from the other is counted anew."""
        self.say("reset", other.name)

    def ask_state(self, other):
        self.states.pop(other.name, None)
        self.say("state", other.name)
        return self.wait(lambda: self.states.get(other.name), "a state")

    def ask_info(self):
        """UDP, VARIES, MAPPING (0: unknown, 1: no, 2: yes), and how many sockets are open."""
        self.info = None
        self.say("info")
        return self.wait(lambda: self.info, "an info")

    def wait(self, condition, what, timeout_s=10):
        end = time.monotonic() + timeout_s * PATIENCE
        while time.monotonic() < end:
            if value := condition():
                return value
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.log.seek(0)
        raise AssertionError(f"{self.name}: no {what}; it ended with {self.process.poll()}\n"
                             f"{self.log.read()[-3000:]}")

    def ready(self):
        """Its keys are there, and its network was measured."""
        self.wait(lambda: self.key and self.endpoints, "endpoints")
        self.wait(lambda: self.ask_info()[0] != 0, "answer of STUN")
        return self

    def is_direct(self, other):
        return self.ask_state(other).kind == "direct"

    def stop(self):
        """True when it ended as it should, with nothing that ASan would say."""
        self.say("end")
        return self.process.wait(40) == 0


def introduce(one, other):
    for a, b in [(one, other), (other, one)]:
        a.say_peer(b)
        b.friends.append(a)


def talk(one, other):
    one.say("talk", other.name)
    other.say("talk", one.name)


def quiet(one, other):
    one.say("quiet", other.name)
    other.say("quiet", one.name)


def wait_direct(one, other, timeout_s, what):
    """Seconds until both have a direct path to each other."""
    begin = time.monotonic()
    while not (one.is_direct(other) and other.is_direct(one)):
        if time.monotonic() > begin + timeout_s * PATIENCE:
            raise AssertionError(f"{what}: {one.ask_state(other).why}; "
                                 f"{other.ask_state(one).why}")
        time.sleep(0.1)
    return time.monotonic() - begin


class World:
    """A lab with STUN, and peers in it."""

    def __init__(self, scenario, lab):
        self.scenario, self.lab = scenario, lab
        self.stun = StunServer(lab.server("stun", addresses=2, ipv6=True))
        self.peers = []
        self.count = 0

    def peer(self, name, kind="open", *options, host=None, **settings):
        host = host or self.lab.host(name, kind, **settings)
        self.count += 1
        peer = PathPeer(host, f"{name}.{self.count}", self.scenario.scratch, self.stun, *options)
        self.peers.append(peer)
        return peer

    def pair(self, first, second, *options, first_settings=None, second_settings=None):
        a = self.peer("a", first, *options, **(first_settings or {}))
        b = self.peer("b", second, *options, **(second_settings or {}))
        introduce(a.ready(), b.ready())
        return a, b

    def end(self):
        """No peer had anything to say about memory, or did not end."""
        wrong = [peer.name for peer in self.peers if not peer.stop()]
        self.peers = []
        assert not wrong, wrong
