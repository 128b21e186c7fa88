#!/usr/bin/env python3
"""What administrators do to machines that run the official client: let in by link, refuse, rename,
tag, expire, remove; and what the machines do themselves: sign in again, log out, be gone."""

# Its ports are its own, so it runs beside others.  timeout: 600 s

import http.client
import json
import urllib.parse

import official
from machine import Machine, control_options
from scenario import Scenario, skip_all, wait_until


def get(url):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def state_of(control, name):
    machine = control.known(name)
    return machine and machine["state"]


def check_joining(s, control, a, b):
    url, key = control.official_words

    with s.test("a key that was never made is refused, in words"):
        said = a.run("up", f"--login-server={url}", "--auth-key=0123456789", "--timeout=60s",
                     check=False)
        assert said.returncode != 0 and "key" in said.stdout, said.stdout

    with s.test("a machine without a key waits behind a link until it is let in"):
        a.stop()
        a.start()
        link, waiting = a.begin_up(url)
        assert link.startswith(url), link
        status, page = get(link)
        assert status == 200 and "hanse machine approve" in page, page
        listed = control.run("machine", "list").stdout
        assert "waiting" in listed, listed
        control.run("machine", "approve", link.rsplit("/", 1)[1])
        a.wait_state("Running")
        assert waiting.wait(60) == 0
        assert state_of(control, "a") == "online"

    with s.test("a key for one machine lets in one machine"):
        once = control.json("key", "create")["secret"]
        b.start()
        b.up(url, once)
        b.wait_state("Running")
        c = a.official.machine(s.scratch, "c")
        s.at_end.callback(c.kill)
        c.start()
        said = c.run("up", f"--login-server={url}", f"--auth-key={once}", "--timeout=60s",
                     check=False)
        assert said.returncode != 0, said.stdout
        c.kill()
    a.ping("b")


def check_editing(s, control, a, b):
    with s.test("a machine is renamed, for all at once"):
        control.run("machine", "rename", "b", "better")
        a.wait_peer("better")
        assert "b" not in a.peers()
        wait_until(lambda: b.status()["Self"]["DNSName"] == "better.hanse.internal.", 5,
                   "b knows its name")
        said = a.run("dns", "query", "better.hanse.internal").stdout
        assert b.ip4 in said, said
        control.run("machine", "rename", "better", "b")
        a.wait_peer("b")

    with s.test("a machine is tagged, and no longer somebody's"):
        control.run("machine", "tag", "b", "tag:server")
        a.wait_peer("b", lambda peer: peer.get("Tags") == ["tag:server"], what="has its tag")
        who = json.loads(a.run("whois", "--json", b.ip4).stdout)
        assert who["Node"]["Tags"] == ["tag:server"], who
        assert who["UserProfile"]["LoginName"] == "tagged-devices", who["UserProfile"]
        assert control.known("b")["key_expiry_s"] == 0
        control.run("machine", "tag", "b", "none")
        a.wait_peer("b", lambda peer: not peer.get("Tags"), what="has no tag")
        a.ping("b")

    with s.test("one whose key is ended has to sign in again, and is who it was"):
        before = b.ip4
        control.run("machine", "expire", "b")
        b.wait_state("NeedsLogin")
        wait_until(lambda: "b" not in a.peers(), 10, "b is no longer there")
        said = a.run("ping", "--c=1", "--timeout=1s", before, check=False).stdout
        assert "pong" not in said, said
        url, _ = control.official_words
        _, key = control.new_key()
        b.up(url, key, "--force-reauth")
        b.wait_state("Running")
        assert b.ip4 == before
        a.wait_peer("b", lambda peer: peer["Online"] and not peer.get("Expired"), what="is back")
        a.ping("b")


def check_leaving(s, control, a, b):
    url, _ = control.official_words

    with s.test("a machine that logs out is gone for the others, and can come back"):
        b.run("logout")
        b.wait_state("NeedsLogin")
        wait_until(lambda: "b" not in a.peers(), 10, "b is no longer there")
        assert state_of(control, "b") == "expired"
        _, key = control.new_key()
        b.up(url, key)
        b.wait_state("Running")
        wait_until(lambda: state_of(control, "b") == "online", 10, "b is back")
        a.ping(b.ip4)

    with s.test("a machine that is removed is told so, and its address answers no more"):
        before = b.ip4
        control.run("machine", "remove", "b", "--force")
        wait_until(lambda: "b" not in a.peers(), 10, "b is gone")
        assert control.known("b") is None
        b.wait_state("NeedsLogin")
        said = a.run("ping", "--c=1", "--timeout=1s", before, check=False).stdout
        assert "pong" not in said, said

    with s.test("an ephemeral machine is gone when it logs out"):
        _, key = control.new_key(ephemeral=True)
        guest = a.official.machine(s.scratch, "guest")
        s.at_end.callback(guest.kill)
        guest.start(is_ephemeral=True)
        guest.up(url, key)
        a.wait_peer("guest")
        assert control.known("guest")["ephemeral"]
        guest.run("logout")
        wait_until(lambda: control.known("guest") is None, 10, "control forgets the guest")
        wait_until(lambda: "guest" not in a.peers(), 10, "the guest is gone")


def run_all(s, client):
    control = Machine(s, "control", options=control_options())
    control.start()
    a, b = (client.machine(s.scratch, name) for name in ["a", "b"])
    for machine in [a, b]:
        s.at_end.callback(machine.kill)
    a.start()
    check_joining(s, control, a, b)
    check_editing(s, control, a, b)
    check_leaving(s, control, a, b)


def main():
    client = official.find()
    if not client:
        skip_all(official.why_not())
    with Scenario() as s:
        run_all(s, client)


main()
