#!/usr/bin/env python3
"""Control in one place and an agent in another, each with only its own part of the keys, its own
bucket and its own user.  Between them is a proxy that writes down what passes, and does harm."""
# one run only: nothing acknowledged may depend on luck

import os
import shutil
import socket
import subprocess
import tempfile

import kcat
from kcat_reader import Reader
from node import program
from proxy import Proxy, flip_a_bit, send_twice
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, Skip, say, wait_until

CONTROL_USER, STREAMS_USER = 61001, 61002
TOPIC, GROUP, KEY, VALUE = "harbour-ledger", "lighthouse-keepers", "barnacle", "quicksilver"
SECRETS = [word.encode() for word in (TOPIC, GROUP, KEY, VALUE)]
COUNT = 2000


def is_root():
    return os.getuid() == 0


def make_place(s, name, user):
    """A directory for one user, who cannot look into the other one's."""
    place = s.scratch / name
    place.mkdir(mode=0o700)
    if is_root():
        os.chown(place, user, user)
    return place


def run_as(user, *words):
    as_user = {"user": user, "group": user, "extra_groups": []} if is_root() else {}
    return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=60, **as_user)


def make_key(s, place, role, user):
    path = place / f"{role}.key"
    text = subprocess.run([program(), "key", "derive", role, "--key-file", s.scratch / "root.key"],
                          check=True, capture_output=True).stdout
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(text)
    if is_root():
        os.chown(path, user, user)
    return path


def progress(writer, what):
    count = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > count + 50 or writer.error, 60,
               f"the producer goes on {what}")
    assert writer.error is None, writer.error


def check_harm(proxy, writer, streams, harm):
    """The connection breaks, the next one is sound, and clients notice a pause at most."""
    count, lost = proxy.connection_count, streams.log().count("lost control")
    proxy.harm = harm
    wait_until(lambda: proxy.connection_count > count, 20, "the agent connects again")
    assert proxy.harm is None
    wait_until(lambda: streams.log().count("lost control") > lost, 10, "the agent lost control")
    progress(writer, f"after {harm.__name__}")


with Scenario() as s:
    for place in (s.scratch, tempfile.gettempdir()):  # the runner's own, then
        if os.stat(place).st_mode & 0o777 == 0o700:
            os.chmod(place, 0o711)
    binary = shutil.copy(program(), s.scratch / "hanse")  # where every user can run it
    os.chmod(binary, 0o755)
    subprocess.run([binary, "key", "new", "--key-file", s.scratch / "root.key"], check=True,
                   capture_output=True)
    users = {"control": CONTROL_USER, "streams": STREAMS_USER} if is_root() else {}
    control_place = make_place(s, "control", CONTROL_USER)
    streams_place = make_place(s, "streams", STREAMS_USER)
    control_key = make_key(s, control_place, "control", CONTROL_USER)
    streams_key = make_key(s, streams_place, "streams", STREAMS_USER)
    journal = f"file:{control_place}/journal"

    control, standby = (
        s.node(name, bucket=False, run_dir=control_place / "run", program=binary,
               user=users.get("control"),
               options=["--roles", "control", "--journal", journal, "--key-file", control_key,
                        "--default-partitions", 2]) for name in ("control", "standby"))
    proxy = Proxy(control.peer_port)
    streams = s.node("streams", bucket=f"file:{streams_place}/records",
                     run_dir=streams_place / "never", program=binary, user=users.get("streams"),
                     options=["--roles", "streams", "--key-file", streams_key, "--control",
                              f"127.0.0.1:{standby.peer_port},127.0.0.1:{proxy.port}"])

    with s.test("control runs without a bucket for records, an agent without a journal"):
        control.launch()
        wait_until(lambda: "leads the journal" in control.log(), 30, "control leads")
        streams.start()
        kcat.produce(streams.address, TOPIC,
                     b"".join(f"{KEY}:{VALUE} {i}\n".encode() for i in range(COUNT)), "-K", ":")
        got = kcat.consume(streams.address, TOPIC, "-o", "beginning")
        assert len(got.splitlines()) == COUNT
        reader = Reader(s, "-b", streams.address, "-G", GROUP, "-X",
                        "auto.offset.reset=earliest", TOPIC)
        wait_until(lambda: len(reader.rows) == COUNT, 30, "the group has read all of it")
        assert all(value.startswith(VALUE.encode()) for _, _, value in reader.rows)
        reader.process.terminate()
        reader.process.wait(60)
        assert not (streams_place / "never").exists()

    with s.test("neither can read what is the other's: the system does not let it"):
        if not is_root():
            raise Skip("only root can start processes of several users")
        for user, place in ((CONTROL_USER, streams_place), (STREAMS_USER, control_place)):
            looked = run_as(user, "ls", place)
            assert looked.returncode != 0 and "Permission denied" in looked.stderr, looked
        for node, user in ((control, CONTROL_USER), (streams, STREAMS_USER)):
            for pid in node.pids():
                assert os.stat(f"/proc/{pid}").st_uid == user

    with s.test("the key of one role is of no use to the other"):
        for role, key, place, user in (("control", streams_key, streams_place, STREAMS_USER),
                                       ("streams", control_key, control_place, CONTROL_USER)):
            where = ["--journal", f"file:{place}/other"] if role == "control" else \
                ["--bucket", f"file:{place}/other", "--control", "127.0.0.1:1"]
            refused = run_as(user, binary, "serve", "--roles", role, *where, "--key-file", key,
                             "--kafka", "127.0.0.1:9", "--run-dir", place / "other-run")
            say(refused.stderr.strip().splitlines()[-1])
            assert refused.returncode != 0 and f"no keys for {role}" in refused.stderr

    with s.test("a control with other keys is not believed, nor a client without"):
        other = make_place(s, "other", STREAMS_USER)
        subprocess.run([binary, "key", "new", "--key-file", s.scratch / "other.key"], check=True,
                       capture_output=True)
        shutil.copy(s.scratch / "other.key", other / "other.key")
        if is_root():
            os.chown(other / "other.key", STREAMS_USER, STREAMS_USER)
        stranger = s.node("stranger", bucket=f"file:{other}/records", run_dir=other / "run",
                          program=binary, user=users.get("streams"),
                          options=["--roles", "streams", "--control",
                                   f"127.0.0.1:{control.peer_port}", "--key-file",
                                   other / "other.key"])
        stranger.launch()
        wait_until(lambda: "has other keys" in stranger.log(), 20, "it says what is wrong")
        assert not stranger.is_serving()
        stranger.kill()
        with socket.create_connection(("127.0.0.1", control.peer_port), 5) as bare:
            bare.settimeout(60)
            bare.sendall(b"\0\0\0\x25\0\x0d\0\0\0\0\0\7 in the clear")
            try:
                while bare.recv(4096):  # an alert, perhaps
                    pass
            except ConnectionResetError:
                pass

    writer = NumberedWriter(streams.address, "numbers", 2, 300, padding=f" {VALUE}".encode(),
                            socket_timeout_ms=5000)
    writer.start()
    wait_until(lambda: len(writer.acknowledged) > 100, 30, "records")

    with s.test("a bit that is flipped on the way breaks the connection and nothing else"):
        for _ in range(3):
            check_harm(proxy, writer, streams, flip_a_bit)

    with s.test("what is sent twice on the way breaks the connection and nothing else"):
        for _ in range(3):
            check_harm(proxy, writer, streams, send_twice)

    with s.test("a whole connection that is played again is no agent"):
        said = control.log().count("is node")
        for sent in [bytes(sent) for sent in proxy.streams if len(sent) > 1000][:3]:
            with socket.create_connection(("127.0.0.1", control.peer_port), 5) as again:
                again.settimeout(60)
                try:
                    again.sendall(sent)
                    while again.recv(4096):
                        pass
                except (ConnectionResetError, BrokenPipeError, TimeoutError):
                    pass
        assert control.log().count("is node") == said
        progress(writer, "all the same")

    with s.test("control is killed, and another takes over: the agent finds it"):
        standby.launch()
        wait_until(lambda: "stands by" in standby.log(), 20, "the other one stands by")
        control.kill()
        progress(writer, "with the other one")
        assert "leads the journal" in standby.log()

    with s.test("control comes back and stands by, and takes over again"):
        control.launch()
        wait_until(lambda: "stands by" in control.log(), 20, "it stands by")
        assert standby.terminate() == 0
        progress(writer, "with the first one")

    with s.test("every acknowledged record is there exactly once"):
        writer.stop(90)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        check_exactly_once(writer, kcat.records(streams.address, "numbers"))

    with s.test("no name, key or value passed between them in the clear"):
        passed = bytes(proxy.to_target) + bytes(proxy.from_target)
        say(f"{len(passed)} bytes in {proxy.connection_count} connections")
        assert len(passed) > 100_000
        for word in [*SECRETS, b"numbers", b"127.0.0.1"]:
            assert word not in passed, word

    with s.test("and what each of them stores is for its own eyes"):
        for place in (control_place / "journal", streams_place / "records"):
            files = [path for path in place.rglob("*") if path.is_file()]
            assert files
            for path in files:
                body = path.read_bytes()
                assert not any(word in body for word in SECRETS), path

    with s.test("both stop in order"):
        assert streams.terminate() == 0
        assert control.terminate() == 0
        proxy.close()
