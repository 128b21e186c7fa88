#!/usr/bin/env python3
"""What else lies between two machines of a mesh than a NAT each: a router that gives ports away,
IPv6, blocked UDP, one LAN, a carrier's NAT.  Bytes get through at once, and directly where they
can."""

# Its sockets are in namespaces of its own, so it runs beside others.

import os
import shutil
import time

import lab
from lab import ROUTED, Lab
from machine import Machine
from mesh_traffic import exchange, is_direct, serve_echo
from scenario import Scenario, Skip, say, skip_all, wait_until


def become_direct(one, other, timeout_s=20):
    begin = time.monotonic()
    wait_until(lambda: exchange(one, other, 10_000) and is_direct(one, other), timeout_s,
               f"{one.name} and {other.name} are direct")
    say(f"direct after {time.monotonic() - begin:.1f} s")


def ping_says(machine, name, words):
    """A better path may still be on its way, and one ping may be lost."""
    wait_until(lambda: words in machine.run("ping", name, check=False).stdout, 10, words)


why = lab.why_not() or (None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun")
if why:
    skip_all(f"mesh_paths.py: {why}")

with Scenario() as s, Lab(s.scratch) as internet:
    first = Machine(s, "first", where=(server := internet.server("server", addresses=2)),
                    options=["--address", server.ip4])
    first.start()

    def machine(name, host):
        it = Machine(s, name, where=host, join=first.key)
        it.launch()
        return it

    def ready(*machines):
        """They have joined, and know each other."""
        for it in machines:
            it.address = it.wait_for(r"This machine is \S+ (100\.[0-9.]+),")[1]
            it.wait_for("connected to relay")
            serve_echo(it)
        for it in machines:
            wait_until(lambda: all(it.run("ping", other.name, "--times", "1",
                                          check=False).returncode == 0
                                   for other in machines if other is not it), 15, "they ping")
        return machines

    def through_a_kind_router(name, **settings):
        if not shutil.which("miniupnpd"):
            raise Skip("miniupnpd is not installed")
        router = internet.router("sym", net=ROUTED)
        router.start_port_mapper(**settings)
        mapped, other = ready(machine(f"mapped{name}", internet.host("mapped", router=router)),
                              machine(f"hard{name}", internet.host("hard", "sym")))
        become_direct(other, mapped)
        assert "port mapping          yes" in mapped.run("netcheck").stdout
        ping_says(other, mapped.name, f"direct by {router.ip4}:")

        def lent():
            return ":41641" in router.run("nft", "list", "chain", "inet", "upnp",
                                          "upnpdnat").stdout
        # What the router lent is given back at the end.
        assert lent()
        mapped.run("down")
        wait_until(lambda: not lent(), 10, "the port is back")

    with s.test("two hard NATs, one of which gives ports away (miniupnpd): direct"):
        through_a_kind_router("")

    with s.test("and so with a router that speaks UPnP only"):
        through_a_kind_router("-upnp", natpmp=False)

    with s.test("two hard NATs with IPv6 behind firewalls: direct by IPv6"):
        a, b = ready(*(machine(f"six{i}", internet.host(f"six{i}", "sym", ipv6=True))
                       for i in range(2)))
        become_direct(a, b)
        ping_says(a, b.name, "direct by [2001:db8:")

    with s.test("UDP is blocked: the relay carries everything, and ping says why"):
        blocked, = ready(machine("blocked", internet.host("blocked", "apdf", udp=False)))
        exchange(blocked, a)
        exchange(a, blocked)
        wait_until(lambda: "UDP does not get out of this network" in blocked.run(
            "ping", a.name, "--times", "1", check=False).stdout, 10, "it says why")

    with s.test("one LAN behind a hard NAT: direct, and by the private addresses"):
        router = internet.router("sym")
        a, b = ready(*(machine(f"near{i}", internet.host(f"near{i}", router=router))
                       for i in range(2)))
        become_direct(a, b)
        ping_says(a, b.name, f"direct by {b.where.ip4}:")

    with s.test("two customers of one carrier, whose NAT lets them meet: direct"):
        carrier = internet.router("eif", lan="100.64.0.0/24", hairpin=True)
        a, b = ready(*(machine(f"carried{i}", internet.host(f"carried{i}", "apdf",
                                                            upstream=carrier))
                       for i in range(2)))
        become_direct(a, b)
        ping_says(a, b.name, f"direct by {carrier.ip4}:")
