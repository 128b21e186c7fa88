"""Brokers at the ports that the tests of others have written into them.

They are in a network namespace of their own, where nobody else has these ports."""

import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import certificates
from kafka import Client, text
from node import Node

SASL_HANDSHAKE, SASL_AUTHENTICATE, ALTER_USER_SCRAM_CREDENTIALS = 17, 36, 51
MECHANISMS = {"sha256": 1, "sha512": 2}
ITERATIONS = 4096
START_S = 180  # patience
OPERATOR = ("operator", "a password for tests")
INSIDE = "HANSE_INTEROP_INSIDE"
ENTER = 'ip link set lo up && exec "$@"'


def enter():
    """Goes on in a namespace of its own: runs this program again, there."""
    if os.environ.get(INSIDE):
        return
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]),
             "sh", "-c", ENTER, "sh", sys.executable, *sys.argv]
    os.execvpe(words[0], words, {**os.environ, INSIDE: "yes"})


def sign_in(client, name, password):
    client.call(SASL_HANDSHAKE, 1, text("PLAIN"))
    token = f"\0{name}\0{password}".encode()
    answer = client.call(SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
    assert answer[:2] == b"\0\0", answer


class Forwarder:
    """A port that leads to another; who comes that way is `signed_in` already, (name, password)."""

    def __init__(self, port, to, signed_in=None):
        self.to, self.signed_in = to, signed_in
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                broker = Client(self.to)
                if self.signed_in:
                    sign_in(broker, *self.signed_in)
                broker = broker.socket
                broker.settimeout(None)
            except OSError:
                client.close()
                continue
            for one, other in ((client, broker), (broker, client)):
                threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()


def compact(data):
    assert len(data) < 127
    return bytes([len(data) + 1]) + data


def set_scram_password(port, user, password, algorithm, signed_in=None):
    """As an admin client does, which sends what the server keeps: the password may be short."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, ITERATIONS)
    with Client(port) as client:
        if signed_in:
            sign_in(client, *signed_in)
        row = compact(user.encode()) + bytes([MECHANISMS[algorithm]]) + \
            struct.pack(">i", ITERATIONS) + compact(salt) + compact(salted) + b"\0"
        answer = client.call(ALTER_USER_SCRAM_CREDENTIALS, 0,
                             b"\0" + b"\x01\x02" + row + b"\0")
        assert compact(user.encode()) + b"\0\0" in answer, answer


class Brokers:
    """What each suite finds; `options` are for every agent."""

    def __init__(self, program, scratch, say):
        self.program, self.scratch, self.say = str(program), scratch, say
        self.nodes, self.forwarders = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for forwarder in self.forwarders:
            forwarder.close()
        for node in reversed(self.nodes):
            node.kill()

    def cluster(self, name, ports, options=()):
        home = self.scratch / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        begun = []
        for number, port in enumerate(ports):
            own = ["--advertise", f"localhost:{port}", *options]
            if number:
                own += ["--roles", "streams", "--control",
                        f"unix:{begun[0].run_dir}/control-{begun[0].port}.sock"]
            node = Node(home, f"agent{number}", options=own, program=self.program)
            node.port, node.peer_port = port, port + 20000
            node.address = f"127.0.0.1:{port}"
            self.nodes.append(node)
            begun.append(node)
            node.start(START_S)
        self.say(f"{name}: {', '.join(node.address for node in begun)}, logs in {home}")
        return begun[0]

    def user(self, node, name, password):
        subprocess.run([self.program, "user", "add", "--admin", name, "--kafka", node.address,
                        "--run-dir", node.run_dir], check=True, input=password, text=True,
                       stdout=subprocess.DEVNULL, timeout=30)

    def kafkajs(self, suite):
        """Three listeners of each of three brokers: what is at the second, over TLS, is the first;
        behind the third are brokers of their own, since users are for all ports of a cluster."""
        home = self.scratch / "certificates"
        shutil.rmtree(home, ignore_errors=True)
        certificates.make(home)
        tls = ["--kafka-certificate", home / "server.pem",
               "--kafka-certificate-key", home / "server.key"]
        self.cluster("open", (9092, 9095, 9098), ["--default-partitions", 2, *tls])
        for port in (9093, 9096, 9099):
            self.forwarders.append(Forwarder(port, port - 1))
        guarded = self.cluster("guarded", (9094, 9097, 9100), tls)
        self.user(guarded, "test", "testtest")
        self.user(guarded, "testscram", "testtestscram=256")
        set_scram_password(guarded.port, "testscram", "testtestscram=512", "sha512",
                           ("test", "testtest"))
        for name, password in (("alice", "alicealice"), ("bob", "bobbob")):
            set_scram_password(guarded.port, name, password, "sha256", ("test", "testtest"))
        return {"PATH": f"{self.docker()}:{os.environ['PATH']}"}

    def docker(self):
        """A directory with what the tests call to give a topic more partitions."""
        place = self.scratch / "bin"
        place.mkdir(exist_ok=True)
        script = place / "docker"
        script.write_text('#!/bin/sh\n[ "$1" = exec ] || exit 0\n'
                          f'exec {self.program} topic partitions "$TOPIC" "$PARTITIONS" '
                          '--kafka 127.0.0.1:9092\n')
        script.chmod(0o755)
        return place

    def platformatic(self, suite):
        """Its fixture makes users at a port where nobody signs in: there somebody did already."""
        self.cluster("single", (9001,))
        self.cluster("cluster", (9011, 9012, 9013))
        guarded = self.cluster("guarded", (9002,), ["--kafka-reauth-ms", 5000])
        self.user(guarded, *OPERATOR)
        self.user(guarded, "admin", "replaced by the fixture")
        self.forwarders.append(Forwarder(19002, guarded.port, OPERATOR))
        return {}

    def begin(self, suite):
        """The environment for its tests."""
        start = {"kafkajs": self.kafkajs, "platformatic-kafka": self.platformatic}[suite.name]
        return {"NODE_OPTIONS": "--dns-result-order=ipv4first", **start(suite)}


def may_enter():
    return subprocess.run(["unshare", "--net", "--map-root-user", "true"], check=False,
                          capture_output=True).returncode == 0 and Path("/sbin/ip").exists()
