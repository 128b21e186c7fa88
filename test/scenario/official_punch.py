#!/usr/bin/env python3
"""Official clients at home and our machines behind hard NATs: direct by the birthday punch.  The
official client knows nothing of it but that it pings what it is called for."""

# Its sockets are in namespaces of its own, so it runs beside others.  timeout: 600 s

import json
import os
import time

import lab
import official
from lab import Lab
from machine import Machine
from scenario import Deadline, Scenario, say, skip_all, wait_until

# (official, ours): directly or not.
EXPECTED = {
    ("apdf", "apdf"): True,
    ("adf", "sym"): True,
    ("apdf", "sym"): True,  # from here on by a punch
    ("fw", "sym"): True,
    ("apdf", "adm"): True,
    ("fw", "adm"): True,
    ("sym", "sym"): False,
    ("sym", "apdf"): False,  # only the hard side could, and it is not ours
}
PUNCH_S = 60


def talk(ours, theirs):
    """A packet each way in the tunnel; True when it came back directly, by our word and theirs."""
    said = theirs.run("ping", "--tsmp", "--c=1", "--timeout=1s", ours.name, check=False).stdout
    mine = ours.json("ping", theirs.name, "--times", "1")
    disco = theirs.run("ping", "--c=1", "--timeout=1s", "--until-direct=false", ours.name,
                       check=False).stdout
    return "pong from" in said and mine["direct"] and "via DERP" not in disco and "via" in disco


programs = official.find()
why = (lab.why_not() or (None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun")
       or (None if programs else official.why_not()))
if why:
    skip_all(f"official_punch.py: {why}")

with Scenario() as s, Lab(s.scratch) as internet:
    server = internet.server("server", addresses=2)
    first = Machine(s, "first", where=server, options=["--address", server.private])
    first.start()
    url, key = first.official_words
    ours = {kind: Machine(s, f"our-{kind}", where=internet.host(kind, kind), join=first.key)
            for kind in ["apdf", "adm", "sym"]}
    theirs = {kind: programs.machine(s.scratch, f"their-{kind}", where=internet.host(kind, kind))
              for kind in ["adf", "apdf", "fw", "sym"]}

    with s.test("official clients and our machines join, each behind its router"):
        for machine in ours.values():
            machine.launch()
        for machine in theirs.values():
            s.at_end.callback(machine.kill)
            machine.start()
            machine.up(url, key)
        for machine in ours.values():
            machine.wait_for("This machine is")

    with s.test("with one relay machine official clients see whether their NAT is hard"):
        for kind, machine in theirs.items():
            said = machine.run("netcheck", "--format=json").stdout  # with its log before it
            report = json.JSONDecoder().raw_decode(said[said.index("{"):])[0]
            assert report["MappingVariesByDestIP"] is (kind == "sym"), (kind, report)
            assert 900 <= report["PreferredDERP"] <= 999, report
        for kind, wanted in [("sym", True), ("apdf", None)]:
            wait_until(lambda: ours[kind].json("netcheck")["mapping_varies"] is wanted, 10,
                       f"we see it too: {kind}")

    with s.test("all pairs of which our side is the hard one become direct"):
        left = {pair for pair, wanted in EXPECTED.items() if wanted}
        begin = time.monotonic()

        def some_more():
            for pair in sorted(left):
                if talk(ours[pair[1]], theirs[pair[0]]):
                    say(f"official {pair[0]}, ours {pair[1]}: {time.monotonic() - begin:.1f} s")
                    left.discard(pair)
            return not left
        try:
            wait_until(some_more, PUNCH_S, "direct paths")
        except Deadline:
            for pair in left:
                say(ours[pair[1]].run("ping", theirs[pair[0]].name, "--times", "1",
                                      check=False).stdout.strip())
            raise

    with s.test("the others are reached by the relay"):
        for pair, wanted in EXPECTED.items():
            if not wanted:
                assert not talk(ours[pair[1]], theirs[pair[0]]), pair
                theirs[pair[0]].ping(ours[pair[1]].name)
