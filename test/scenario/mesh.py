#!/usr/bin/env python3
"""A mesh of three machines: one in a cloud, one at home and one in an office, each behind its own
router; what people do with it, and what is killed meanwhile."""

# Its hosts are in namespaces of its own, so it runs beside others.

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import lab
from machine import Machine
from node import program
from scenario import Scenario, skip_all, wait_until

why = lab.why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")


def ping(machine, address, timeout_s=10):
    """By the system's own ping, through the interface."""
    def answers():
        return machine.where.run("ping", "-c1", "-W1", address, check=False).returncode == 0
    wait_until(answers, timeout_s, f"{machine.name} reaches {address}")


def address(machine, family=4):
    addresses = machine.json("status")["mesh"]["self"]["addresses"]
    return next(a for a in addresses if (":" in a) == (family == 6))


def ways(machine, name, times=5):
    """How `hanse ping` says that the machine was reached, each time."""
    said = machine.run("ping", name, "--times", times, "--json", check=False).stdout
    return [pong.get("via") for pong in json.loads(said)["pings"]]


def ping_says(machine, name, pattern):
    """One ping may be lost."""
    wait_until(lambda: re.search(pattern, machine.run("ping", name, check=False).stdout), 10,
               pattern)


def system_of(host):
    """Everything `hanse up` may touch."""
    parts = [["ip", "-o", "addr"], ["ip", "route", "show", "table", "all"],
             ["ip", "-6", "route", "show", "table", "all"], ["ip", "rule"], ["ip", "-6", "rule"],
             ["nft", "list", "ruleset"]]
    text = "\n".join(host.run(*part).stdout for part in parts)
    text = re.sub(r"(valid_lft|preferred_lft|expires) \S+", "", text)
    return text + Path("/etc/resolv.conf").read_text()


def names_are_known(machine, name):
    return any(name in line.split() for line in machine.hosts.read_text().splitlines())


with Scenario() as s, lab.Lab(s.scratch) as net:
    server = net.server("cloud")
    hosts = {"cloud": server, "home": net.host("home", "apdf"), "office": net.host("office", "sym")}
    before = {name: system_of(host) for name, host in hosts.items()}
    cloud = Machine(s, "cloud", where=server, options=["--address", server.ip4])
    home = office = None

    with s.test("the first machine says what to run on the next one"):
        cloud.start()
        assert cloud.key.startswith("hanse-join-1-")
        cloud.wait_for("Official clients do not come back to such an address")
        assert "hanse-join-1" not in Path(f"/proc/{cloud.process.pid}/cmdline").read_text()

    home = Machine(s, "home", where=hosts["home"], join=cloud.key)
    office = Machine(s, "office", where=hosts["office"], join=cloud.key)
    everybody = [cloud, home, office]

    with s.test("two more join by the key, and every machine reaches every other one"):
        begin = time.monotonic()
        home.launch()
        office.launch()
        for machine in [home, office]:
            machine.wait_for("This machine is")
            assert cloud.key not in Path(f"/proc/{machine.process.pid}/cmdline").read_text()
        for machine in everybody:
            for other in everybody:
                if machine is not other:
                    ping(machine, address(other))
        ping(home, address(office, 6))
        print(f"# all pairs after {time.monotonic() - begin:.1f} s")

    with s.test("hanse ping tells a direct way from a relay, and why"):
        wait_until(lambda: "direct" in ways(home, "cloud"), 10, "a direct way")
        wait_until(lambda: ways(home, "office", 1) == ["relay"], 10, "an answer by the relay")
        ping_says(home, "office", r"office \(100\.\S+\) answered in .* by a relay; .*because")
        ping_says(home, "cloud", r"direct by \S+:41641")

    with s.test("hanse whois and status know the others"):
        who = home.json("whois", address(office) + ":1234")["machine"]
        assert who["name"].startswith("office."), who
        assert home.run("whois", "100.64.99.99", check=False).returncode == 3
        peers = home.json("status")["mesh"]["peers"]
        assert sorted(p["name"].split(".")[0] for p in peers) == ["cloud", "office"]
        assert "passes" in home.run("netcheck").stdout

    with s.test("ports of control and the relay are left to them"):
        wait_until(lambda: re.search(r"100\.\S+:80 ", home.where.run("ss", "-Hltn").stdout), 10,
                   "home takes files")
        assert not re.search(r":864[1-3] ", home.where.run("ss", "-Hltn").stdout)

    with s.test("machines are called by their names"):
        for machine in everybody:
            wait_until(lambda m=machine: all(names_are_known(m, other.name) for other in everybody),
                       10, f"{machine.name} knows the names")

    with s.test("control renames a machine, and everybody hears of it"):
        cloud.run("machine", "rename", "office", "desk")
        wait_until(lambda: home.run("ping", "desk", "--times", 1, check=False).returncode == 0, 10,
                   "home calls it desk")
        cloud.run("machine", "rename", "desk", "office")

    with s.test("each process that is killed is started again, and alone"):
        for role in sorted(cloud.roles()):
            others = cloud.roles()
            victim = others.pop(role)
            os.kill(victim, signal.SIGKILL)
            now = wait_until(lambda r=role, v=victim: cloud.roles().get(r) not in (None, v)
                             and cloud.roles(), 10, f"{role} is back")
            assert all(now[name] == pid for name, pid in others.items()), role
            ping(home, address(office))
            if role == "mesh":
                wait_until(lambda: (cloud.run_dir / "mesh.sock").exists(), 10, "mesh.sock")
        ping(home, address(cloud), 20)

    with s.test("without control links go on, and machines find each other anew"):
        control = cloud.roles()["realm"]
        for machine in everybody:  # a relay that was killed has to have seen them again
            wait_until(lambda m=machine: m.json("status")["mesh"]["relay_connected"], 10,
                       f"{machine.name} has its relay")
        os.kill(control, signal.SIGSTOP)
        try:
            ping(home, address(office))
            os.kill(home.roles()["mesh"], signal.SIGKILL)  # a new life, which nobody announces
            wait_until(lambda: home.run("status", check=False).returncode == 0, 10,
                       "home is back")
            for machine, other in [(home, cloud), (home, office), (office, home)]:
                ping(machine, address(other), 20)
            wait_until(lambda: "direct" in ways(home, "cloud"), 10, "a direct way")
        finally:
            os.kill(control, signal.SIGCONT)
        wait_until(lambda: home.json("status")["mesh"]["state"] == "up", 40, "control is back")

    with s.test("a machine without a key is let in by whoever opens its link"):
        guest_host = net.host("guest", "apdf")
        listener = guest_host.socket(socket.SOCK_STREAM)
        listener.bind(("0.0.0.0", 7007))
        listener.listen()
        early = home.where.socket(socket.SOCK_STREAM)
        early.setblocking(False)
        early.connect_ex(("100.64.0.4", 7007))  # which it is going to have
        guest = Machine(s, "guest", where=guest_host,
                        options=["--login-server", f"http://{server.ip4}:8641"])
        guest.launch()
        link = guest.wait_for(r"Open this link to let this machine in: (\S+)")[1]
        cloud.run("machine", "approve", link.rsplit("/", 1)[1])
        guest.wait_for("This machine is")
        ping(guest, address(home), 20)
        # Who was called before anybody knew it is reached all the same.
        assert address(guest) == "100.64.0.4"
        early.settimeout(60)
        assert wait_until(lambda: early.send(b"x"), 20, "the connection is made") == 1
        assert listener.accept()[1][0] == address(home)
        assert guest.run("logout").returncode == 0
        guest.process.wait(60)
        wait_until(lambda: home.run("ping", "guest", "--times", 1, check=False).returncode != 0,
                   20, "the guest is gone")

    with s.test("a machine joins in the background, with a key from standard input"):
        late = Machine(s, "late", where=net.host("late", "apdf"))
        words = [*late.command(), "--join", "-", "--background"]
        done = late.where.run(*words, input=cloud.key + "\n", env=late.environment)
        assert "This machine is late" in done.stdout, done.stdout
        ping(late, address(home), 20)
        again = late.where.run(*words, input=cloud.key + "\n", env=late.environment, check=False)
        assert again.returncode == 1 and "runs already" in again.stdout, again.stdout
        assert "off the mesh" in late.run("down").stdout
        assert "control at" in (late.state / "up.log").read_text()

    with s.test("who has expired is none of the mesh until it joins again"):
        cloud.run("machine", "expire", "late")
        late.join = cloud.key
        late.start()
        ping(late, address(home), 20)
        cloud.run("machine", "expire", "late")
        wait_until(lambda: late.json("status")["mesh"]["state"] == "expired", 10, "it is told")
        late.wait_for(r"The key of this machine has expired: `hanse up --join KEY`")
        assert "expired" in late.run("status").stdout
        refused = late.run("ping", "home", "--times", 1, check=False)
        assert refused.returncode != 0 and "has expired" in refused.stdout, refused.stdout
        assert cloud.run("ping", "late", "--times", 1, check=False).returncode != 0
        late.stop()
        late.start()
        ping(late, address(home), 20)
        late.stop()

    with s.test("why a machine does not join yet is said"):
        early = Machine(s, "early", where=net.host("early", "apdf"), join="any",
                        options=["--login-server", "http://127.0.0.1:9"])
        early.launch()
        early.wait_for(r"Control cannot be reached yet, .*refused")
        early.kill()

    with s.test("what only the same network reaches is not announced without a word"):
        inside = Machine(s, "inside", where=early.where)
        inside.start()
        inside.wait_for(r"at 192\.168\.\S+, which only machines of the same network")
        assert inside.stop() == 0
        bad = inside.where.run(*inside.command(), "--tags", "tag:a,b", check=False)
        assert bad.returncode == 2 and "tags look like tag:server" in bad.stdout, bad.stdout

    with s.test("a machine that joins another mesh is told what it is there"):
        there = net.server("there")
        other = Machine(s, "other", where=there,
                        options=["--address", there.ip4, "--domain", "other.internal"])
        other.start()
        late.join = other.key
        late.launch()
        late.wait_for("This machine is late, 100.64.0.2, one of 2 of other.internal")
        late.run("logout")
        late.process.wait(60)
        assert other.stop() == 0

    with s.test("hanse down leaves the machine as it was"):
        assert "off the mesh" in home.run("down").stdout
        assert home.process.wait(60) == 0
        assert system_of(hosts["home"]) == before["home"]
        assert home.hosts.read_text() == "127.0.0.1 localhost\n"
        assert office.run("ping", "home", "--times", 1, check=False).returncode == 1

    with s.test("and brings it back without a key"):
        home.join = None
        home.start()
        ping(home, address(office), 20)

    with s.test("what went down comes back at once"):
        home.options += ["--exit-node", "office"]
        for _ in range(3):
            home.run("down")  # returns when all of it has ended
            home.launch()
            home.wait_for("This machine is")

    with s.test("an exit node that does not offer that is warned of"):
        home.wait_for("--exit-node office is not used")
        ping(home, address(office), 20)

    with s.test("what a killed hanse serve left behind does not hide the mesh"):
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(home.run_dir / "admin-9092.sock"))
        left.close()
        wait_until(lambda: "connected" in home.run("status", check=False).stdout, 20,
                   "it has a relay again")
        done = home.run("status", check=False)
        assert done.returncode == 4 and "remove that file" in done.stdout, done.stdout
        assert "office" in done.stdout, done.stdout
        (home.run_dir / "admin-9092.sock").unlink()
        assert "office" in home.run("status").stdout

    with s.test("an exit node that is not there is an error at the start"):
        home.run("down")
        home.options[-1] = "nobody"
        done = hosts["home"].run(*home.command(), "--background", check=False)
        assert done.returncode == 1, done
        assert "--exit-node nobody: the mesh has no such machine" in done.stdout, done.stdout
        assert home.run("status", check=False).returncode == 4
        assert system_of(hosts["home"]) == before["home"]

    with s.test("who may not make an interface is told so, and nothing is made"):
        nothing = Path(s.scratch) / "nothing"
        done = server.run("setpriv", "--bounding-set=-net_admin", program(), "up", "--state",
                          nothing, check=False)
        assert done.returncode == 1 and "sudo hanse up" in done.stdout, done.stdout
        assert not nothing.exists()

    with s.test("what is asked of a machine that has it not is said"):
        done = office.run("machine", "list", check=False)
        assert done.returncode == 4 and "control of the mesh does not run here" in done.stdout

    with s.test("what a killed hanse up leaves behind, hanse down removes"):
        office.process.kill()
        office.process.wait()
        wait_until(lambda: "hanse0" not in hosts["office"].run("ip", "-o", "link").stdout, 5,
                   "the interface is gone")
        assert office.run("down", check=False).returncode == 4
        after = system_of(hosts["office"])
        assert after == before["office"], after

    with s.test("an orderly stop of the first machine leaves nothing either"):
        assert cloud.stop() == 0
        assert system_of(server) == before["cloud"]
