#!/usr/bin/env python3
"""Files between machines: put by curl and by the official client's protocol, cut off and gone on
with, refused, expired, and waiting for who is away.  runs beside others, in network
namespaces of its own; the mesh below is played by the test (mesh_socket.py)."""

import contextlib
import hashlib
import http.client
import json
import os
import pty
import random
import shutil
import signal
import socket
import subprocess
import time

import lab as labs
from mesh_socket import MeshSocket, machine
from node import IS_ASAN, program
from scenario import Scenario, Skip, skip_all, wait_until

ADDRESSES = {"laptop": "100.64.0.1", "phone": "100.64.0.2", "alien": "100.64.0.3",
             "nobody": "100.64.0.9"}
HOSTILE = ["/../x", "/%2e%2e/x", "/a/../../x", "//etc/passwd", "/a%00b", "/a%0ab", "/%ff", "/",
           "/a//b", "/x.partial", "/" + "a" * 300, "/" + "a/" * 40 + "a", "/%", "/ b",
           "/a%2f..%2fb"]


class Machine:
    """The process `drop` of one machine."""

    def __init__(self, scratch, space, name, *options):
        self.name, self.space, self.options = name, space, options
        self.address = ADDRESSES[name]
        self.dir = scratch / name
        self.state = self.dir / "state"
        self.state.mkdir(parents=True, mode=0o700)
        self.mesh = MeshSocket(self.dir / "mesh.sock", self=machine(name, self.address))
        self.log = open(self.dir / "log", "ab")
        self.process = None

    def start(self, *options):
        self.mesh.services = []
        self.process = self.space.spawn(
            program(), "role:drop", f"--state={self.state}", f"--run-dir={self.dir}",
            "--log-level=debug", *self.options, *options, stderr=self.log)
        wait_until(lambda: len(self.mesh.services) >= 2, 10, "it says where it listens")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(self, path, method="GET", body=None):
        """Of drop.sock."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.dir / "drop.sock"))
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def inbox(self):
        return json.loads(self.ask("/v1/inbox")[1])["items"]

    def queue(self):
        return json.loads(self.ask("/v1/queue")[1])["items"]

    def usage(self):
        return json.loads(self.ask("/v1/inbox")[1])["usage"]

    def empty(self):
        for item in self.inbox():
            assert self.ask(f"/v1/inbox/{item['id']}", "DELETE")[0] == 200

    def data(self, item):
        return self.ask(f"/v1/inbox/{item['id']}")[1]

    def close(self):
        if self.mesh.server:
            self.mesh.stop()
        self.log.close()


def know_each_other(*machines):
    for m in machines:
        m.mesh.change(peers=[machine(o.name, o.address, services=o.mesh.services,
                                     online=bool(o.mesh.services)) for o in machines if o is not m]
                      + [machine("alien", ADDRESSES["alien"], user="somebody@else")])


def curl(space, sender, *words, check=True):
    """The status and what was said."""
    done = space.run("curl", "-sS", "--interface", ADDRESSES[sender], "-w", "\n%{http_code}",
                     "--max-time", "30", *words, check=False)
    text, _, status = done.stdout.rpartition("\n")
    if check and done.returncode:
        raise AssertionError(done.stdout)
    return int(status or 0), text


def raw(space, sender, port, request, to="laptop"):
    """The status of an answer to these bytes."""
    with space.socket(socket.SOCK_STREAM) as s:
        s.settimeout(60)
        s.bind((ADDRESSES[sender], 0))
        s.connect((ADDRESSES[to], port))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            answer = s.recv(65536)
            return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    return 0


def random_file(path, size):
    data = random.Random(size).randbytes(size)
    path.write_bytes(data)
    return data


def rss_mb(pid):
    text = open(f"/proc/{pid}/status").read()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def test_putting(s, space, laptop):
    file = s.scratch / "report.pdf"
    data = random_file(file, 3_000_000)

    with s.test("curl -T puts a file into the inbox, and files of a folder"):
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/")[0] == 201
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/a/b/c.pdf")[0] == 201
        assert curl(space, "phone", "-T", "-", f"http://{laptop.address}/empty",
                    check=False)[0] == 201
        items = laptop.inbox()
        assert [i["name"] for i in items] == ["report.pdf", "a/b/c.pdf", "empty"], items
        assert items[0]["from"] == "phone" and items[0]["size"] == len(data)
        assert items[0]["expires_ms"] - items[0]["received_ms"] == 30 * 86400 * 1000
        assert laptop.data(items[0]) == data == laptop.data(items[1])

    with s.test("the same name again is another file, and what came stays over a restart"):
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/")[0] == 201
        before = laptop.inbox()
        assert len(before) == 4
        laptop.stop(signal.SIGKILL)
        laptop.start()
        assert laptop.inbox() == before
        laptop.empty()
        assert laptop.inbox() == [] and not list((laptop.state / "drop/inbox").iterdir())

    with s.test("memory does not grow with a file"):
        if IS_ASAN:
            raise Skip("with a sanitizer memory is not what it is")
        big = s.scratch / "big"
        with open(big, "wb") as f:
            f.truncate(400 << 20)
        assert curl(space, "phone", "-T", big, f"http://{laptop.address}/")[0] == 201
        mb = rss_mb(laptop.process.pid)
        laptop.empty()
        assert mb < 20, mb


def test_who_may(s, space, laptop):
    file = s.scratch / "report.pdf"
    url = f"http://{laptop.address}/"

    with s.test("strangers, other people's machines and web pages are refused and learn nothing"):
        assert curl(space, "nobody", "-T", file, url, check=False)[0] == 403
        status, text = curl(space, "alien", "-T", file, url, check=False)
        assert status == 403 and "file-send" in text
        for header in ["Origin: http://evil.example", "Referer: http://evil.example/"]:
            assert curl(space, "phone", "-H", header, "-T", file, url, check=False)[0] == 403
        assert curl(space, "phone", "-H", "Host: evil.example", "-T", file, url,
                    check=False)[0] == 421
        assert curl(space, "phone", "-H", "Host: laptop", "-T", file, url)[0] == 201
        assert curl(space, "phone", "-H", "Host: laptop.home.example", "-T", file, url)[0] == 201
        assert curl(space, "alien", url + "report.pdf")[0] == 403
        assert curl(space, "phone", url + "report.pdf")[0] == 404
        assert "report" not in curl(space, "phone", url)[1]
        laptop.empty()

    with s.test("who was granted to send may"):
        laptop.mesh.change(peers=[
            machine("alien", ADDRESSES["alien"], user="somebody@else",
                    capabilities=["https://tailscale.com/cap/file-send"]),
            machine("phone", ADDRESSES["phone"])])
        wait_until(lambda: curl(space, "alien", "-T", file, url, check=False)[0] == 201, 5,
                   "the grant counts")
        laptop.empty()

    with s.test("no name leads out of the inbox"):
        for name in HOSTILE:
            path = name.replace(" ", "%20")
            request = (f"PUT {path} HTTP/1.1\r\nHost: laptop\r\nContent-Length: 2\r\n\r\nhi")
            status = raw(space, "phone", 80, request.encode())
            assert 400 <= status < 500, f"{name}: {status}"
        assert laptop.inbox() == []
        names = sorted(p.name for p in laptop.state.rglob("*"))
        assert names == ["drop", "inbox", "inbox", "partial", "partial", "queue"], names

    with s.test("garbage on its ports costs nothing"):
        noise = random.Random(7)
        for port in [80, laptop.mesh.services[-1]["port"]]:
            for _ in range(20):
                raw(space, "phone", port, noise.randbytes(noise.randrange(1, 3000)) + b"\r\n\r\n")
            raw(space, "phone", port, b"PUT /x HTTP/1.1\r\nHost: peer\r\n"
                b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert laptop.process.poll() is None
        assert laptop.inbox() == [] and laptop.usage()["incomplete_files"] == 0


def slow_put(space, file, url, *words):
    return subprocess.Popen(["curl", "-sS", "--interface", ADDRESSES["phone"], "--limit-rate",
                             "8M", *words, "-T", str(file), url],
                            preexec_fn=space.entering(), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def part_bytes(laptop):
    return sum(p.stat().st_size for p in (laptop.state / "drop/partial").rglob("data"))


def test_going_on(s, space, laptop):
    file = s.scratch / "video"
    data = random_file(file, 24_000_000)
    url = f"http://{laptop.address}/video"
    digest = hashlib.sha256(data).hexdigest()

    with s.test("killed in the middle of a file, it goes on where it was, and all is there"):
        sender = slow_put(space, file, url)
        wait_until(lambda: part_bytes(laptop) > 4_000_000, 10, "a part of the file")
        laptop.stop(signal.SIGKILL)
        assert sender.wait(60) != 0
        laptop.start()
        assert laptop.inbox() == []
        head = space.run("curl", "-sSI", "--interface", ADDRESSES["phone"], url).stdout
        offset = int(head.split("Upload-Offset: ")[1].split()[0])
        assert 4_000_000 < offset < len(data), head
        assert curl(space, "phone", "-C", str(offset + 1), "-T", file, url, check=False)[0] == 416
        assert curl(space, "phone", "-C", str(offset), "-T", file, url)[0] == 201
        assert hashlib.sha256(laptop.data(laptop.inbox()[0])).hexdigest() == digest
        laptop.empty()

    with s.test("the official client's way to go on: blocks are told, and the rest is put"):
        port = next(x["port"] for x in laptop.mesh.services if x["proto"] == "peerapi4")
        peer = f"http://{laptop.address}:{port}/v0/put/"
        sender = slow_put(space, file, peer + "video")
        wait_until(lambda: part_bytes(laptop) > 4_000_000, 10, "a part of the file")
        sender.kill()
        sender.wait()
        wait_until(lambda: curl(space, "phone", peer)[1] == '["video"]\n', 5, "the part's name")
        blocks = [json.loads(line) for line in
                  curl(space, "phone", peer + "video")[1].splitlines()]
        offset = 0
        for block in blocks:
            assert block["algo"] == "sha256"
            piece = data[offset:offset + block["size"]]
            assert hashlib.sha256(piece).hexdigest() == block["checksum"]
            offset += len(piece)
        assert offset > 4_000_000
        rest = s.scratch / "rest"
        rest.write_bytes(data[offset:])
        status, text = curl(space, "phone", "-H", "Host: peer", "-H", f"Range: bytes={offset}-",
                            "-T", rest, peer + "video")
        assert (status, text) == (200, "{}\n"), (status, text)
        assert hashlib.sha256(laptop.data(laptop.inbox()[0])).hexdigest() == digest
        assert curl(space, "phone", peer + "nothing") == (200, "")
        laptop.empty()

    with s.test("one file is sent once at a time"):
        sender = slow_put(space, file, url)
        wait_until(lambda: part_bytes(laptop) > 0, 10, "a part of the file")
        assert curl(space, "phone", "-T", file, url, check=False)[0] == 409
        assert sender.wait(60) == 0
        laptop.empty()


def test_room(s, space, laptop):
    file = s.scratch / "report.pdf"

    with s.test("a file that has no room is refused before it is sent"):
        laptop.stop()
        laptop.start("--inbox-quota=8M", "--inbox-sender-quota=4M")
        big = s.scratch / "five"
        random_file(big, 5 << 20)
        status, text = curl(space, "phone", "-T", big, f"http://{laptop.address}/", check=False)
        assert status == 507 and "one sender" in text, (status, text)
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/")[0] == 201
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/", check=False)[0] == 507
        assert curl(laptop.space, "laptop", "-T", file, f"http://{laptop.address}/")[0] == 201
        laptop.empty()
        laptop.stop()

    with s.test("a full disk loses nothing that was promised, and room helps at once"):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none",
                               str(laptop.state)], check=False)
        if done.returncode:
            laptop.start()
            raise Skip("a small disk cannot be mounted here")
        s.at_end.callback(subprocess.run, ["umount", "-l", str(laptop.state)], check=False,
                          stderr=subprocess.DEVNULL)
        laptop.start("--inbox-reserve=0")
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/kept")[0] == 201
        with open(s.scratch / "video", "rb") as video:
            done = subprocess.run(["curl", "-sS", "--interface", ADDRESSES["phone"], "-w",
                                   "%{http_code}", "-o", "/dev/null", "-T", "-",
                                   f"http://{laptop.address}/much"], stdin=video, text=True,
                                  preexec_fn=space.entering(), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=60, check=False)
        assert done.stdout == "507", done.stdout
        assert laptop.process.poll() is None
        assert laptop.data(laptop.inbox()[0]) == file.read_bytes()
        laptop.stop()
        subprocess.run(["umount", "-l", str(laptop.state)], check=True)
        laptop.start()

    with s.test("what nobody takes goes after its time, which the listing says"):
        assert curl(space, "phone", "-T", file, f"http://{laptop.address}/old")[0] == 201
        item = laptop.inbox()[0]
        meta = laptop.state / "drop/inbox" / item["id"] / "meta"
        laptop.stop()
        old = int(time.time() * 1000) - 31 * 86400 * 1000
        meta.write_text(meta.read_text().replace(str(item["received_ms"]), str(old)))
        laptop.start()
        assert laptop.inbox() == []


class Events:
    """Of drop.sock, as they come."""

    def __init__(self, m):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(m.dir / "drop.sock"))
        self.socket.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        self.socket.setblocking(False)
        self.text = b""

    def has(self, *words):
        with contextlib.suppress(BlockingIOError):
            self.text += self.socket.recv(65536)
        return all(word.encode() in self.text for word in words)


def test_queue(s, laptop, phone):
    data = random_file(s.scratch / "q", 20_000_000)
    (s.scratch / "small").write_bytes(b"x")

    with s.test("a file for who is away waits, and is there soon after they are"):
        phone.stop()
        phone.mesh.services = []
        know_each_other(laptop, phone)
        status, text = laptop.ask("/v1/queue/phone/dir%2Fnote.txt", "POST", b"hello")
        assert status == 201, text
        wait_until(lambda: laptop.queue()[0]["why"], 10, "it says why")
        assert laptop.queue()[0]["to"] == "phone", laptop.queue()
        laptop.stop(signal.SIGKILL)
        laptop.start()
        events, there = Events(laptop), None
        phone.start()
        there = Events(phone)
        know_each_other(laptop, phone)
        wait_until(lambda: laptop.queue() == [], 5, "the queue is empty")
        wait_until(lambda: events.has("event: sent", "note.txt"), 5, "the event")
        wait_until(lambda: there.has("event: file", "note.txt"), 5, "the event there")
        assert [i["name"] for i in phone.inbox()] == ["dir/note.txt"]
        assert phone.data(phone.inbox()[0]) == b"hello"
        assert phone.inbox()[0]["from"] == "laptop"
        phone.empty()

    with s.test("the receiver is killed in the middle: what it has is not sent again"):
        assert laptop.ask("/v1/queue/phone/q", "POST", data)[0] == 201
        wait_until(lambda: part_bytes(phone) > 1 << 20 or phone.inbox(), 10, "a part of the file")
        phone.stop(signal.SIGKILL)
        part = part_bytes(phone)
        phone.mesh.services = []
        phone.start()
        know_each_other(laptop, phone)
        wait_until(lambda: laptop.queue() == [], 15, "the queue is empty")
        assert phone.data(phone.inbox()[0]) == data
        said = (laptop.dir / "log").read_text()
        assert "q is with phone" in said
        print(f"# {part} bytes were there when it was killed")
        phone.empty()

    with s.test("what is refused stays with the reason until it is canceled"):
        phone.mesh.change(self=machine("phone", phone.address, user="somebody@else"))
        wait_until(lambda: curl(laptop.space, "laptop", "-T", s.scratch / "small",
                                f"http://{phone.address}/", check=False)[0] == 403, 10,
                   "the other owner counts")
        phone.empty()
        assert laptop.ask("/v1/queue/phone/no", "POST", b"x")[0] == 201
        wait_until(lambda: "file-send" in (laptop.queue() or [{"why": ""}])[0]["why"], 5,
                   "the reason")
        assert laptop.ask(f"/v1/queue/{laptop.queue()[0]['id']}", "DELETE")[0] == 200
        assert laptop.queue() == []
        phone.mesh.change(self=machine("phone", phone.address))


def hanse(m, *words, check=0, **settings):
    """A command on that machine; what it said."""
    done = m.space.run(program(), *words, "--run-dir", m.dir, check=False, **settings)
    assert done.returncode == check, f"{words}: {done.returncode}\n{done.stdout}"
    return done.stdout


def files_below(directory):
    return {str(p.relative_to(directory)): p.read_bytes()
            for p in sorted(directory.rglob("*"))
            if p.is_file() and not p.name.startswith(".hanse-")}


def test_commands(s, laptop, phone):
    source, target = s.scratch / "album", s.scratch / "in"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    (source / "a b.jpg").write_bytes(b"one")
    (source / "sub/.rc").write_bytes(b"two")
    (source / "sub/\uc11c\uc6b8.txt").write_bytes(b"")
    (source / "link").symlink_to("/etc/passwd")
    note = s.scratch / "note"
    note.write_bytes(b"first")
    expected = {"album/a b.jpg": b"one", "album/sub/_rc": b"two",
                "album/sub/\uc11c\uc6b8.txt": b"", "note": b"first"}

    with s.test("hanse send and receive: files and folders, and nothing is overwritten"):
        said = hanse(laptop, "send", f"{source}/", note, "phone:")
        assert "link is no file" in said and "4 files" in said, said
        said = hanse(phone, "receive", target)
        assert "note  5 B from laptop" in said, said
        assert files_below(target) == expected, files_below(target)
        assert phone.inbox() == []
        note.write_bytes(b"second")
        hanse(laptop, "send", note, "phone.home.example:")
        hanse(phone, "receive", target)
        assert files_below(target) == {**expected, "note (1)": b"second"}
        hanse(laptop, "send", source, "phone:")
        hanse(phone, "receive", "--keep-dots", target)
        found = files_below(target)
        assert found["album/sub/.rc"] == b"two" and found["album/a b (1).jpg"] == b"one", found

    with s.test("receive follows no link out of its directory and writes over nothing"):
        outside = s.scratch / "outside"
        outside.mkdir()
        (target / "trap").symlink_to(outside)
        (target / "file").symlink_to(outside / "x")
        assert curl(laptop.space, "laptop", "-T", note, f"http://{phone.address}/trap/x")[0] == 201
        assert curl(laptop.space, "laptop", "-T", note, f"http://{phone.address}/file")[0] == 201
        hanse(phone, "receive", target, check=1)
        assert list(outside.iterdir()) == []
        assert (target / "file (1)").read_bytes() == b"second"
        assert [i["name"] for i in phone.inbox()] == ["trap/x"]
        phone.empty()

    with s.test("receive --wait takes the first file, --follow all that come"):
        waiting = s.scratch / "waiting"
        waiting.mkdir()
        for option, count in [("--wait", 1), ("--follow", 2)]:
            taker = phone.space.spawn(program(), "receive", option, waiting, "--run-dir", phone.dir,
                                      stdout=subprocess.DEVNULL)
            time.sleep(0.3)
            for _ in range(count):
                before = len(files_below(waiting))
                hanse(laptop, "send", note, "phone:")
                wait_until(lambda n=before: len(files_below(waiting)) == n + 1, 5, option)
            if option == "--wait":
                assert taker.wait(60) == 0
            taker.kill()
            taker.wait()
        assert sorted(files_below(waiting)) == ["note", "note (1)", "note (2)"]

    with s.test("a sender that was killed goes on where it was, and shows how far it is"):
        big = s.scratch / "big.bin"
        data = random_file(big, 120_000_000)

        def is_cut_off():
            sender = laptop.space.spawn(program(), "send", big, "phone:", "--run-dir", laptop.dir,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: part_bytes(phone) > 8 << 20 or phone.inbox(), 10, "a part of it")
            sender.kill()
            sender.wait()
            if phone.inbox():  # it was all there before we looked
                phone.empty()
                return False
            return True
        wait_until(is_cut_off, 20, "a part of the file")
        terminal, other = pty.openpty()
        phone.process.send_signal(signal.SIGSTOP)  # the rest takes so long that it is shown
        sender = laptop.space.spawn(program(), "send", big, "phone:", "--run-dir", laptop.dir,
                                    stdout=subprocess.PIPE, stderr=other)
        time.sleep(1)
        phone.process.send_signal(signal.SIGCONT)
        said = sender.communicate(timeout=60)[0].decode()
        assert sender.returncode == 0 and "of it were there" in said, said
        os.set_blocking(terminal, False)
        with contextlib.suppress(BlockingIOError):
            shown = os.read(terminal, 65536)
            assert b"%" in shown and b"/s" in shown, shown
        os.close(terminal)
        os.close(other)
        assert phone.data(phone.inbox()[0]) == data
        phone.empty()

    with s.test("for who is away it waits in the queue, can be listed and canceled"):
        phone.stop()
        laptop.mesh.change(peers=[machine("phone", phone.address, online=False)])
        time.sleep(0.2)
        assert "waits for phone" in hanse(laptop, "send", note, "phone:")
        said = hanse(laptop, "send", "--list")
        assert "note" in said and "phone" in said and "it is offline" in said, said
        laptop.mesh.change(peers=[])
        wait_until(lambda: "no machine of the mesh has this name" in
                   hanse(laptop, "send", "--list"), 20, "that the receiver was removed")
        assert laptop.queue()[0]["why"] == "no machine of the mesh has this name"
        laptop.mesh.change(peers=[machine("phone", phone.address, online=False)])
        wait_until(lambda: laptop.queue()[0]["why"] == "it is offline", 20, "that it is away")
        hanse(laptop, "send", "--cancel", laptop.queue()[0]["id"])
        assert laptop.queue() == []
        assert "waits for phone" in hanse(laptop, "send", note, "phone:")
        phone.mesh.services = []
        phone.start()
        know_each_other(laptop, phone)
        wait_until(lambda: phone.inbox(), 5, "the file there")
        said = hanse(phone, "drop", "status")
        assert "note" in said and "29 days" in said and "free on the disk" in said, said
        json.loads(hanse(phone, "drop", "status", "--json"))
        phone.empty()

    with s.test("what cannot be is said"):
        assert "no machine" in hanse(laptop, "send", note, "tablet:", check=3)
        assert "colon" in hanse(laptop, "send", note, "phone", check=2)
        assert "No such file" in hanse(laptop, "send", s.scratch / "nothing", "phone:", check=1)
        phone.stop()
        assert "hanse up" in hanse(phone, "receive", target, check=4)
        phone.start()
        know_each_other(laptop, phone)


def main():
    why = labs.why_not()
    if not why and not shutil.which("curl"):
        why = "curl is not installed"
    if why:
        skip_all(why)
    with Scenario() as s:
        home, space = labs.Namespace(), labs.Namespace()
        for each in [home, space]:
            s.at_end.callback(each.close)
        home.ip(f"link add mesh type veth peer name mesh netns {space.path}",
                f"addr add {ADDRESSES['laptop']}/24 dev mesh", "link set mesh up")
        home.settle()
        space.ip(*(f"addr add {ADDRESSES[name]}/24 dev mesh" for name in ADDRESSES
                   if name != "laptop"), "link set mesh up")
        space.settle()
        laptop = Machine(s.scratch, home, "laptop")
        phone = Machine(s.scratch, space, "phone")
        for m in [laptop, phone]:
            s.at_end.callback(m.close)
            m.start()
        know_each_other(laptop, phone)
        test_putting(s, space, laptop)
        test_who_may(s, space, laptop)
        know_each_other(laptop, phone)
        test_going_on(s, space, laptop)
        test_room(s, space, laptop)
        test_queue(s, laptop, phone)
        test_commands(s, laptop, phone)
        with s.test("both end in order, and no process reported a bug of its own"):
            assert laptop.stop() == 0 and phone.stop() == 0
            for m in [laptop, phone]:
                log = (m.dir / "log").read_text(errors="replace")
                assert "Sanitizer" not in log and "runtime error" not in log, log[-3000:]
                assert "ssertion" not in log, log[-3000:]


if __name__ == "__main__":
    main()
