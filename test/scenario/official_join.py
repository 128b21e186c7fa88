#!/usr/bin/env python3
"""The official client in our realm: joins by key, is Running, and everything its users know works:
pings by relay and directly, names, who is who, files, ports.  An old client too, and the tools with
which its authors look at servers."""

# Its ports are its own, so it runs beside others.  timeout: 600 s

import http.server
import json
import re
import subprocess
import threading

import official
from machine import Machine, control_options
from scenario import Scenario, Skip, skip_all, wait_until


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *words):
        pass


def serve_page():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def join(s, control, machine, key=None):
    url, first_key = control.official_words
    s.at_end.callback(machine.kill)
    machine.start()
    machine.up(url, key or first_key)
    machine.wait_state("Running")


def check_talk(s, a, b, far):
    with s.test("two of them find each other, and the direct way"):
        a.wait_peer("b")
        said = a.ping_until("b", "")
        assert f"({b.ip4})" in said, said
        b.ping("a")

    with s.test("one that sends by the relay only is reached all the same"):
        said = far.ping_until("a", "via DERP")
        assert "hanse" in said.lower() or "DERP(" in said, said

    with s.test("names resolve"):
        said = a.run("dns", "query", "b.hanse.internal").stdout
        assert b.ip4 in said, said

    with s.test("an address is known to be whose it is"):
        who = json.loads(a.run("whois", "--json", b.ip4).stdout)
        assert who["Node"]["Name"] == "b.hanse.internal.", who
        assert "@" in who["UserProfile"]["LoginName"], who

    with s.test("a port of one is reached from the other"):
        port = serve_page()
        with a.spawn("nc", "b", port, stdin=subprocess.PIPE) as nc:
            nc.stdin.write("GET / HTTP/1.0\r\n\r\n")
            nc.stdin.flush()
            said = "".join(iter(nc.stdout.readline, ""))
            nc.kill()
        assert said.endswith("hello"), said

    with s.test("a file goes from one to the other"):
        file = s.scratch / "letter.txt"
        file.write_bytes(b"dear b\n" * 100000)
        targets = a.run("file", "cp", "--targets").stdout
        assert "b" in targets.split(), targets
        a.run("file", "cp", file, "b:")
        wait_until(lambda: b.run("file", "get", "--conflict=overwrite", b.inbox).returncode == 0
                   and (b.inbox / "letter.txt").exists(), 10, "the letter arrives")
        assert (b.inbox / "letter.txt").read_bytes() == file.read_bytes()


def check_restarts(s, control, a, b):
    with s.test("a client that starts again is who it was"):
        before = a.addresses
        a.stop()
        assert wait_until(lambda: control.known("a")["state"] == "offline", 15, "a is offline")
        a.start()
        a.wait_state("Running")
        assert a.addresses == before
        a.ping("b")

    with s.test("control that is killed comes back, and its clients with it"):
        control.kill()
        a.ping("b")
        control.start()
        wait_until(lambda: control.known("a") and control.known("a")["state"] == "online" and
                   control.known("b")["state"] == "online", 30, "both are back")
        a.ping("b")


def check_old(s, control, a):
    with s.test(f"the old client {official.OLD_VERSION} joins, and reaches the new one"):
        old = official.find_old()
        if not old:
            raise Skip(official.why_not_old())
        b = old.machine(s.scratch, "old")
        join(s, control, b)
        b.ping("a")
        a.ping("old")
        assert control.known("old")["capability_version"] == 113

        assert "do not come back" not in control.log()  # to a private address they do

    with s.test("the old client uses a relay whose certificate nobody vouches for"):
        if not official.find_old():
            raise Skip(official.why_not_old())
        wait_until(lambda: re.search(r"derp-\d+ connected", b.log_path.read_text()), 30,
                   "the old client is connected to the relay")


def check_tools(s, control, client, a):
    url, key = control.official_words
    tsp = [str(client.program("tsp")), "-s", url]

    def run(*words, stderr=subprocess.STDOUT):
        done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                              stderr=stderr, text=True, timeout=60)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def ask(*words):
        """Its answer; what it says of its connection goes elsewhere."""
        return json.loads(run(*words, stderr=subprocess.PIPE))

    with s.test("tsp registers and reads a map"):
        assert run(*tsp, "discover-server-key").startswith("mkey:")
        node = s.scratch / "node.json"
        key_file = s.scratch / "key"
        key_file.write_text(key)
        run(*tsp, "new-node", "-o", node)
        said = ask(*tsp, "register", "-n", node, "-auth-key", key_file, "-hostname", "tool")
        assert said["MachineAuthorized"] and "@" in said["Login"]["LoginName"], said
        said = ask(*tsp, "map", "-n", node)
        assert said["Node"]["Name"] == "tool.hanse.internal.", said["Node"]
        assert {"a", "b"} <= {peer["Name"].split(".")[0] for peer in said["Peers"]}, said["Peers"]

    with s.test("netcheck, debug derp and stunc are content with the relay"):
        region = control.ask("GET", "relays")["relays"][0]

        def are_content():
            said = a.run("netcheck").stdout
            assert "UDP: true" in said and "Nearest DERP: unknown" not in said, said
            said = a.run("debug", "derp", region["region"]).stdout
            report = json.loads(said)
            # it takes the "none" that says "no IPv6" for a name
            errors = [error for error in report["Errors"] or [] if "over IPv6" not in error]
            assert not errors and report["Info"], said
            said = run(client.program("stunc"), "127.0.0.1", region["stun_port"])
            assert re.search(r"127\.0\.0\.1:\d+", said), said
            return True
        wait_until(are_content, 10, "they are")


def run_all(s, client):
    control = Machine(s, "control", options=control_options())
    control.start()
    a, b, far = (client.machine(s.scratch, name) for name in ["a", "b", "far"])
    far.environment["TS_DEBUG_NEVER_DIRECT_UDP"] = "1"
    with s.test("official clients join by key and are Running"):
        for machine in [a, b, far]:
            join(s, control, machine)
        assert {"a", "b", "far"} <= {machine["name"] for machine in
                                     control.ask("GET", "machines")["machines"]}
    check_talk(s, a, b, far)
    check_tools(s, control, client, a)
    check_old(s, control, a)
    check_restarts(s, control, a, b)
    with s.test("control stops in order"):
        assert control.stop() == 0


def main():
    client = official.find()
    if not client:
        skip_all(official.why_not())
    with Scenario() as s:
        run_all(s, client)


main()
