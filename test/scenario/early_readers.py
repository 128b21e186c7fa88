#!/usr/bin/env python3
"""A reader that asks two agents in turn, while data and journal are in a store as slow as S3: it
gets records before they are durable (doc/decisions/0047), and never one that does not stay.
Control and agents are killed and stopped.  No offset is out of range, none comes twice or with a
gap, and what was read is what the log has in the end.

SEED=n repeats the choices; MINUTES=n makes it longer.  Never skipped.  timeout: 1200 s"""
# one run only: nothing that was read may depend on luck

import contextlib
import os
import re
import signal
import struct
import subprocess
import threading
import time
import urllib.request

import kcat
from kafka import Client
from node import free_port, program
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, say, wait_until

MINUTES = float(os.environ.get("MINUTES", "0.3"))
RECORDS_PER_S = 100
HEAL_S = 60
FAULTS = {"HANSE_TEST_FAULTS": "1"}
S3 = "fault_put_ms=100-195&fault_get_ms=63-78&fault_other_ms=63-78&fault_mb_per_s=85"
TOPIC = "ledger"
# An agent that is not up to date, or whose control is away, says one of these, and may.
NOT_LEADER_OR_FOLLOWER, STORAGE_ERROR = 6, 56


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def records_of(batches):
    """(offset, value) of each record of whole batches that are not compressed."""
    found = []
    while len(batches) >= 61:
        base, length = struct.unpack(">qi", batches[:12])
        if len(batches) < 12 + length:
            break
        count, at = struct.unpack(">i", batches[57:61])[0], 61
        for _ in range(count):
            size, at = varint(batches, at)
            end = at + size
            _, at = varint(batches, at + 1)  # behind the attributes: when
            delta, at = varint(batches, at)
            key, at = varint(batches, at)
            value, at = varint(batches, at + max(key, 0))
            found.append((base + delta, batches[at:at + value]))
            at = end
        batches = batches[12 + length:]
    return found


class Reader(threading.Thread):
    """Reads partition 0 from one agent after the other."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes, self.values = nodes, []
        self.is_stopping = threading.Event()
        self.error = None
        self.clients, self.answers, self.refusals = {}, 0, 0

    def take(self, records):
        for offset, value in records:
            if offset < len(self.values):  # the batch began before what was asked for
                assert self.values[offset] == value, (offset, self.values[offset], value)
                continue
            assert offset == len(self.values), f"{offset} came after {len(self.values) - 1}"
            self.values.append(value)

    def ask(self, node):
        if node not in self.clients:
            self.clients[node] = Client(node.port)
        error, _, batches = self.clients[node].fetch(TOPIC, 0, len(self.values), wait_ms=200)
        if error in (NOT_LEADER_OR_FOLLOWER, STORAGE_ERROR):
            self.refusals += 1
            time.sleep(0.05)
            return
        assert error == 0, f"{node.name} says error {error} for offset {len(self.values)}"
        self.answers += 1
        self.take(records_of(batches))

    def run(self):
        turn = 0
        while not self.is_stopping.is_set():
            turn += 1
            node = self.nodes[turn % len(self.nodes)]
            try:
                self.ask(node)
            except (OSError, EOFError, ConnectionError):
                self.clients.pop(node, None)
                time.sleep(0.05)
            except Exception as error:
                self.error = error
                return

    def stop(self):
        self.is_stopping.set()
        self.join(HEAL_S)


def store(scratch, name, seed):
    (scratch / name).mkdir()
    return f"fault:file:{scratch}/{name}?class=cas&fault_seed={seed}&{S3}"


def early_runs(node):
    """Taken by this life of its agent; 0 where it does not answer."""
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"http://{node.metrics}/metrics", timeout=5) as answer:
            found = re.search(r'^hanse_early_runs_total\{.*"taken".*\} (\S+)',
                              answer.read().decode(), re.M)
            return float(found[1]) if found else 0
    return 0


def strike(random, nodes):
    node, role = random.choice(nodes), random.choice(["control", "control", "streams"])
    if random.random() < 0.7:
        node.signal(signal.SIGKILL, role)
        return f"killed {role} of {node.name}"
    seconds = random.choice([0.5, 3])
    if node.signal(signal.SIGSTOP, role):
        time.sleep(seconds)
        node.signal(signal.SIGCONT, role)
    return f"stopped {role} of {node.name} for {seconds} s"


with Scenario() as s:
    random = s.seed()
    key = s.scratch / "hanse.key"
    subprocess.run([program(), "key", "new", "--key-file", key], check=True, capture_output=True)
    data, journal = (store(s.scratch, name, random.randrange(1 << 30))
                     for name in ("data", "journal"))
    nodes = [s.node(name, bucket=data, environment=FAULTS, metrics=f"127.0.0.1:{free_port()}",
                    options=["--journal", journal, "--default-partitions", 1, "--key-file", key])
             for name in "ab"]
    for node in nodes:
        node.start(120)
    brokers = ",".join(node.address for node in nodes)
    writer = NumberedWriter(brokers, TOPIC, 1, RECORDS_PER_S, socket_timeout_ms=5000,
                            topic_metadata_refresh_interval_ms=1000)
    writer.start()
    wait_until(lambda: writer.acknowledged, HEAL_S, "the topic")
    reader = Reader(nodes)
    reader.start()

    with s.test("both agents have records before they are durable"):
        wait_until(lambda: all(early_runs(node) > 0 for node in nodes), HEAL_S, "early runs")
        say(", ".join(f"{node.name}: {early_runs(node):.0f}" for node in nodes))

    with s.test("a reader that asks both in turn is never ahead of what there is, nor behind"):
        end = time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            time.sleep(random.uniform(0.5, 2))
            what = strike(random, nodes)
            say(f"{what}; {len(reader.values)} read, {len(writer.acknowledged)} acknowledged")
            assert reader.error is None, reader.error
        for node in nodes:
            node.wait_serving(2 * HEAL_S)
        writer.stop(120)
        wait_until(lambda: reader.error or len(reader.values) >= len(writer.acknowledged), HEAL_S,
                   "the reader is at the end")
        reader.stop()
        assert reader.error is None, reader.error
        say(f"{len(reader.values)} records in {reader.answers} answers, {reader.refusals} times "
            "it was sent elsewhere")

    with s.test("what was read is what the log has, and every acknowledged record is there once"):
        log = kcat.records(brokers, TOPIC)
        check_exactly_once(writer, log)
        have = [value for _, _, _, value in sorted(log, key=lambda record: record[1])]
        assert reader.values == have[:len(reader.values)]
        assert len(reader.values) == len(have), (len(reader.values), len(have))
