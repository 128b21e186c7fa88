#!/usr/bin/env python3
"""Three machines in one LAN, and nobody else: what they do when the one with control and the only
relay is gone, and what a machine keeps for its next start."""

# Its hosts are in namespaces of its own, so it runs beside others.

import json
import os
import signal
from pathlib import Path

import lab
from machine import Machine
from scenario import Scenario, skip_all, wait_until

why = lab.why_not() or lab.files_why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")

TAG = "tag:first"


def address(machine):
    return machine.json("status")["mesh"]["self"]["addresses"][0]


def ping(machine, to, timeout_s=20):
    def answers():
        return machine.where.run("ping", "-c1", "-W1", to, check=False).returncode == 0
    wait_until(answers, timeout_s, f"{machine.name} reaches {to}")


def restart_mesh(machine):
    """A life that nobody announces."""
    before = machine.roles()["mesh"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: machine.roles().get("mesh", before) != before
               and machine.run("status", check=False).returncode == 0, 15,
               f"{machine.name} is back")


def takes_files(machine, other):
    """Whether the map that the machine keeps says where the other one takes files, in this life."""
    peer = next(peer for peer in json.loads((machine.state / "netmap").read_text())["Peers"]
                if peer["Name"].startswith(other.name + "."))
    return peer["Online"] and any(service["Proto"] == "peerapi4"
                                  for service in peer["Hostinfo"]["Services"])


def kill_all(machine):
    for pid in [machine.process.pid, *machine.roles().values()]:
        os.kill(pid, signal.SIGKILL)
    machine.process.wait()
    machine.process = None


def start_plainly(machine, *words):
    """`hanse up` without --name, and all else that it was told before."""
    command = machine.command
    name = command().index("--name")
    machine.command = lambda: command()[:name] + command()[name + 2:] + list(words)
    machine.launch()


with Scenario() as s, lab.Lab(s.scratch) as net:
    place = net.host("first", "apdf")
    hosts = [place, *(net.host(name, router=place.router) for name in ["second", "third"])]
    first = Machine(s, "first", where=hosts[0], options=["--address", hosts[0].ip4])
    first.start()
    second = Machine(s, "second", where=hosts[1], join=first.key).start()
    third = Machine(s, "third", where=hosts[2], join=first.key).start()

    with s.test("a first start complains of nothing"):
        first.wait_for("region .* of the realm")
        for line in first.log_lines():
            assert " warn" not in line and "was not told" not in line, line

    with s.test("the first machine, removed, is let in again by its own control"):
        assert first.stop() == 0
        first.options += ["--tags", TAG]  # which nobody may have yet
        first.start()
        first.run("machine", "remove", "first")
        wait_until(lambda: first.json("status")["mesh"]["state"] == "refused", 15, "it is refused")
        first.ask("PUT", "policy", {"text": json.dumps(
            {"tagOwners": {TAG: ["owner@hanse.internal"]},
             "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}), "note": ""})
        wait_until(lambda: first.json("status")["mesh"]["state"] == "up", 30, "it is in again")
        ping(second, address(first))

    with s.test("who was refused makes no mesh of its own unasked"):
        key = first.ask("POST", "keys", {})
        first.run("key", "revoke", key["id"])
        late = Machine(s, "late", where=net.host("late", router=place.router), join=key["key"])
        late.launch()
        late.wait_for("control does not take this machine: the join key")
        assert late.process.wait(60) == 1
        late.join = None
        late.launch()
        assert late.process.wait(60) == 1
        assert "belongs to none: `hanse up --join KEY`" in late.log()
        assert not (late.state / "bucket").exists()

    with s.test("a machine keeps its name"):
        late.join, _ = first.new_key()
        late.start()
        assert late.stop() == 0
        late.join = None
        start_plainly(late)
        late.wait_for("This machine is late,")
        assert first.known("late") and late.stop() == 0

    with s.test("without control and any relay machines find each other in a new life"):
        to_second, to_third = address(second), address(third)
        ping(second, to_third)
        ping(third, to_second)
        for machine in [second, third]:  # what it knows of the others is on disk
            wait_until((machine.state / "netmap").exists, 10, "the map is kept")
            assert machine.stop() == 0
            machine.join = None
            machine.start()
        ping(second, to_third)
        for machine, other in [(second, third), (third, second)]:
            wait_until(lambda m=machine, o=other: takes_files(m, o), 20, "it is known by all")
        kill_all(first)
        restart_mesh(second)
        ping(third, to_second, 40)
        ping(second, to_third)

    with s.test("and hanse ping alone finds them too"):
        restart_mesh(third)
        def is_direct():
            done = second.run("ping", "third", "--times", 1, "--json", check=False)
            return done.returncode == 0 and json.loads(done.stdout)["pings"][0]["via"] == "direct"
        wait_until(is_direct, 40, "second reaches third")
        assert "UDP does not get out" not in second.run("ping", "third").stdout

    with s.test("files go by name between machines while nobody controls the mesh"):
        file = s.scratch / "report.bin"
        file.write_bytes(os.urandom(3_000_000))
        second.where.run("curl", "-sS", "-T", file, "http://third/",
                         files={"/etc/hosts": second.hosts})
        third.run("send", file, "second:")
        for machine in [second, third]:
            def inbox(m=machine):
                return [item["name"] for item in m.json("drop", "status")["inbox"]["items"]]
            wait_until(lambda: "report.bin" in inbox(), 20, f"{machine.name} has it")
            into = s.scratch / f"from-{machine.name}"
            into.mkdir()
            machine.run("receive", into)
            assert (into / "report.bin").read_bytes() == file.read_bytes()

    with s.test("and who has a new life meanwhile sends and gets them too"):
        restart_mesh(second)
        file.write_bytes(os.urandom(1_000_000))
        second.run("send", file, "third:")
        wait_until(lambda: third.json("drop", "status")["inbox"]["items"], 40, "third has it")
        assert first.process is None and "report.bin" in third.run("drop", "status").stdout
