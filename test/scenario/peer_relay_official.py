#!/usr/bin/env python3
"""Peer relays with the official client: as an end of ours, as an end of its own, as the relay."""

# Its sockets are in namespaces of its own, so it runs beside others.  timeout: 600 s

import json
import os

import lab
import official
from lab import Lab
from machine import Machine
from scenario import Scenario, skip_all, wait_until

OURS, THEIRS = 7741, 7742
REACH = {"src": ["*"], "dst": ["*"], "ip": ["*"]}

why = (lab.why_not() or official.why_not() or
       (None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun"))
if why:
    skip_all(f"peer_relay_official.py: {why}")

with Scenario(checks_logs=False) as s, Lab(s.scratch) as internet:
    client = official.find()
    server, third_host = internet.server("server", addresses=2), internet.server("third")
    fourth_host = internet.server("fourth")
    first = Machine(s, "first", where=server, options=["--address", server.ip4])
    first.start()
    url, key = first.official_words
    third = Machine(s, "third", where=third_host, join=first.key, options=["--peer-relay", OURS])
    ours = Machine(s, "ours", where=internet.host("ours", "sym"), join=first.key)
    phone, desk, fourth = (client.machine(s.scratch, name, where=where, has_device=True)
                           for name, where in [("phone", internet.host("phone", "sym")),
                                               ("desk", internet.host("desk", "sym")),
                                               ("fourth", fourth_host)])

    def allow(name):
        grant = {"src": ["*"], "dst": [name], "app": {"tailscale.com/cap/relay": []}}
        path = s.scratch / "policy.hujson"
        path.write_text(json.dumps({"grants": [REACH, grant]}))
        first.run("policy", "set", path)

    def way(name):
        pong = ours.json("ping", name, "--times", "1")["pings"][0]
        return pong.get("peer_relay"), pong["why"]

    def wait_way(name, where, port):
        wait_until(lambda: way(name)[0] == f"{where.ip4}:{port}", 40, f"{name} by {port}")

    with s.test("an official machine and ours, both behind hard NATs, meet at our peer relay"):
        allow("third")
        for machine in [third, ours]:
            machine.start()
        for machine in [phone, desk, fourth]:
            s.at_end.callback(machine.kill)
            machine.start().up(url, key)
        said = phone.ping_until("ours", f"via peer-relay({third_host.ip4}:{OURS}:", 40)
        assert "pong from ours" in said, said
        wait_way("phone", third_host, OURS)

    with s.test("two official machines meet at it, too"):
        phone.ping_until("desk", f"via peer-relay({third_host.ip4}:{OURS}:", 40)

    with s.test("ours and an official machine meet at an official peer relay"):
        fourth.run("set", f"--relay-server-port={THEIRS}")
        third.stop()
        allow("fourth")
        wait_way("desk", fourth_host, THEIRS)
        phone.ping_until("ours", f"via peer-relay({fourth_host.ip4}:{THEIRS}:", 40)
