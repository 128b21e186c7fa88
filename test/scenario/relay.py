#!/usr/bin/env python3
# A relay by itself: `hanse up --roles relay`, asked by tools of the official client (derpprobe,
# stunc, derper) where they are, and by frames of our own.  What the realm would answer is played
# here, on its socket.  Its ports are its own, so it runs beside others.  timeout: 300 s

import bisect
import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import derp
import official
from node import free_port, program
from scenario import BROKEN, Scenario, Skip, skip_all, wait_until

FLOOD_PACKETS = 3000
IDLE_CLIENTS = 200
SLOW_S = 4
QUEUE_BYTES_MAX = 1600000  # the relay's and the system's; the system alone would take 4 MB


class Realm(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """What is said at realm.sock, and what is answered: everybody may come in but `banned`."""

    daemon_threads = True

    def __init__(self, path):
        self.puts, self.asked, self.banned, self.status = [], [], set(), 200
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, document):
        body = json.dumps(document).encode()
        with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self):
        self.server.puts.append((self.path, self.body()))
        self.answer(self.server.status, {})

    def do_POST(self):
        key = self.body()["NodePublic"]
        self.server.asked.append(key)
        self.answer(200, {"Allow": key not in self.server.banned})

    def address_string(self):
        return "relay"

    def log_message(self, *words):
        pass


class Relay:
    def __init__(self, s, name, *options):
        self.directory = Path(s.scratch) / name
        self.directory.mkdir()
        self.run = self.directory / "run"
        self.run.mkdir(mode=0o700)
        self.state = self.directory / "state"
        self.port, self.stun = free_port(), free_port(socket.SOCK_DGRAM)
        self.log_path = self.directory / "log"
        self.words = [program(), "up", "--roles", "relay", "--name", name, "--state", self.state,
                      "--run-dir", self.run, "--address", "127.0.0.1",
                      "--relay", f"127.0.0.1:{self.port}", "--stun", f"127.0.0.1:{self.stun}",
                      *options]
        self.realm = Realm(self.run / "realm.sock")
        self.s = s

    def starts(self):
        return self.log_path.read_bytes().count(b"Hanse is up") if self.log_path.exists() else 0

    def start(self):
        before = self.starts()
        with open(self.log_path, "ab") as log:
            plain = {name: value for name, value in os.environ.items()
                     if not name.startswith("HANSE_")}
            # what was freed is not kept for long, so that memory can be looked at
            plain["ASAN_OPTIONS"] = "quarantine_size_mb=1:" + plain.get("ASAN_OPTIONS", "")
            self.process = self.s.spawn(*self.words, stderr=log, stdout=log, env=plain)
        wait_until(lambda: self.starts() > before, 20, "the relay is up")
        return self

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def certificate(self):
        return self.state / "relay-certificate"

    def fingerprint(self):
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return hashlib.sha256(der).hexdigest()

    def pid(self):
        """Of the process that relays."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def rss_mb(self):
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


# --- our own frames ------------------------------------------------------------------------------

def check_packets(relay):
    a, b = derp.Client(relay.address), derp.Client(relay.address)
    a.send_packet(b.key.public, b"hello")
    assert b.read_kind(derp.RECEIVE) == a.key.public + b"hello"
    b.send_packet(a.key.public, b"x" * 65536)
    assert len(a.read_kind(derp.RECEIVE)) == 32 + 65536
    a.close()
    gone = b.read_kind(derp.GONE)
    assert gone == a.key.public + b"\0"
    b.close()


def check_admission(relay):
    key = derp.Key()
    text = "nodekey:" + key.public.hex()
    derp.Client(relay.address, key).close()
    assert text in relay.realm.asked
    relay.realm.banned.add(text)
    try:
        derp.Client(relay.address, key)
        raise AssertionError("it was let in")
    except (ConnectionError, ssl.SSLError):
        pass


def check_realm_away(relay):
    known, stranger = derp.Key(), derp.Key()
    derp.Client(relay.address, known).close()
    relay.realm.end()
    derp.Client(relay.address, known).close()
    try:
        derp.Client(relay.address, stranger)
        raise AssertionError("a stranger was let in")
    except (ConnectionError, ssl.SSLError):
        pass
    (relay.run / "realm.sock").unlink()
    relay.realm = Realm(relay.run / "realm.sock")
    derp.Client(relay.address, stranger).close()


def check_slow_reader(relay):
    """It loses packets, and nobody else does; memory stays where it is."""
    sender, slow, quick = (derp.Client(relay.address) for _ in range(3))
    before = relay.rss_mb()
    got = []

    def read():
        while len(got) < FLOOD_PACKETS // 10:
            got.append(quick.read_kind(derp.RECEIVE))
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for i in range(FLOOD_PACKETS):
        sender.send_packet(slow.key.public, b"s" * 16000)
        if i % 10 == 0:
            sender.send_packet(quick.key.public, b"q" * 100)
    wait_until(lambda: len(got) == FLOOD_PACKETS // 10, 20, "the quick one gets its packets")
    grown = relay.rss_mb() - before
    assert grown < 20, f"{grown:.0f} MiB more"
    for client in sender, slow, quick:
        client.close()


def check_age(relay):
    """How much waits in front of a packet for a slow reader: what that reads while it waits."""
    sender = derp.Client(relay.address)
    slow = derp.Client(relay.address, receive_bytes=65536)
    is_over = threading.Event()

    def flood():
        while not is_over.is_set():
            for _ in range(10):
                stamp = struct.pack(">d", time.monotonic())
                sender.send_packet(slow.key.public, stamp + b"x" * 1372)
            time.sleep(0.001)
    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    read, sent_at = [], []  # when the reader had so many packets
    end = time.monotonic() + SLOW_S
    while time.monotonic() < end:
        for _ in range(40):
            packet = slow.read_kind(derp.RECEIVE)
            sent_at.append(struct.unpack(">d", packet[32:40])[0])
            read.append(time.monotonic())
        time.sleep(0.05)
    is_over.set()
    flooding.join()
    ahead = [i - bisect.bisect(read, sent_at[i]) for i in range(len(read) // 2, len(read))]
    queue = sorted(ahead)[len(ahead) // 2] * 1380
    print(f"# {queue / 1e6:.2f} MB wait for a slow reader", flush=True)
    assert queue < QUEUE_BYTES_MAX, queue
    sender.close()
    slow.close()


def check_garbage(relay):
    """Every place where bytes are read gets some that make no sense, and a client lives on."""
    witness, friend = derp.Client(relay.address), derp.Client(relay.address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    upgrade = b"GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"
    for size in 1, 100, 5000, 100000:
        with socket.create_connection(relay.address, 5) as plain:
            try:
                plain.sendall(os.urandom(size))
            except ConnectionError:
                pass
        for before in b"", upgrade, upgrade + derp.frame(derp.CLIENT_INFO, os.urandom(200)):
            with socket.create_connection(relay.address, 5) as plain:
                try:
                    context.wrap_socket(plain).sendall(before + os.urandom(size))
                except (OSError, ssl.SSLError):
                    pass
        inside = derp.Client(relay.address)
        try:
            inside.socket.sendall(os.urandom(size))
        except (OSError, ssl.SSLError):
            pass
        inside.close()
        for _ in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(os.urandom(min(size, 1400)), ("127.0.0.1", relay.stun))
    witness.send_packet(friend.key.public, b"still here")
    assert friend.read_kind(derp.RECEIVE) == witness.key.public + b"still here"
    witness.close()
    friend.close()


def check_idle(relay):
    before = relay.rss_mb()
    clients = [derp.Client(relay.address) for _ in range(IDLE_CLIENTS)]
    each = (relay.rss_mb() - before) * 1024 / IDLE_CLIENTS
    print(f"# {each:.0f} KiB for each of {IDLE_CLIENTS} idle clients", flush=True)
    for client in clients:
        client.close()


def check_families(s):
    """0.0.0.0 is every address."""
    if not Path("/proc/net/if_inet6").exists():
        raise Skip("this machine has no IPv6")
    both = Relay(s, "both")
    both.words = [str(word).replace(f"127.0.0.1:{both.port}", f"0.0.0.0:{both.port}")
                  for word in both.words]
    both.start()
    four, six = derp.Client(("127.0.0.1", both.port)), derp.Client(("::1", both.port))
    four.send_packet(six.key.public, b"across")
    assert six.read_kind(derp.RECEIVE) == four.key.public + b"across"
    return both


def check_stop(relay):
    client = derp.Client(relay.address)
    relay.process.terminate()
    in_ms, for_ms = struct.unpack(">II", client.read_kind(derp.RESTARTING))
    assert in_ms <= 5000 and for_ms > 0
    assert relay.process.wait(60) == 0
    secret = (relay.state / "relay-key").read_text()
    relay.start()
    assert (relay.state / "relay-key").read_text() == secret
    derp.Client(relay.address).close()


# --- programs of others ---------------------------------------------------------------------------

def need(programs):
    if not programs:
        raise Skip(official.why_not())
    return programs


def run(*words, environment=None, timeout=60):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout


def check_stunc(relay, programs):
    def answers():
        code, said = run(need(programs).program("stunc"), "127.0.0.1", relay.stun)
        assert code == 0 and re.search(r"stun addr: 127\.0\.0\.1:\d+", said), said
        return True
    wait_until(answers, 10, "an answer")


def map_of(relay):
    """The map that control would make of what the relay announced."""
    path, told = relay.realm.puts[-1]
    assert path == f"/v1/relays/{told['code']}"
    node = {"Name": told["code"], "RegionID": told["region"], "HostName": told["host"],
            "IPv4": told["ipv4"], "IPv6": told["ipv6"], "STUNPort": told["stun_port"],
            "DERPPort": told["relay_port"], "CertName": told["cert_name"]}
    return {"Regions": {str(told["region"]): {
        "RegionID": told["region"], "RegionCode": told["code"], "RegionName": told["title"],
        "Nodes": [node]}}}


def check_derpprobe(s, relay, programs):
    """Its probe of TLS believes authorities only, so ours is one of them for it."""
    path = Path(s.scratch) / "map.json"
    path.write_text(json.dumps(map_of(relay)))
    place = "derp/relay-a/relay-a"

    def is_good():
        code, said = run(need(programs).program("derpprobe"), "-once", "-spread=false",
                         "-derp-map", f"file://{path}", "-bw-interval", "1s",
                         # it takes a lost packet for a fault: no more than the queue's 32
                         "-bw-probe-size-bytes", "2000000",
                         environment={"SSL_CERT_FILE": str(relay.certificate)})
        good = set(re.findall(r"good: (\S+):", said))
        assert {f"{place}/udp", f"{place}/tls", f"{place}/relay-a/bw"} <= good, said
        return True
    wait_until(is_good, 15, "the probes are content")


def check_derper(s, programs):
    """An official relay and ours in one region: each passes on what is for clients of the other."""
    key = os.urandom(32).hex()
    secret = Path(s.scratch) / "mesh.key"
    secret.write_text(key + "\n")
    secret.chmod(0o600)
    port = free_port()
    certificates = Path(s.scratch) / "derper"
    certificates.mkdir()
    # the certificate of another relay of ours will do for theirs
    donor = Relay(s, "donor").start()
    donor.process.terminate()
    donor.process.wait(60)
    donor.realm.end()
    (certificates / "127.0.0.1.crt").write_text(donor.certificate.read_text())
    (certificates / "127.0.0.1.key").write_text(
        (donor.state / "relay-certificate-key").read_text())
    ours = Relay(s, "relay-b", "--region", "950", "--relay-mesh-key", secret,
                 "--relay-mates", f"127.0.0.1:{port}={donor.fingerprint()}").start()
    with open(Path(s.scratch) / "derper.log", "ab") as log:
        s.spawn(need(programs).program("derper"), "-a", f"127.0.0.1:{port}", "-certmode", "manual",
                "-certdir", certificates, "-hostname", "127.0.0.1", "-http-port", "-1",
                "-stun=false", "-mesh-psk-file", secret, "-mesh-with", f"127.0.0.1:{ours.port}",
                "-c", certificates / "config.json", stdout=log, stderr=log,
                env={**os.environ, "SSL_CERT_FILE": str(ours.certificate)})
    theirs = ("127.0.0.1", port)
    wait_until(lambda: b"is of this region" in ours.log_path.read_bytes(), 20,
               "ours is connected to theirs")
    here, there = derp.Client(ours.address), derp.Client(theirs)

    def passes(one, two, text):
        one.socket.settimeout(0.3)
        two.socket.settimeout(0.3)

        def arrives():
            one.send_packet(two.key.public, text)
            try:
                return two.read_kind(derp.RECEIVE) == one.key.public + text
            except (TimeoutError, socket.timeout):
                return False
        wait_until(arrives, 15, f"{text!r} arrives")
    passes(here, there, b"from ours to theirs")
    passes(there, here, b"from theirs to ours")
    there.close()
    here.socket.settimeout(10)
    gone = here.read_kind(derp.GONE)
    assert gone[32] == 0, gone
    here.close()
    assert [put[1]["is_shared"] for put in ours.realm.puts] == [True]
    return ours


def check_rate(s):
    """A machine that may send so much a second, and another one that is not held up by it."""
    slow = Relay(s, "slow", "--relay-rate", "100000").start()
    a, b = derp.Client(slow.address), derp.Client(slow.address)
    began = time.monotonic()
    for i in range(8):
        a.send_packet(b.key.public, b"x" * 60000)
        if i == 2:
            b.send_packet(a.key.public, b"quick")
            assert a.read_kind(derp.RECEIVE) == b.key.public + b"quick"
            assert time.monotonic() - began < 2.5
    for _ in range(8):
        assert len(b.read_kind(derp.RECEIVE)) == 60032
    took = time.monotonic() - began
    assert 2.5 < took < 30, f"480 kB at 100 kB/s, 128 kB of them at once, took {took:.1f} s"
    return slow


def check_elsewhere(s):
    """A realm here, a relay there; an administrator brings them together with one word."""
    port = free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HANSE_")}
    directory = Path(s.scratch) / "realm"
    directory.mkdir()
    run_dir, log_path = directory / "run", directory / "log"
    with open(log_path, "ab") as log:
        s.spawn(program(), "up", "--roles", "realm", "--state", directory / "state",
                "--run-dir", run_dir, "--realm", f"127.0.0.1:{port}", "--address",
                f"127.0.0.1:{port}", stdout=log, stderr=log, env=plain)
    wait_until(lambda: b"Hanse is up" in log_path.read_bytes(), 20, "the realm is up")
    far = Relay(s, "far", "--login-server", f"http://127.0.0.1:{port}").start()
    said = wait_until(lambda: re.search(r"hanse relay add (\S+)", far.log_path.read_text()), 10,
                      "it says its word")

    def relays(*words):
        done = subprocess.run([program(), "relay", *words, "--run-dir", str(run_dir)], env=plain,
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    assert relays("list") == (0, "hanse: there are no relays yet: `hanse up` with the role relay "
                              "is one\n")
    code, text = relays("add", said[1])
    assert code == 0, text
    (told,) = json.loads(relays("list", "--json")[1])["relays"]
    assert told["name"] == "far" and 900 <= told["region"] <= 999, told
    assert told["relay_port"] == far.port and told["stun_port"] == far.stun, told
    assert told["cert_name"] == f"sha256-raw:{far.fingerprint()}", told
    assert relays("add", said[1])[0] == 0, "once more is no other relay"
    assert len(json.loads(relays("list", "--json")[1])["relays"]) == 1
    assert relays("add", said[1][:-3])[0] == 2
    try:
        derp.Client(far.address)
        raise AssertionError("somebody the realm does not know was let in")
    except (ConnectionError, ssl.SSLError):
        pass
    assert not far.realm.puts and not far.realm.asked
    code, text = relays("remove", "far")
    assert code == 0 and "`hanse relay add far`" in text and "no relay is left" in text, text
    assert relays("remove", "far")[0] == 3
    assert relays("add", "far")[0] == 0
    assert json.loads(relays("list", "--json")[1])["relays"] == [told]
    assert relays("add", "far")[0] == 3, "it is there"
    assert relays("remove", "far")[0] == 0
    assert relays("add", said[1])[0] == 0, "its word takes it back too"
    assert relays("remove", "far")[0] == 0
    return far


def check_regions(relay):
    """A region that is taken is not insisted on."""
    first = relay.realm.puts[-1][1]["region"]
    relay.process.terminate()
    relay.process.wait(60)
    relay.realm.status = 409
    relay.start()
    wait_until(lambda: len(relay.realm.puts) > 3, 10, "it asks for others")
    relay.realm.status = 200
    regions = [put[1]["region"] for put in relay.realm.puts]
    assert regions[1] == first and regions[2] == first + 1 - 100 * (first == 999), regions


def main():
    if not derp.sodium():
        skip_all("libsodium is not there for the client of this test")
    programs = official.find()
    with Scenario() as s:
        relay = Relay(s, "relay-a").start()
        relays = [relay]
        with s.test("the realm hears of the relay"):
            wait_until(lambda: relay.realm.puts, 10, "it is told")
            told = relay.realm.puts[0][1]
            assert told["cert_name"] == f"sha256-raw:{relay.fingerprint()}", told
            assert told["relay_port"] == relay.port and told["stun_port"] == relay.stun, told
        with s.test("packets go to the keys they name, and who is gone is told"):
            check_packets(relay)
        with s.test("only who the realm allows comes in"):
            check_admission(relay)
        with s.test("who was allowed once comes in while the realm is away, others do not"):
            check_realm_away(relay)
        with s.test("a slow reader loses packets, others do not, and memory does not grow"):
            check_slow_reader(relay)
        with s.test("what a slow reader gets has not waited behind megabytes"):
            check_age(relay)
        with s.test("garbage at every place hurts nobody else"):
            check_garbage(relay)
        with s.test("idle clients cost little"):
            check_idle(relay)
        with s.test("a relay that stops says so, and is the same when it is back"):
            check_stop(relay)
        with s.test("the official stunc hears its address"):
            check_stunc(relay, programs)
        with s.test("the official derpprobe finds nothing wrong"):
            check_derpprobe(s, relay, programs)
        with s.test("an official derper and our relay are one region"):
            relays.append(check_derper(s, programs))
        with s.test("IPv4 and IPv6 meet at one relay"):
            relays.append(check_families(s))
        with s.test("who may send so much a second sends no more"):
            relays.append(check_rate(s))
        with s.test("a relay elsewhere is announced with one word, and asks the realm there"):
            relays.append(check_elsewhere(s))
        with s.test("a region that is taken is not insisted on"):
            check_regions(relay)
        with s.test("no relay reported a bug of its own"):
            for it in relays:
                found = [line for line in it.log_path.read_text(errors="replace").splitlines()
                         if BROKEN.search(line)]
                assert not found, "\n".join(found[:20])


if __name__ == "__main__":
    main()
