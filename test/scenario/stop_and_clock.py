#!/usr/bin/env python3
# runs beside others
"""A node that is stopped for a while and goes on, and a node that is asked to stop.

PAUSE_S=n is how long everything stands still: longer than sessions last."""

import os
import signal
import struct
import threading
import time

import kcat
from kafka import FETCH, JOIN_GROUP, Client, array, fetch_body, text
from kcat_reader import Member
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, say, wait_until

TOPIC = "ledger"
PARTITIONS = 4
PAUSE_S = int(os.environ.get("PAUSE_S", "12"))
SESSION_MS = 6000
NOT_COORDINATOR = 16


def goes_on(writer, timeout_s=60):
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 100 or writer.error, timeout_s,
               "the producer goes on")
    assert writer.error is None, writer.error


def pause(s, node):
    writer = NumberedWriter(node.address, TOPIC, PARTITIONS, 400)
    writer.start()
    goes_on(writer)
    members = [Member(s, node, "watchers", TOPIC, SESSION_MS) for _ in range(2)]
    with s.test(f"after everything stood still for {PAUSE_S} s, producers go on by themselves"):
        # kcat gives up when it is interrupted at its first step.
        wait_until(lambda: all(len(member.partitions()) == 2 and len(member.rows) > 50
                               for member in members), 30, "both members share the partitions")
        node.signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        node.signal(signal.SIGCONT)
        goes_on(writer)
    with s.test("the group goes on as well: nobody was put out for time in which we stood still"):
        written = len(writer.acknowledged)
        goes_on(writer)
        wait_until(lambda: sum(len(member.rows) for member in members) > written, 40,
                   "the group catches up")
        assert all(len(member.partitions()) == 2 for member in members), "a member was put out"
    with s.test("the control process alone stands still: the same"):
        node.signal(signal.SIGSTOP, "control")
        time.sleep(PAUSE_S / 2)
        node.signal(signal.SIGCONT, "control")
        goes_on(writer)
    with s.test("the control process is busy for two seconds: Kafka stays open"):
        closed = node.log().count("does not serve Kafka")
        for _ in range(2):
            node.signal(signal.SIGSTOP, "control")
            time.sleep(2)
            node.signal(signal.SIGCONT, "control")
            goes_on(writer)
        assert node.log().count("does not serve Kafka") == closed, "it closed Kafka"
    with s.test("the streams process alone stands still: the same"):
        node.signal(signal.SIGSTOP, "streams")
        time.sleep(PAUSE_S / 2)
        node.signal(signal.SIGCONT, "streams")
        goes_on(writer)
    with s.test("every acknowledged record is there exactly once, and the group has seen them all"):
        writer.stop()
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        check_exactly_once(writer, kcat.records(node.address, TOPIC))
        wanted = set(writer.acknowledged)
        wait_until(lambda: wanted <= members[0].values() | members[1].values(), 40,
                   "the group has read everything")
        for member in members:
            member.leave()


class Caller(threading.Thread):
    """Produces as fast as it is answered, until the connection ends."""

    def __init__(self, node, partition):
        super().__init__(daemon=True)
        self.partition, self.answers, self.unanswered = partition, [], 0
        self.client = Client(node.port, 20)
        self.client.metadata(["calls"])

    def run(self):
        try:
            while True:
                self.unanswered = 1
                value = b"%d-%d" % (self.partition, len(self.answers))
                self.answers.append((self.client.produce("calls", self.partition, [value]), value))
                self.unanswered = 0
        except OSError:
            pass


def drain(s, node):
    with s.test("SIGTERM: what was begun is answered, and the exit status is 0"):
        callers = [Caller(node, partition) for partition in range(PARTITIONS)]
        for caller in callers:
            caller.start()
        wait_until(lambda: all(len(caller.answers) > 20 for caller in callers), 30, "answers")
        begin = time.monotonic()
        status = node.terminate()
        say(f"stopped in {time.monotonic() - begin:.2f} s")
        assert status == 0, f"exit status {status}"
        for caller in callers:
            caller.join(5)
        bad = [answer for caller in callers for answer in caller.answers if answer[0][0] != 0]
        assert not bad, f"answered with an error: {bad[:3]}"
    with s.test("all that was answered is there after the next start, and nothing twice"):
        node.start()
        rows = {(partition, offset): value
                for partition, offset, _, value in kcat.records(node.address, "calls")}
        for caller in callers:
            for (_, offset), value in caller.answers:
                assert rows.get((caller.partition, offset)) == value
            extra = sum(1 for partition, _ in rows if partition == caller.partition) - \
                len(caller.answers)
            assert 0 <= extra <= caller.unanswered, f"{extra} records nobody was told of"


def join_body(group, member):
    """Version 0."""
    protocol = text("range") + struct.pack(">i", 0)
    return text(group) + struct.pack(">i", 30000) + text(member) + text("consumer") + \
        array([protocol])


def joined(client, body):
    """Who the group says we are."""
    answer = client.call(JOIN_GROUP, 0, body)
    error, _ = struct.unpack(">hi", answer[:6])
    assert error == 0, f"error {error}"
    at = 6
    for _ in range(2):  # the protocol, the leader
        at += 2 + struct.unpack(">h", answer[at:at + 2])[0]
    size, = struct.unpack(">h", answer[at:at + 2])
    return answer[at + 2:at + 2 + size].decode()


def idle_clients(s, node):
    with s.test("a stop does not wait for clients that wait, or that say nothing"):
        with Client(node.port) as waits, Client(node.port) as silent:
            waits.metadata([TOPIC])
            high = waits.fetch(TOPIC, 0, 0)[1]
            waits.send(FETCH, 4, fetch_body(TOPIC, 0, high, wait_ms=60000))
            assert silent.socket
            time.sleep(0.2)
            begin = time.monotonic()
            status = node.terminate()
            took_s = time.monotonic() - begin
            say(f"stopped in {took_s:.2f} s")
            assert status == 0 and took_s < 20
        node.start()


def rebalancing_group(s, node):
    with s.test("a stop does not wait for a group that waits for its members"):
        with Client(node.port) as first, Client(node.port) as second:
            member = joined(first, join_body("slow", ""))
            second.send(JOIN_GROUP, 0, join_body("slow", ""))  # waits for the first to come back
            time.sleep(0.5)
            begin = time.monotonic()
            status = node.terminate()
            took_s = time.monotonic() - begin
            say(f"stopped in {took_s:.2f} s, member {member}")
            error, = struct.unpack(">h", second.receive()[1][:2])
            assert status == 0 and took_s < 20
            assert error == NOT_COORDINATOR, f"error {error}"
        node.start()


def second_signal(s, node):
    with s.test("a second SIGTERM ends a node that cannot finish, at once and with its own status"):
        pids = node.pids()
        node.signal(signal.SIGSTOP, "streams")  # so that it cannot stop by itself
        process, node.process = node.process, None
        process.terminate()
        time.sleep(0.5)
        assert process.poll() is None, "it did not wait"
        process.terminate()
        assert process.wait(60) == 130  # 1 where the first one ended it, after 10 s
        node.wait_gone(pids)
        node.start()
        assert node.terminate() == 0


with Scenario() as s:
    node = s.node(options=["--default-partitions", PARTITIONS])
    node.start()
    drain(s, node)
    idle_clients(s, node)
    rebalancing_group(s, node)
    pause(s, node)
    second_signal(s, node)
