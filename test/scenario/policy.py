#!/usr/bin/env python3
"""Who may reach what: a policy in force on our nodes and on the official client, each behind a
network of its own.  runs beside others"""

import json
import os
import socket
import threading
import time

import lab
import official
from machine import Machine
from scenario import Scenario, Skip, skip_all, wait_until

why = lab.why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")

PORTS = [8000, 8001, 8002]
SECOND = 3.0  # what is called a second, on a machine that does other things
ROLES = ["--roles", "mesh"]


def serve(host):
    """Whatever comes to these TCP ports is sent back."""
    def echo(connection):
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data)

    def accept(listener):
        while True:
            threading.Thread(target=echo, args=[listener.accept()[0]], daemon=True).start()

    for port in PORTS:
        listener = host.socket(socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        listener.listen(50)
        threading.Thread(target=accept, args=[listener], daemon=True).start()


def connect(source, address, port, timeout_s=5.0):
    connection = source.where.socket(socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    connection.connect((address, port))
    return connection


def says(connection, word, timeout_s=2.0):
    connection.settimeout(timeout_s)
    connection.sendall(word)
    return connection.recv(100) == word


def reaches(source, target, port, timeout_s=0.3):
    try:
        with connect(source, target.address, port, timeout_s) as connection:
            return says(connection, b"hello", timeout_s)
    except OSError:
        return False


def until(source, target, port, wanted, timeout_s=10):
    """How long it takes until it is so."""
    begin = time.monotonic()
    wait_until(lambda: reaches(source, target, port) == wanted, timeout_s,
               f"{source.name} {'reaches' if wanted else 'no longer reaches'} "
               f"{target.name}:{port}")
    return time.monotonic() - begin


def check(expected):
    """Which port of whom is reached, all at once: what is denied takes its time."""
    wrong = []

    def one(source, target, port, wanted):
        if reaches(source, target, port, 20.0 if wanted else 1.0) != wanted:
            wrong.append(f"{source.name} -> {target.name}:{port} is not {wanted}")

    threads = [threading.Thread(target=one, args=case) for case in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, "; ".join(wrong)


class Control:
    def __init__(self, s, machine):
        self.s, self.machine, self.number = s, machine, 0

    def file(self, policy):
        self.number += 1
        path = self.s.scratch / f"policy-{self.number}.hujson"
        path.write_text(policy if isinstance(policy, str) else json.dumps(policy))
        return path

    def set(self, policy, **more):
        return self.machine.run("policy", "set", self.file(policy), **more)

    def run(self, *words, **more):
        return self.machine.run("policy", *words, **more)


def allow(*rules):
    """("laptop", "desk:8000") and so on."""
    return [{"src": [source], "dst": list(targets)} for source, *targets in rules]


def own_address(machine):
    addresses = machine.json("status")["mesh"]["self"]["addresses"]
    return next(address for address in addresses if ":" not in address)


def begin(s, net):
    server = net.server("cloud")
    cloud = Machine(s, "cloud", where=server,
                    options=["--address", server.private, "--roles", "realm,relay,mesh"])
    cloud.start()
    cloud.join_key = cloud.key
    machines = [Machine(s, name, where=net.host(name), join=cloud.join_key, options=ROLES)
                for name in ["laptop", "desk"]]
    for machine in machines:
        machine.launch()
    for machine in machines:
        machine.wait_for("This machine is")
    for machine in [cloud, *machines]:
        machine.address = own_address(machine)
        serve(machine.where)
    return cloud, *machines


def begin_official(s, net, cloud):
    client = official.find()
    if not client:
        return None
    phone = client.machine(s.scratch, "phone", where=net.host("phone"), has_device=True)
    s.at_end.callback(phone.kill)
    phone.start()
    phone.up(*cloud.official_words)
    phone.wait_state("Running")
    phone.address = phone.ip4
    serve(phone.where)
    return phone


def run_all(s, net):
    cloud, laptop, desk = begin(s, net)
    control = Control(s, cloud)
    phone = begin_official(s, net, cloud)
    others = [desk, phone] if phone else [desk]

    with s.test("without a policy everybody reaches everybody"):
        for target in others:
            until(laptop, target, 8000, True, 20)
            until(target, laptop, 8001, True, 20)
        assert control.run("get").stdout.startswith("hanse: there is no policy yet")

    with s.test("a policy whose tests fail is refused, and changes nothing"):
        refused = control.set("{\n \"allow\": [{\"src\": [\"laptop\"], \"dst\": [\"desk:22\"]}],\n"
                              " \"tests\": [{\"src\": \"desk\", \"accept\": [\"laptop:22\"]}]\n}",
                              check=False)
        assert refused.returncode == 1, refused.stdout
        assert "3:39: error: this test fails: desk must reach laptop port 22, " \
               "but no rule allows it" in refused.stdout, refused.stdout
        refused = control.set("{\"allow\": [{\"src\": [\"laptop\"]}]}", check=False)
        assert "1:12: error: this rule has no \"dst\"" in refused.stdout, refused.stdout
        assert control.run("history").stdout == ""
        assert reaches(desk, laptop, 8000, 20)

    first = {"tests": [{"src": "laptop", "accept": ["desk:8000"], "deny": ["desk:8001"]}],
             "allow": allow(("laptop", "desk:8000", "phone:8000"), ("phone", "desk:8000-8001"))}

    with s.test("what a rule allows passes, everything else is dropped"):
        control.set(first)
        for target in others:
            took = until(laptop, target, 8001, False)
            print(f"# {target.name} follows after {took:.2f} s")
            assert took < SECOND, took
        check([(laptop, desk, 8000, True), (laptop, desk, 8002, False),
               (desk, laptop, 8000, False), (desk, cloud, 8000, False)])
        if phone:
            check([(laptop, phone, 8000, True), (laptop, phone, 8002, False),
                   (phone, desk, 8000, True), (phone, desk, 8001, True),
                   (phone, desk, 8002, False), (phone, laptop, 8000, False)])

    with s.test("who may not talk to each other do not know of each other"):
        def peers(machine):
            return sorted(peer["name"].split(".")[0]
                          for peer in machine.json("status")["mesh"]["peers"])
        wait_until(lambda: "cloud" not in peers(laptop), 3, "laptop forgets cloud")
        assert peers(cloud) == [], peers(cloud)
        if phone:
            assert peers(desk) == ["laptop", "phone"], peers(desk)
            wait_until(lambda: sorted(phone.peers()) == ["desk", "laptop"], 3, "the phone's peers")

    with s.test("forbid beats allow, and a change takes effect within a second"):
        policy = {**first, "forbid": allow(("*", "desk:8000")), "tests": []}
        with connect(laptop, desk.address, 8000) as connection:
            assert says(connection, b"before")
            control.set(policy)
            took = until(laptop, desk, 8000, False)
            assert took < SECOND, took
            # A connection that is under way stops too, and goes on when it may again.
            try:
                assert not says(connection, b"now", 0.5), "the connection goes on"
            except TimeoutError:
                pass
            if phone:
                check([(phone, desk, 8000, False), (phone, desk, 8001, True)])
            control.set(first)
            took = until(laptop, desk, 8000, True)
            assert took < SECOND, took
            connection.settimeout(60)
            assert connection.recv(100) == b"now"

    with s.test("on the official client too, and both ways"):
        if not phone:
            raise Skip(official.why_not())
        control.set({"allow": allow(("laptop", "phone:8002"), ("phone", "laptop:8001"))})
        took = max(until(laptop, phone, 8002, True), until(phone, laptop, 8001, True))
        assert took < SECOND, took
        check([(laptop, phone, 8000, False), (phone, desk, 8001, False),
               (phone, laptop, 8000, False)])
        control.set(first)
        until(phone, desk, 8000, True)

    check_questions(control, s)
    check_versions(control, s, laptop, desk)
    check_registration(control, s, net, cloud)


def check_questions(control, s):
    with s.test("explain names the rule that decides, and its line"):
        control.set("{\n"
                    "  \"allow\": [\n"
                    "    {\"name\": \"work\", \"src\": [\"laptop\"], "
                    "\"dst\": [\"desk:8000\"]}, // c\n"
                    "  ],\n"
                    "  \"forbid\": [{\"src\": [\"cloud\"], \"dst\": [\"*:*\"]}],\n"
                    "}\n")
        said = control.run("explain", "laptop", "desk:8000").stdout
        assert said == ("laptop may reach desk tcp port 8000\n"
                        "  allowed by line 3 (work): laptop -> desk\n"), said
        said = control.run("explain", "cloud", "desk:8000/udp", check=False)
        assert said.returncode == 1
        assert "forbidden by line 5: cloud -> *" in said.stdout, said.stdout
        said = control.run("explain", "desk", "laptop:1", check=False)
        assert said.returncode == 1 and "no rule allows it" in said.stdout, said.stdout
        assert control.run("explain", "desk", "nobody", check=False).returncode == 3
        said = control.run("who-can", "desk:8000").stdout
        assert said.startswith("laptop (owner@") and "line 3" in said, said

    with s.test("diff says who would gain and lose, check what does nothing"):
        path = control.file({"groups": {"group:none": []},
                             "allow": allow(("laptop", "desk:8000-8001"))})
        said = control.run("diff", path).stdout
        assert said == ("+ laptop -> desk tcp 8001\n+ laptop -> desk udp 8001\n"), said
        said = control.run("check", path).stdout
        assert "warning: nothing names group:none" in said, said
        assert "it can be used" in said


def check_versions(control, s, laptop, desk):
    with s.test("every policy is kept, and an older one put in force again"):
        versions = json.loads(control.run("history", "--json").stdout)["versions"]
        assert len(versions) >= 4, versions
        control.set({})
        until(laptop, desk, 8000, False)
        newest = versions[0]["version"]
        said = control.run("rollback", newest).stdout
        assert f"policy {newest + 2} is in force" in said, said
        until(laptop, desk, 8000, True)
        assert "// c" in control.run("get").stdout

    with s.test("a policy outlives the process that keeps it"):
        before = control.run("get").stdout
        control.machine.stop()
        control.machine.start()
        wait_until(lambda: control.run("get", check=False).stdout == before, 20, "the same policy")
        until(laptop, desk, 8000, True, 20)
        assert not reaches(desk, laptop, 8000)


def check_registration(control, s, net, cloud):
    with s.test("owners give tags, and routes are approved by themselves"):
        control.set({"tagOwners": {"tag:router": ["autogroup:member"]},
                     "autoApprovers": {"routes": {"10.77.0.0/16": ["tag:router"]}},
                     "allow": allow(("laptop", "10.77.3.0/24:80"))})
        router = Machine(s, "router", where=net.host("router"), join=cloud.join_key,
                         options=[*ROLES, "--tags", "tag:router", "--advertise-routes",
                                  "10.77.3.0/24,10.78.0.0/16"])
        router.start()
        said = control.run("explain", "laptop", "10.77.3.9").stdout
        assert "may reach: tcp port 80; udp port 80" in said, said
        assert control.run("explain", "laptop", "10.78.0.1:80", check=False).returncode == 1
        stranger = Machine(s, "stranger", where=net.host("stranger"), join=cloud.join_key,
                           options=[*ROLES, "--tags", "tag:king"])
        stranger.launch()
        stranger.wait_for("tags that are asked for")
        stranger.kill()

    with s.test("no policy at all is everybody's reach again"):
        control.run("rollback", 0)
        assert control.run("explain", "laptop", "cloud:22").stdout.startswith("laptop may reach")


with Scenario() as s, lab.Lab(s.scratch) as net:
    run_all(s, net)
