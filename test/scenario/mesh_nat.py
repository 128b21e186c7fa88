#!/usr/bin/env python3
"""Machines of one mesh behind every kind of router: `hanse up` on a public machine and behind eight
routers, then bytes from each to each by TCP, which go directly wherever they can; a move while
bytes flow."""

# Its sockets are in namespaces of its own, so it runs beside others.  timeout: 400 s

import os
import re
import threading
import time

import lab
from lab import KINDS, Lab
from machine import Machine
from mesh_traffic import exchange, is_direct, serve_echo
from scenario import Deadline, Scenario, say, skip_all, wait_until

# When everything was tried, the birthday punch too, only two hard NATs stay with the relay.
HARD = {"adm", "sym"}
DIRECT_S = 60


why = lab.why_not() or (None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun")
if why:
    skip_all(f"mesh_nat.py: {why}")

with Scenario() as s, Lab(s.scratch) as internet:
    server = internet.server("server", addresses=2)
    first = Machine(s, "first", where=server, options=["--address", server.ip4])
    first.start()
    machines = {kind: Machine(s, kind, where=internet.host(kind, kind), join=first.key)
                for kind in KINDS}

    with s.test("machines behind eight kinds of routers join one mesh"):
        for machine in machines.values():
            machine.launch()
        for machine in [first, *machines.values()]:
            machine.address = machine.wait_for(r"This machine is \S+ (100\.[0-9.]+),")[1]
            serve_echo(machine)

    pairs = [(a, b) for i, a in enumerate(KINDS) for b in KINDS[i + 1:]]

    with s.test("bytes get from each to each at once, by whatever way there is"):
        for kind in KINDS:
            exchange(machines[kind], first)
        begin = time.monotonic()
        for a, b in pairs:
            exchange(machines[a], machines[b], 10_000)
        say(f"{len(pairs)} pairs: {time.monotonic() - begin:.1f} s")

    with s.test("all but two hard NATs become direct, and those say that they are relayed"):
        left = {pair for pair in pairs if not HARD.issuperset(pair)}
        begin = time.monotonic()

        def some_more():
            for a, b in list(left):
                exchange(machines[a], machines[b], 10_000)
                exchange(machines[b], machines[a], 10_000)
                if is_direct(machines[a], machines[b]):
                    left.discard((a, b))
            return not left
        try:
            wait_until(some_more, DIRECT_S, "direct paths")
        except Deadline:
            for a, b in left:
                say(f"{a} to {b}")
                say(machines[a].run("ping", b, "--times", "1", check=False).stdout.strip())
            raise
        say(f"direct after {time.monotonic() - begin:.1f} s")
        assert not is_direct(machines["adm"], machines["sym"])
        wait_until(lambda: re.search("relay.*because", machines["adm"].run(
            "ping", "sym", "--times", "1", check=False).stdout), 10, "it says why")

    with s.test("a connection goes on while its machine moves to another network"):
        moving, other = machines["apdf"], machines["fw"]
        pauses = []
        thread = threading.Thread(
            target=lambda: pauses.append(exchange(moving, other, 400_000, 0.2)))
        thread.start()
        time.sleep(2)
        moving.where.join(internet.router("apdf"))
        thread.join(160)
        assert pauses, "the connection broke"
        say(f"longest pause {pauses[0]:.1f} s")
        assert pauses[0] < 14  # TCP tries again after 0.2, 0.6, 1.4, 3.0, 6.2, 12.6 s
        wait_until(lambda: exchange(moving, other, 10_000) and is_direct(moving, other), 20,
                   "direct again")
