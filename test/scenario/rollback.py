#!/usr/bin/env python3
"""A store gives back an older state of the journal, as after yesterday's copy was brought back.
The bucket is whole and nothing in it tells, but others remember: an agent that was told of newer
records, a node that followed, a leader that led, and the records themselves.  None of them lets
anything be served from it, and when the newest state is back, nothing is lost.

Never skipped.  timeout: 300 s"""
# one run only: nothing acknowledged may depend on luck

import shutil
import signal
import subprocess
import time

import kcat
from rdkafka import NumberedWriter
from scenario import Scenario, wait_until

TOPIC = "ledger"
OLDER = "THE JOURNAL IS OLDER THAN IT WAS"
CHANGED = "THE JOURNAL IS NOT WHAT IT WAS"


class Journal:
    """The journal's directory, as it is now and as it was."""

    def __init__(self, node):
        self.path = node.scratch_bucket / "v1/j"
        self.old, self.new = self.path.with_name("j-old"), self.path.with_name("j-new")

    def copy(self):
        shutil.copytree(self.path, self.old)

    def roll_back(self):
        self.path.rename(self.new)
        self.old.rename(self.path)

    def bring_back(self):
        shutil.rmtree(self.path)
        self.new.rename(self.path)


def node_on(s, name, directory, *options):
    node = s.node(name, bucket=f"file:{directory}", options=options)
    node.scratch_bucket = directory
    return node


def write(node, seconds, **settings):
    writer = NumberedWriter(node.address, TOPIC, 1, 300, **settings)
    writer.start()
    time.sleep(seconds)
    writer.stop()
    return writer


def write_around_a_copy(node):
    """What was acknowledged after the copy was made must not be forgotten."""
    kcat.produce(node.address, TOPIC, b"before the copy\n")
    journal = Journal(node)
    journal.copy()
    kcat.produce(node.address, TOPIC, b"".join(b"after it %d\n" % n for n in range(50)))
    return journal


def swap_and_kill_control(node, journal):
    """It is stopped meanwhile, so that it writes to neither."""
    pid = node.role_pid("control")
    node.signal(signal.SIGSTOP, "control")
    journal.roll_back()
    node.signal(signal.SIGKILL, "control")
    wait_until(lambda: node.role_pid("control") not in (None, pid), 10, "another control")


def values(node):
    return [value for _, _, _, value in kcat.records(node.address, TOPIC)]


WHOLE = [b"before the copy"] + [b"after it %d" % n for n in range(50)]

with Scenario() as s:
    with s.test("an agent that has seen more of the journal does not let it be served"):
        node = node_on(s, "agent", s.scratch / "one")
        node.start()
        journal = write_around_a_copy(node)
        swap_and_kill_control(node, journal)
        wait_until(lambda: OLDER in node.log() or CHANGED in node.log(), 15,
                   "control says what is wrong")
        wait_until(lambda: not node.is_serving(), 15, "Kafka is closed")
        for _ in range(20):  # and stays closed
            time.sleep(0.1)
            assert not node.is_serving()

    with s.test("with the newest state of the journal back, nothing is lost"):
        node.kill()
        journal.bring_back()
        node.start()
        assert values(node) == WHOLE
        node.kill()

    with s.test("a node that followed does not take over a journal that is older"):
        directory = s.scratch / "two"
        a, b = node_on(s, "a", directory), node_on(s, "b", directory)
        a.start()
        b.launch()
        wait_until(lambda: "stands by" in b.log(), 10, "the other node stands by")
        journal = write_around_a_copy(a)
        time.sleep(1)  # a few heartbeats: the standby has it, too
        a.signal(signal.SIGSTOP)
        journal.roll_back()
        a.kill()
        wait_until(lambda: OLDER in b.log() or CHANGED in b.log(), 20, "it says what is wrong")
        assert not b.is_serving()

    with s.test("it takes over by itself when the newest state is back"):
        journal.bring_back()
        b.wait_serving(40)
        assert values(b) == WHOLE
        b.kill()

    with s.test("restore tells a journal that is older than the records"):
        node = node_on(s, "records", s.scratch / "three")
        node.start()
        kcat.produce(node.address, TOPIC, b"before the copy\n")
        journal = Journal(node)
        node.kill()
        journal.copy()
        node.start()
        kcat.produce(node.address, TOPIC, b"after it\n")
        node.kill()
        journal.roll_back()
        for words in (["--dry-run"], []):
            done = subprocess.run([node.program, "restore", "--bucket", node.bucket, *words],
                                  capture_output=True, timeout=60)
            assert done.returncode == 1, done
            assert b"the journal is older than the records" in done.stderr, done.stderr
            assert b"hanse serve" not in done.stdout, done.stdout
        journal.bring_back()
        done = subprocess.run([node.program, "restore", "--bucket", node.bucket],
                              capture_output=True, timeout=60)
        assert done.returncode == 0, done
        node.start()
        assert values(node) == [b"before the copy", b"after it"]
        node.kill()

    with s.test("one older bucket of three is outvoted"):
        directories = [s.scratch / f"journal-{number}" for number in range(3)]
        node = node_on(s, "three", s.scratch / "records-of-three", "--journal",
                       ",".join(f"file:{directory}" for directory in directories))
        node.start()
        node.scratch_bucket = directories[1]
        kcat.produce(node.address, TOPIC, b"before the copy\n")
        journal = Journal(node)
        journal.copy()
        writer = write(node, 1.0)
        assert node.terminate() == 0
        journal.roll_back()
        node.start()
        rows = kcat.records(node.address, TOPIC)
        assert rows[0][3] == b"before the copy"
        lost = set(writer.acknowledged) - {value for _, _, _, value in rows}
        assert not lost, lost
        node.kill()
