#!/usr/bin/env python3
"""What lies between two machines and a direct path, besides NATs one by one: IPv6, blocked UDP,
LANs, carriers, routers that give ports away, moves, mappings that end early."""

# Its sockets are in namespaces of its own, so it runs beside others.

import shutil
import time

import lab
import path_peer
from lab import ROUTED, Lab
from path_peer import World, introduce, quiet, talk, wait_direct
from scenario import Scenario, Skip, say, skip_all, wait_until

why = lab.why_not() or path_peer.why_not()
if why:
    skip_all(f"nat_paths.py: {why}")

with Scenario(checks_logs=False) as s, Lab(s.scratch) as internet:
    world = World(s, internet)

    with s.test("IPv6 goes around two hard NATs, through stateful firewalls"):
        a, b = world.pair("sym", "sym", first_settings={"ipv6": True},
                          second_settings={"ipv6": True})
        talk(a, b)
        wait_direct(a, b, 15, "IPv6")
        assert "[2001:db8:" in a.ask_state(b).why, a.ask_state(b).why

    with s.test("where UDP is blocked the relay carries all, and it says why"):
        a, b = world.pair("apdf", "open", first_settings={"udp": False})
        talk(a, b)
        time.sleep(3)  # a direct path would have its time
        wait_until(lambda: a.ask_state(b).relay > 5, 5, "packets by the relay")
        state = a.ask_state(b)
        assert state.kind == "relay" and state.udp == 0, vars(state)
        assert "UDP does not get out" in state.why
        a.host.router.set_udp(True)
        took_s = wait_direct(a, b, 45, "after UDP was allowed")
        say(f"direct {took_s:.1f} s after UDP was allowed")

    with s.test("in one LAN, behind any router, the private addresses are used"):
        a = world.peer("a", "sym").ready()
        b = world.peer("b", host=internet.host("b", router=a.host.router)).ready()
        introduce(a, b)
        talk(a, b)
        wait_direct(a, b, 10, "the same LAN")
        assert f"direct {b.host.ip4}:" in a.ask_state(b).why

    with s.test("two customers of one carrier meet behind its NAT, by hairpin or not at all"):
        for hairpin, kind in [(True, "direct"), (False, "relay")]:
            carrier = internet.router("eif", lan="100.64.0.0/24", hairpin=hairpin)
            a, b = world.pair("apdf", "apdf", first_settings={"upstream": carrier},
                              second_settings={"upstream": carrier})
            talk(a, b)
            if hairpin:
                wait_direct(a, b, 15, "hairpin")
            else:
                time.sleep(3)
            assert a.ask_state(b).kind == kind, a.ask_state(b).why

    with s.test("a customer of a carrier and a home find each other through three NATs"):
        carrier = internet.router("apdf", lan="100.64.0.0/24")
        a, b = world.pair("apdf", "apdf", first_settings={"upstream": carrier})
        talk(a, b)
        wait_direct(a, b, 15, "double NAT")

    with s.test("routers whose ports move when a packet comes too early are opened before that"):
        internet.make_wide()
        a, b = world.pair("apdf", "apdf", first_settings={"drop_input": False},
                          second_settings={"drop_input": False})
        talk(a, b)
        wait_direct(a, b, 10, "without the drop")

    with s.test("a router that gives ports away (miniupnpd) makes two hard NATs direct"):
        if not shutil.which("miniupnpd"):
            raise Skip("miniupnpd is not installed")
        router = internet.router("sym", net=ROUTED)
        router.start_port_mapper()
        host = internet.host("mapped", router=router)
        a = world.peer("a", "sym", "--mapping", "--gateway", router.gateway, host=host).ready()
        b = world.peer("b", "sym").ready()
        wait_until(lambda: 3 in a.kinds, 10, "a mapped endpoint")
        introduce(a, b)
        talk(a, b)
        wait_direct(a, b, 15, "port mapping")
        assert a.stop()
        world.peers.remove(a)

    with s.test("a machine that moves to another network goes on within seconds"):
        a, b = world.pair("apdf", "apdf")
        talk(a, b)
        wait_direct(a, b, 10, "before the move")
        a.reset(b)
        b.reset(a)
        other = internet.router("apdf")
        a.host.join(other)
        a.say("network")
        for x, y in [(a, b), (b, a)]:
            heard = x.ask_state(y).udp
            x.wait(lambda: x.ask_state(y).udp > heard + 3, "packets by UDP", 15)
        gaps = [x.ask_state(y).gap_ms for x, y in [(a, b), (b, a)]]
        say(f"longest pauses {gaps} ms")
        assert max(gaps) < 10_000  # 3,000 where nothing else runs
        # The same NAT, switched off and on: no link goes down, only its table is gone.
        other.forget_connections()
        b.host.router.forget_connections()
        time.sleep(7)
        wait_direct(a, b, 15, "after the router was switched off and on")

    with s.test("mappings that live for 5 s are kept by heartbeats, and found again after a rest"):
        a, b = world.pair("apdf", "apdf", first_settings={"udp_timeout_s": 5},
                          second_settings={"udp_timeout_s": 5})
        talk(a, b)
        wait_direct(a, b, 10, "short timeouts")
        time.sleep(0.5)  # both have talked
        # Nobody sends packets now, and pings go on for a while.
        quiet(a, b)
        time.sleep(7)
        assert a.is_direct(b) and b.is_direct(a)
        a.reset(b)
        talk(a, b)
        wait_until(lambda: a.ask_state(b).udp > 2, 5, "packets by UDP")
        state = a.ask_state(b)
        assert state.kind == "direct" and state.relay == 0, vars(state)

    with s.test("every engine ended in order"):
        world.end()
