#!/usr/bin/env python3
"""A machine of which control hears nothing any more, not even its end, and that comes back."""

# Its hosts are in namespaces of its own, so it runs beside others.

import os
import time

import lab
from machine import Machine
from scenario import Scenario, skip_all, wait_until

why = lab.why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")

GONE_S = 45   # 25 s of silence, and the 5 s that a machine may take to connect again
KEEPALIVE_S = 59
ROLES = ["--roles", "mesh"]
CUT = """
table inet cut {
	chain input {
		type filter hook input priority -10;
		ip saddr %s drop
	}
}
"""


def is_online(machine, name):
    """As control told the machine."""
    return any(peer["name"].split(".")[0] == name and peer.get("online")
               for peer in machine.json("status")["mesh"]["peers"])


with Scenario() as s, lab.Lab(s.scratch) as net:
    server = net.server("cloud")
    cloud = Machine(s, "cloud", where=server, options=["--address", server.private]).start()
    witness = Machine(s, "witness", where=net.host("witness", "apdf"), join=cloud.key,
                      options=ROLES).start()
    lost = Machine(s, "lost", where=net.host("lost", "apdf"), join=cloud.key, options=ROLES).start()
    wait_until(lambda: is_online(witness, "lost"), 10, "it is online")

    with s.test("a machine that vanishes without a word is offline soon, and everybody hears it"):
        begin = time.monotonic()
        server.nft(CUT % lost.where.router.ip4)
        wait_until(lambda: cloud.known("lost")["state"] == "offline", GONE_S, "control says so")
        wait_until(lambda: not is_online(witness, "lost"), 5, "the witness says so")
        took_s = time.monotonic() - begin
        print(f"# after {took_s:.0f} s")
        assert took_s < KEEPALIVE_S
        assert cloud.known("witness")["state"] != "offline"

    with s.test("and it is back soon after it can be heard again"):
        begin = time.monotonic()
        server.run("nft", "delete", "table", "inet", "cut")
        wait_until(lambda: is_online(witness, "lost"), 40, "the witness hears of it")
        print(f"# after {time.monotonic() - begin:.0f} s")
