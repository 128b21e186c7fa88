#!/usr/bin/env python3
"""Share groups (KIP-932) with the clients and tools of Apache Kafka 4.2: two members share the
records of a topic, also while the agent and control are killed; nothing is lost, and what was
accepted does not come again.

Skipped by name where Java is missing, or Maven to fetch Apache Kafka.
timeout: 600 s; runs beside others
"""

import json
import signal
import struct
import subprocess
import threading
from collections import Counter

import apache_kafka
from kafka import Client, array, text
from kcat import produce
from node import program
from scenario import Scenario, say, skip_all, wait_until

GROUP, TOPIC, RECORDS, PATIENCE_S = "sharers", "work", 300, 60
INCREMENTAL_ALTER_CONFIGS, GROUP_RESOURCE, SET = 44, 32, 0

why = apache_kafka.why_not()
if why:
    skip_all(f"Apache Kafka's share consumer: {why}")


def configure(node, group=GROUP, begin="earliest"):
    settings = {"share.auto.offset.reset": begin, "share.record.lock.duration.ms": "600000",
                "share.heartbeat.interval.ms": "1000"}
    configs = [text(name) + struct.pack(">b", SET) + text(value)
               for name, value in settings.items()]
    body = array([struct.pack(">b", GROUP_RESOURCE) + text(group) + array(configs)]) + b"\0"
    with Client(node.port) as client:
        answer = client.call(INCREMENTAL_ALTER_CONFIGS, 0, body)
    assert struct.unpack(">iih", answer[:10]) == (0, 1, 0), answer


class Member:
    """A share consumer, and the values it got."""

    def __init__(self, s, node, group=GROUP):
        self.values = []
        self.process = s.spawn(*apache_kafka.command(
            "console-share-consumer", "--bootstrap-server", node.address, "--topic", TOPIC,
            "--group", group), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.values.append(line.strip())


with Scenario() as s:
    node = s.node()
    node.start()
    configure(node)
    written = 0

    def write(count):
        global written
        for partition in range(2):
            numbers = [i for i in range(written, written + count) if i % 2 == partition]
            produce(node.address, TOPIC, b"".join(b"%d\n" % i for i in numbers), "-p", partition)
        written += count

    def counts():
        return Counter(value for member in members for value in member.values)

    def await_all():
        wait_until(lambda: set(counts()) >= {str(i) for i in range(written)}, PATIENCE_S,
                   f"{written} records with the members, not {len(counts())}")

    def told():
        done = subprocess.run([program(), "group", "describe", GROUP, "--kafka", node.address,
                               "--json"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def await_no_lag():
        wait_until(lambda: told()["lag"] == 0, PATIENCE_S, "nothing left to accept")

    subprocess.run([program(), "topic", "create", TOPIC, "--partitions", "2", "--kafka",
                    node.address], check=True, capture_output=True, timeout=30)
    members = [Member(s, node), Member(s, node)]

    with s.test("two members share what is written, each record once, and accept it"):
        wait_until(lambda: len(told()["members"]) == 2, PATIENCE_S, "two members")
        write(RECORDS)
        await_all()
        await_no_lag()
        assert set(counts().values()) == {1}, counts().most_common(3)
        say(f"{[len(member.values) for member in members]} records")

    with s.test("the agent is killed: members go on, and nothing accepted comes again"):
        node.signal(signal.SIGKILL, "streams")
        node.wait_serving()
        write(RECORDS)
        await_all()
        await_no_lag()
        assert set(counts().values()) == {1}, counts().most_common(3)

    with s.test("control is killed while records are on their way: nothing is lost"):
        write(RECORDS)
        node.signal(signal.SIGKILL, "control")
        wait_until(lambda: told()["lag"] >= 0, PATIENCE_S, "control is back")
        write(RECORDS)
        await_all()
        await_no_lag()

    with s.test("everything is killed: what was accepted before does not come again"):
        before = counts()
        node.kill()
        node.start()
        write(10)
        await_all()
        await_no_lag()
        again = {value: (before[value], count) for value, count in counts().items()
                 if value in before and before[value] != count}
        assert not again, again

    with s.test("Apache Kafka's tool lists and describes the group"):
        for member in members:
            member.process.terminate()
        said = apache_kafka.run("share-groups", "--bootstrap-server", node.address, "--describe",
                                "--group", GROUP, "--offsets")
        rows = [line.split() for line in said.splitlines() if line.startswith(GROUP)]
        assert {row[2]: row[4] for row in rows} == {"0": "0", "1": "0"}, said
        assert sum(int(row[3]) for row in rows) == written, said

    with s.test("another group begins with records that are not older than an hour"):
        configure(node, "young", "by_duration:PT1H")
        member = Member(s, node, "young")
        wait_until(lambda: len(set(member.values)) == written, PATIENCE_S,
                   f"{written} records, not {len(member.values)}")
        member.process.terminate()
