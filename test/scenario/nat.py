#!/usr/bin/env python3
"""Which pairs of routers let two machines find a direct path: 64 pairs at once, and then those with
a hard NAT on one side, which are punched.  nat_paths.py has what else there is on the way."""

# Its sockets are in namespaces of its own, so it runs beside others.

import time

import lab
import path_peer
from lab import KINDS, Lab
from path_peer import World, introduce, talk, wait_direct
from scenario import Scenario, say, skip_all, wait_until

# As in src/mesh/paths/nat_test.c: D direct, R relay.
TABLE = {
    #         open fw eif adf apdf adm sym sympm
    "open": "DDDDDDDD",
    "fw": "DDDDDRRD",
    "eif": "DDDDDDDD",
    "adf": "DDDDDDDD",
    "apdf": "DDDDDRRD",
    "adm": "DRDDRRRD",
    "sym": "DRDDRRRD",
    "sympm": "DDDDDDDD",
}
TABLE_S = 20
PUNCH_S = 60  # one in fifty fails and is tried again


def letters(row, columns):
    both = [{row.is_direct(other), other.is_direct(row)} for other in columns]
    return "".join("D" if b == {True} else "R" if b == {False} else "?" for b in both)


def check_table(world):
    rows = {kind: world.peer(kind, kind) for kind in KINDS}
    columns = {kind: world.peer("to-" + kind, kind) for kind in KINDS}
    for row in rows.values():
        for column in columns.values():
            introduce(row.ready(), column.ready())
            talk(row, column)
    begin = time.monotonic()
    found = {}

    def is_complete():
        nonlocal found
        found = {kind: letters(row, columns.values()) for kind, row in rows.items()}
        return all(have == "D" for kind in KINDS
                   for have, want in zip(found[kind], TABLE[kind]) if want == "D")
    try:
        wait_until(is_complete, TABLE_S, "all pairs that can")
        say(f"all that can are direct after {time.monotonic() - begin:.1f} s")
        time.sleep(6)  # and the others have had their time
        is_complete()
    finally:
        for kind in KINDS:
            say(f"{kind:>6} {found[kind]}" + ("" if found[kind] == TABLE[kind] else
                                              f"   expected {TABLE[kind]}"))
    assert found == TABLE


why = lab.why_not() or path_peer.why_not()
if why:
    skip_all(f"nat.py: {why}")

with Scenario(checks_logs=False) as s, Lab(s.scratch) as internet:
    world = World(s, internet)

    with s.test("64 pairs of NATs: who can be direct is, and all others use the relay"):
        check_table(world)

    with s.test("every engine ended in order"):
        world.end()

    with s.test("hard NATs are punched: apdf and fw with sym and adm, either side"):
        pairs = [world.pair(a, b, "--punch") for a, b in
                 [("apdf", "sym"), ("adm", "fw"), ("sym", "fw"), ("apdf", "adm")]]
        for a, b in pairs:
            talk(a, b)
        for a, b in pairs:
            took_s = wait_direct(a, b, PUNCH_S, "a punch")
            say(f"{a.host.router.kind} with {b.host.router.kind}: {took_s:.1f} s")
        for a, b in pairs:
            a.reset(b)
        for a, b in pairs:
            wait_until(lambda a=a, b=b: a.ask_state(b).udp >= 3, 5, "packets by UDP")
            assert a.ask_state(b).relay == 0, vars(a.ask_state(b))

    with s.test("a punched path closes its sockets but for the one it uses"):
        wait_until(lambda: all(peer.ask_info()[3] <= 4 for pair in pairs for peer in pair), 30,
                   "few sockets")
        world.end()
