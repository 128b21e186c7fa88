#!/usr/bin/env python3
"""Two machines behind hard NATs, and a third that forwards between them for whom the policy
allows it."""

# Its sockets are in namespaces of its own, so it runs beside others.

import json
import os

import lab
from lab import Lab
from machine import Machine
from mesh_traffic import exchange, serve_echo
from scenario import Scenario, skip_all, wait_until

PORT = 7741
REACH = {"src": ["*"], "dst": ["*"], "ip": ["*"]}
RELAY = {"src": ["*"], "dst": ["third"], "app": {"tailscale.com/cap/relay": []}}

why = lab.why_not() or (None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun")
if why:
    skip_all(f"peer_relay.py: {why}")

with Scenario() as s, Lab(s.scratch) as internet:
    server, open_host = internet.server("server", addresses=2), internet.server("open")
    first = Machine(s, "first", where=server, options=["--address", server.ip4])
    first.start()
    third = Machine(s, "third", where=open_host, join=first.key, options=["--peer-relay", PORT])
    a, b = (Machine(s, name, where=internet.host(name, "sym"), join=first.key) for name in "ab")

    def set_policy(*grants):
        path = s.scratch / "policy.hujson"
        path.write_text(json.dumps({"grants": grants}))
        first.run("policy", "set", path)

    def way(one, other):
        # One is lost where the way has just ended: it is trusted for 6.5 s.
        said = one.run("ping", other.name, "--times", "1", "--json", check=False).stdout
        return json.loads(said)["pings"][0]

    def is_by_third(one, other):
        exchange(one, other, 10_000)
        return way(one, other).get("peer_relay") == f"{open_host.ip4}:{PORT}"

    with s.test("without a grant two hard NATs stay with the relay"):
        for machine in [third, a, b]:
            machine.launch()
        for machine in [third, a, b]:
            machine.address = machine.wait_for(r"This machine is \S+ (100\.[0-9.]+),")[1]
            machine.wait_for("connected to relay")  # how links begin is not what is tried here
            serve_echo(machine)
        for _ in range(5):
            exchange(a, b, 50_000, 0.2)
        wait_until(lambda: way(a, b).get("via") == "relay", 10, "an answer by the relay")

    with s.test("a grant makes the third machine forward, at once"):
        set_policy(REACH, RELAY)
        wait_until(lambda: is_by_third(a, b) and is_by_third(b, a), 20, "the peer relay")
        wait_until(lambda: "by the peer relay" in a.run("ping", "b", "--times", "1").stdout, 10,
                   "a ping says so")

    with s.test("bytes pass through it, and go on by the relay when it ends"):
        exchange(a, b, 1_000_000)
        third.stop()
        exchange(a, b, 200_000)
        wait_until(lambda: way(a, b).get("via") == "relay", 20, "the relay")

    with s.test("another life of it is found again, until the policy takes it away"):
        third.start()
        wait_until(lambda: is_by_third(a, b), 30, "the peer relay")
        set_policy(REACH)
        wait_until(lambda: exchange(a, b, 10_000) and way(a, b).get("via") == "relay", 20,
                   "the relay again")
