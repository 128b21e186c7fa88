#!/usr/bin/env python3
"""Names and files in a real mesh: our machines behind routers, and the official client where it is
built.  runs beside others, in network namespaces of its own."""

import json
import shutil

import lab
import official
from machine import Machine
from scenario import Scenario, Skip, skip_all, wait_until

FILE_BYTES = 20_000_000


def say_lines(text):
    for line in text.splitlines()[-8:]:
        print(f"# {line}")


def run_on(m, *command, **settings):
    """A program of that machine, which finds names as it does."""
    return m.where.run(*command, files={"/etc/hosts": m.hosts}, **settings)


def wan_bytes(router):
    links = json.loads(router.run("ip", "-s", "-j", "link", "show", "dev", "wan0").stdout)
    stats = links[0]["stats64"]
    return stats["rx"]["bytes"] + stats["tx"]["bytes"]


def files_below(directory):
    return {str(p.relative_to(directory)): p.read_bytes()
            for p in sorted(directory.rglob("*")) if p.is_file()}


def receive(m, directory, name):
    directory.mkdir(exist_ok=True)
    wait_until(lambda: any(i["name"] == name for i in m.json("drop", "status")["inbox"]["items"]),
               20, f"{name} is in the inbox of {m.name}")
    m.run("receive", directory)
    return (directory / name).read_bytes()


def test_names(s, first, laptop, desk):
    with s.test("every machine finds every other by its name"):
        for m in [first, laptop, desk]:
            for other in [first, laptop, desk]:
                wait_until(lambda m=m, other=other: f"{other.name} " in m.hosts.read_text() or
                           f"\t{other.name}." in m.hosts.read_text(), 10,
                           f"{m.name} knows {other.name}")
        for name in ["desk", "desk.hanse.internal", "first"]:
            wait_until(lambda name=name: run_on(laptop, "ping", "-c1", "-W2", name,
                                                check=False).returncode == 0, 15, f"ping {name}")

    with s.test("the resolver of the mesh answers on the mesh's own addresses"):
        if not shutil.which("dig"):
            raise Skip("dig is not installed")
        for server in ["100.100.100.100", "fd7a:115c:a1e0::53"]:
            for way in ["+notcp", "+tcp"]:
                found = run_on(laptop, "dig", "+short", "+time=2", way, f"@{server}",
                               "desk.hanse.internal").stdout.split()
                assert len(found) == 1 and found[0].startswith("100."), found
        found = run_on(laptop, "dig", "+short", "@100.100.100.100", "-x", found[0]).stdout
        assert found == "desk.hanse.internal.\n", found

    with s.test("a new name is known everywhere"):
        first.run("machine", "rename", "desk", "table")
        wait_until(lambda: "table" in laptop.hosts.read_text(), 5, "the new name")
        assert "desk" not in laptop.hosts.read_text()
        first.run("machine", "rename", "table", "desk")
        wait_until(lambda: "desk" in laptop.hosts.read_text(), 5, "the old name")


def test_files(s, first, laptop, desk, shelf):
    file = s.scratch / "report.bin"
    data = bytes(range(256)) * (FILE_BYTES // 256)
    file.write_bytes(data)

    with s.test("curl -T file http://desk/ puts it into the inbox, from behind another router"):
        said = run_on(laptop, "curl", "-sS", "-T", file, "http://desk/").stdout
        assert "inbox" in said, said
        assert receive(desk, s.scratch / "desk", "report.bin") == data

    with s.test("hanse send and receive, with folders, both ways"):
        folder = s.scratch / "photos"
        (folder / "sub").mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"a")
        (folder / "sub/b.jpg").write_bytes(b"b")
        laptop.run("send", folder, "desk:")
        assert receive(desk, s.scratch / "desk2", "photos/sub/b.jpg") == b"b"
        desk.run("send", file, "laptop:")
        assert receive(laptop, s.scratch / "laptop", "report.bin") == data
        first.run("send", file, "laptop:")
        assert receive(laptop, s.scratch / "laptop2", "report.bin") == data

    with s.test("side by side in one LAN no byte of a file leaves it"):
        desk.run("ping", "shelf")
        wait_until(lambda: "direct" in desk.run("ping", "shelf").stdout, 15, "a direct way")
        router = desk.where.router
        before = wan_bytes(router)
        desk.run("send", file, "shelf:")
        moved = wan_bytes(router) - before
        assert receive(shelf, s.scratch / "shelf", "report.bin") == data
        print(f"# {FILE_BYTES} bytes were sent, {moved} passed the router")
        assert moved < FILE_BYTES / 20, moved

    with s.test("a file for who is away waits and is brought when they are back"):
        desk.stop()
        assert "# kept by hanse" not in desk.hosts.read_text()
        wait_until(lambda: first.known("desk")["state"] == "offline", 20, "desk is away")
        said = wait_until(lambda: (text := laptop.run("send", file, "desk:", timeout=120).stdout)
                          and "waits for desk" in text and text, 5, "it waits")
        say_lines(said)
        desk.start()
        assert receive(desk, s.scratch / "desk3", "report.bin") == data
        wait_until(lambda: laptop.json("drop", "status")["queue"]["items"] == [], 10,
                   "the queue is empty")


def test_official(s, first, laptop):
    why = official.why_not()
    client = None if why else official.find()
    sentences = ["the official client copies a file to us", "we send one to the official client",
                 "it copies to us again, another file of the same name"]
    if not client:
        for sentence in sentences:
            with s.test(sentence):
                raise Skip(why)
        return
    phone = client.machine(s.scratch, "phone", where=first.where)
    s.at_end.callback(phone.kill)
    phone.start()
    url, key = first.official_words
    phone.up(url, first.new_key()[1])
    phone.wait_state("Running")
    file = s.scratch / "to-us.bin"
    data = bytes(reversed(range(256))) * 20_000
    file.write_bytes(data)
    phone.wait_peer("laptop", lambda peer: peer.get("Online"))

    with s.test(sentences[0]):
        wait_until(lambda: phone.run("file", "cp", file, "laptop:", check=False).returncode == 0,
                   20, "the copy")
        assert receive(laptop, s.scratch / "from-phone", "to-us.bin") == data

    with s.test(sentences[1]):
        said = laptop.run("send", file, "phone:", timeout=60).stdout
        say_lines(said)
        phone.inbox.mkdir(exist_ok=True)
        wait_until(lambda: phone.run("file", "get", phone.inbox, check=False) and
                   (phone.inbox / "to-us.bin").exists(), 20, "the file there")
        assert (phone.inbox / "to-us.bin").read_bytes() == data
        folder = s.scratch / "folder"
        folder.mkdir()
        (folder / "x").write_bytes(b"x")
        done = laptop.run("send", folder, "phone:", check=False)
        assert done.returncode == 1 and "no folders" in done.stdout, done.stdout

    with s.test(sentences[2]):
        file.write_bytes(b"other")
        phone.run("file", "cp", file, "laptop:")
        wait_until(lambda: laptop.json("drop", "status")["inbox"]["items"], 10, "the file")
        laptop.run("receive", s.scratch / "from-phone")
        assert files_below(s.scratch / "from-phone") == {"to-us.bin": data,
                                                         "to-us (1).bin": b"other"}


def main():
    why = lab.why_not() or lab.files_why_not()
    if why:
        skip_all(why)
    with Scenario() as s, lab.Lab(s.scratch) as place:
        server = place.server("first")
        home, office = place.host("laptop", "apdf"), place.host("desk", "apdf")
        beside = place.host("shelf", router=office.router)
        first = Machine(s, "first", where=server, options=["--address", server.private]).start()
        key = first.new_key(uses=5)[0]
        laptop, desk, shelf = (Machine(s, name, where=host, join=key).start() for name, host in
                               [("laptop", home), ("desk", office), ("shelf", beside)])
        test_names(s, first, laptop, desk)
        test_files(s, first, laptop, desk, shelf)
        test_official(s, first, laptop)
        with s.test("stopped, each leaves its file of hosts as it was"):
            laptop.run("down")
            laptop.process.wait(60)
            assert laptop.hosts.read_text() == "127.0.0.1 localhost\n"
            for m in [desk, shelf, first]:
                m.stop()
                assert m.hosts.read_text() == "127.0.0.1 localhost\n", m.name


if __name__ == "__main__":
    main()
