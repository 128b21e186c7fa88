#!/usr/bin/env python3
"""Nodes on one bucket that do not reach each other: each on a machine of its own (a network
namespace), with the peer addresses that a node has by default."""

import contextlib
import json
import subprocess
import threading
import time
from pathlib import Path

from scenario import ROOT, Scenario, Skip, say, wait_until

ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
QUIET_S = 4  # less than RIVAL_PAUSE_MS_MIN of src/server/rival.h
SAYS = "two nodes share the journal and do not reach each other"


def can_be_alone():
    try:
        return subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def epochs(s):
    return len(list(Path(f"{s.scratch}/bucket/v1/j/main/epoch").iterdir()))


def state(node):
    answer = subprocess.run(
        [node.program, "status", "--json", "--kafka", node.address, "--run-dir", node.run_dir],
        capture_output=True, text=True)
    return json.loads(answer.stdout)["state"] if answer.returncode == 0 else "?"


@contextlib.contextmanager
def producing(*nodes):
    """A client beside each node: who is fenced finds out when it is asked for something."""
    over = threading.Event()

    def produce(node):
        while not over.is_set():
            subprocess.run(["nsenter", f"--net=/proc/{node.process.pid}/ns/net", "kcat", "-P",
                            "-b", node.address, "-t", "words", "-X", "message.timeout.ms=1000"],
                           input=b"word\n", capture_output=True)

    threads = [threading.Thread(target=produce, args=[node]) for node in nodes]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def check_duel(s, a, b, expected):
    """`a` leads; `b` fences it and is fenced, until one of them sees what it is."""
    a.launch()
    wait_until(lambda: "leads the journal" in a.log(), 30, "a leads")
    b.launch()
    with producing(a, b):
        check_truce(s, a, b, expected)


def check_truce(s, a, b, expected):
    wait_until(lambda: SAYS in a.log() + b.log(), 60, "one of them says what is wrong")
    begin, count = time.monotonic(), epochs(s)
    waits, leads = (a, b) if SAYS in a.log() else (b, a)
    line = next(line for line in waits.log_lines() if SAYS in line)
    say(f"after {count} epochs: {line}")
    assert expected in line and "--peer HOST:PORT" in line
    assert subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip() in line
    wait_until(lambda: state(leads) == "leading", 3, "the other one leads")
    while time.monotonic() < begin + QUIET_S:
        assert epochs(s) == count, "they go on fencing each other"
        time.sleep(0.1)
    assert state(leads) == "leading" and state(waits) == "standby"


def restart(s):
    for node in s.nodes:
        node.kill()


with Scenario() as s:
    alone = can_be_alone()

    with s.test("two machines with the same default peer address: one says so and waits"):
        if not alone:
            raise Skip("no network namespace can be made here")
        a, b = s.node("a", wrapper=ALONE), s.node("b", wrapper=ALONE)
        b.port, b.peer_port, b.address = a.port, a.peer_port, a.address
        check_duel(s, a, b, "the same peer address")
        restart(s)

    with s.test("two machines with different loopback addresses: the same"):
        if not alone:
            raise Skip("no network namespace can be made here")
        a, b = s.node("c", wrapper=ALONE), s.node("d", wrapper=ALONE)
        check_duel(s, a, b, "a loopback address")
        restart(s)

    with s.test("the leader of another journal at the address of ours is not taken for it"):
        if not alone:
            raise Skip("no network namespace can be made here")
        gone = s.node("e", wrapper=ALONE)
        gone.launch()
        wait_until(lambda: "leads the journal" in gone.log(), 30, "it leads")
        gone.kill()
        other = s.node("f", bucket=f"file:{s.scratch}/other")
        other.peer_port = gone.peer_port
        other.start()
        node = s.node("g")
        say(f"serves after {node.start():.2f} s")
        assert state(other) == "leading" and state(node) == "leading"
