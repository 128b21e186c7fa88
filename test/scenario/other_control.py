#!/usr/bin/env python3
"""Our machine is a member of somebody else's mesh: the control server with which the official
client is tested by its authors, and that client beside it."""

# It keeps to network namespaces of its own, so it runs beside others.

import re
import socket
import time

import lab
import official
from machine import Machine
from scenario import Scenario, skip_all, wait_until

CONTROL = "http://127.0.0.1:9911"  # it takes no other


def answers(host, address):
    return host.run("ping", "-c1", "-W1", address, check=False).returncode == 0


def accepts(host):
    with host.socket(socket.SOCK_STREAM) as client:
        return client.connect_ex(("127.0.0.1", 9911)) == 0


def start_control(s, client, host):
    with open(s.scratch / "testcontrol.log", "ab") as log:
        control = host.spawn(client.program("testcontrol"), stdout=log, stderr=log)
    wait_until(lambda: accepts(host), 10, "control accepts connections")
    return control


def run_all(s, client, place):
    host = place.server("both")  # their relay is at 127.0.0.1 too
    control = start_control(s, client, host)
    theirs = client.machine(s.scratch, "theirs", where=host)
    ours = Machine(s, "ours", where=host,
                   options=["--login-server", CONTROL, "--roles", "mesh"])
    with s.test("the official client joins that control server"):
        theirs.start()
        theirs.up(CONTROL, "any key")

    with s.test("so does our machine"):
        begin = time.monotonic()
        ours.start()
        assert time.monotonic() - begin < 30
        found = ours.wait_for(r"This machine is ours, (100\.\S+), one of 2 of")
        s.ip4 = found[1]
        peer = theirs.wait_peer("ours")
        assert s.ip4 in peer["TailscaleIPs"], peer

    with s.test("they ping each other, outside the tunnel and in it"):
        theirs.ping(s.ip4)
        wait_until(lambda: answers(host, theirs.ip4), 10, "our machine reaches theirs")
        said = ours.run("ping", "theirs").stdout
        assert re.search(r"answered in .* (direct|relay)", said), said

    with s.test("they find the direct way"):
        said = theirs.ping_until(s.ip4, "via ")
        assert "via DERP" not in said, said

    with s.test("control that goes and comes back is found again, and meanwhile the mesh works"):
        control.kill()
        control.wait()
        ours.wait_for("control: .*trying again")
        wait_until(lambda: answers(host, theirs.ip4), 5, "our machine reaches theirs")
        start_control(s, client, host)
        # it has another key, and has forgotten everybody, and our machine registers anew
        wait_until(lambda: re.search(r"trying again(.|\n)*knows this machine", ours.log()), 20,
                   "our machine is known again")

    with s.test("it leaves in order"):
        assert ours.stop() == 0
        assert "hanse0" not in host.run("ip", "link").stdout


def main():
    why = lab.why_not() or official.why_not()
    if why:
        skip_all(why)
    client = official.find()
    with Scenario() as s, lab.Lab(s.scratch) as place:
        run_all(s, client, place)


main()
