#!/usr/bin/env python3
"""Networks behind machines of the mesh: a printer at home that knows nothing of it, and the
Internet by way of a machine in a cloud."""

# Its hosts are in namespaces of its own, so it runs beside others.

import contextlib
import os
import time

import lab
from machine import Machine
from scenario import Scenario, skip_all, wait_until

why = lab.why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")


def reaches(host, address, timeout_s=10):
    def answers():
        return host.run("ping", "-c1", "-W1", address, check=False).returncode == 0
    return wait_until(answers, timeout_s, f"{host.name} reaches {address}")


def is_reached(host, address):
    return host.run("ping", "-c1", "-W1", address, check=False).returncode == 0


def source_seen(listener, sender, address):
    """From which address a datagram of `sender` to `address` comes to `listener`."""
    with listener.socket() as inbox, sender.socket() as outbox:
        inbox.bind(("", 5555))
        inbox.setblocking(False)

        def came():
            outbox.sendto(b"who am I", (address, 5555))
            time.sleep(0.1)
            with contextlib.suppress(BlockingIOError):
                return inbox.recvfrom(100)[1][0]
        return wait_until(came, 5, f"{sender.name} is heard at {address}")


with Scenario() as s, lab.Lab(s.scratch) as net:
    server, far = net.server("cloud"), net.server("far")
    home_host = net.host("home", "apdf")
    printer = net.host("printer", router=home_host.router)
    office_host = net.host("office", "sym")
    server.sysctl("ipv4/ip_forward", 1)
    home_host.sysctl("ipv4/ip_forward", 1)
    network = str(home_host.router.lan)
    cloud = Machine(s, "cloud", where=server,
                    options=["--address", server.ip4, "--advertise-exit-node"]).start()
    home = Machine(s, "home", where=home_host, join=cloud.key,
                   options=["--advertise-routes", network]).start()
    office = Machine(s, "office", where=office_host, join=cloud.key,
                     options=["--accept-routes"]).start()

    with s.test("nobody uses a network before it is approved"):
        wait_until(lambda: cloud.known("home")["routes"], 10, "control hears of it")
        assert not is_reached(office_host, printer.ip4)

    with s.test("the printer behind a machine is reached, and answers without knowing the mesh"):
        cloud.run("machine", "routes", "home", network)
        reaches(office_host, printer.ip4)
        assert source_seen(printer, office_host, printer.ip4) == home_host.ip4

    with s.test("who does not accept networks has none, and a machine keeps its own"):
        assert not is_reached(server, printer.ip4)
        assert "hanse0" not in home_host.run("ip", "route", "get", printer.ip4).stdout

    with s.test("the network goes when its approval does"):
        cloud.run("machine", "routes", "home", "none")
        wait_until(lambda: not is_reached(office_host, printer.ip4), 10, "it is gone")

    with s.test("an exit node leads to the Internet, and what carries the mesh goes by itself"):
        assert source_seen(far, office_host, far.ip4) == office_host.router.ip4
        cloud.run("machine", "routes", "cloud", "0.0.0.0/0,::/0")
        office.stop()
        office.join = None
        office.options.append("--exit-node=cloud")
        office.start()
        wait_until(lambda: source_seen(far, office_host, far.ip4) == server.ip4, 10,
                   "it goes by way of the cloud")
        reaches(office_host, home.json("status")["mesh"]["self"]["addresses"][0])
        assert office.json("status")["mesh"]["state"] == "up"
        time.sleep(2)
        assert source_seen(far, office_host, far.ip4) == server.ip4

    with s.test("without it everything is as before"):
        office.stop()
        assert source_seen(far, office_host, far.ip4) == office_host.router.ip4
        assert office_host.run("ip", "rule").stdout.count(":") == 3
        cloud.stop()
        assert "masquerade" not in server.run("nft", "list", "ruleset").stdout
