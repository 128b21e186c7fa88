#!/usr/bin/env python3
"""Two nodes with control of one mesh, on one bucket: the second stands by, passes clients and
administrators on, and takes over when the first is killed.  Nothing of the mesh is lost, machines
come back by themselves, and while nobody controls it the mesh goes on."""

import json
import os
import signal
import time

import official
from machine import Machine, UnixConnection, free_udp_port
from node import IS_ASAN, free_port
from scenario import Scenario, Skip, say, wait_until

TAKEOVER_S = 20 if IS_ASAN else 5
COME_BACK_S = 40
DURABLE = ["id", "name", "dns_name", "addresses", "user", "tags", "created_s", "key_expiry_s",
           "ephemeral", "renamed", "approved_routes", "node_key", "machine_key"]


def port_for_two():
    """A port that is free, and the next one too, which is for other nodes."""
    while True:
        port = free_port()
        if port < 65535:
            return port


class ControlNode(Machine):
    def __init__(self, s, name, host, port):
        options = ["--roles", "realm,relay", "--bucket", f"file:{s.scratch}/bucket",
                   "--address", f"{host}:{port}", "--realm", f"{host}:{port}",
                   "--relay", f"{host}:{free_port()}", "--stun", f"{host}:{free_udp_port()}"]
        super().__init__(s, name, options=options)
        self.url = f"http://{host}:{port}"

    def status(self):
        return self.ask("GET", "status")

    def serves(self):
        try:
            return self.status()["state"] == "serving"
        except OSError:
            return False


def kept(node):
    """All that must survive, as control lists it."""
    machines = {machine["name"]: {word: machine[word] for word in DURABLE}
                for machine in node.ask("GET", "machines")["machines"]}
    keys = node.ask("GET", "keys")["keys"]
    status = node.status()
    return machines, keys, relay_names(node), status["server_key"], status["domain"]


def relay_names(node):
    return sorted(relay["name"] for relay in node.ask("GET", "relays")["relays"])


def admits(node, key):
    """Whether the relay beside this control would let the machine in."""
    connection = UnixConnection(node.run_dir / "realm.sock")
    connection.request("POST", "/verify", json.dumps({"NodePublic": key, "Source": "::"}))
    return json.loads(connection.getresponse().read())["Allow"]


def online(node):
    return node.status()["online"]


def need(client):
    if not client:
        raise Skip(official.why_not())
    return client


def control_tests(s, a, b):
    with s.test("the second node stands by, and clients are told of both"):
        a.start()
        b.start()
        assert b.status()["state"] == "standby"
        wait_until(lambda: len(a.status()["urls"]) == 2, 15, "a knows of b")
        assert set(a.status()["urls"]) == {a.url, b.url}

    with s.test("who asks the one that stands by is answered by the one that leads"):
        wait_until(lambda: len(a.ask("GET", "relays")["relays"]) == 2, 15, "two relays")
        created = b.ask("POST", "keys", {"uses": 0, "description": "for all"})
        s.key = created["secret"]
        assert created["description"] in [key["description"]
                                          for key in a.ask("GET", "keys")["keys"]]
        assert "there is no machine" in b.run("machine", "rename", "x", "y", check=False).stdout
        b.ask("GET", "machines/x", status=404)
        for path, body in [("keys", []), ("keys", {"uses": "5"}), ("machines/x/tag", {}),
                           ("machines/x/tag", {"tags": [1]}), ("machines/x/expire", {"in_s": None}),
                           ("machines/x/routes", {"routes": "10.0.0.0/8"})]:
            assert "error" in b.ask("POST", path, body, status=400)


def takeover_tests(s, a, b, client):
    with s.test("machines join through either of them"):
        s.one, s.two = [need(client).machine(s.scratch, name) for name in ["one", "two"]]
        for machine, node in [(s.one, a), (s.two, b)]:
            s.at_end.callback(machine.kill)
            machine.start()
            machine.up(node.url, s.key)
        wait_until(lambda: online(a) == 2, 10, "both are online")
        s.one.ping(s.two.ip4)

    with s.test("relays beside both let them in, and nobody else"):
        need(client)
        for node in [a, b]:
            assert all(admits(node, machine["node_key"])
                       for machine in a.ask("GET", "machines")["machines"])
            assert not admits(node, "nodekey:" + 64 * "7")

    with s.test(f"the leader is killed: the other leads within {TAKEOVER_S} s, with all it had"):
        a.run("machine", "list")
        before = kept(a)
        begin = time.monotonic()
        a.kill()
        wait_until(b.serves, 30, "b leads")
        took_s = time.monotonic() - begin
        say(f"b leads {took_s:.2f} s after the kill")
        assert kept(b) == before
        assert took_s < TAKEOVER_S

    with s.test("machines come back by themselves, also who only knew the dead one"):
        need(client)
        begin = time.monotonic()
        wait_until(lambda: online(b) == 2, COME_BACK_S, "both are online again")
        say(f"both are back {time.monotonic() - begin:.1f} s after the takeover")
        s.one.ping(s.two.ip4)
        assert s.one.state == s.two.state == "Running"

    with s.test("control goes on: a machine is renamed, and another one joins"):
        b.run("machine", "rename", "two", "deux") if client else need(client)
        s.one.wait_peer("deux", timeout_s=10)
        s.three = client.machine(s.scratch, "three").start()
        s.at_end.callback(s.three.kill)
        s.three.up(b.url, s.key)
        s.one.wait_peer("three")


def return_tests(s, a, b, client):
    with s.test("the node that was killed comes back, and stands by"):
        a.start()
        wait_until(lambda: a.status()["state"] == "standby", 15, "a stands by")
        wait_until(lambda: a.ask("GET", "machines") and True, 15, "a passes questions on")

    with s.test("a relay that was removed stays away while it runs, until it is added again"):
        assert "`hanse relay add a`" in b.run("relay", "remove", "a").stdout
        os.kill(a.roles()["relay"], signal.SIGKILL)  # a new life says that it is there
        a.wait_for(r"this relay was removed from the mesh")
        assert relay_names(b) == ["b"]
        b.run("relay", "add", "a")
        assert relay_names(b) == ["a", "b"]

    with s.test("while no control is left, machines reach each other"):
        need(client)
        s.before = kept(b)
        a.kill()
        b.kill()
        time.sleep(3)
        s.one.ping(s.two.ip4)
        s.two.ping(s.three.ip4)

    with s.test("control comes back with all it had, and so do the machines"):
        need(client)
        begin = time.monotonic()
        a.start()
        wait_until(a.serves, 20, "a leads")
        assert kept(a) == s.before
        wait_until(lambda: online(a) == 3, COME_BACK_S, "all are online again")
        say(f"all are back {time.monotonic() - begin:.1f} s after the start")
        assert a.stop() == 0


with Scenario() as s:
    client = official.find()
    port = port_for_two()
    a = ControlNode(s, "a", "127.0.0.1", port)
    b = ControlNode(s, "b", "127.0.0.2", port)
    control_tests(s, a, b)
    takeover_tests(s, a, b, client)
    return_tests(s, a, b, client)
