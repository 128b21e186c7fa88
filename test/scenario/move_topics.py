#!/usr/bin/env python3
"""A topic moves in from a real Apache Kafka, and another one out to it, by MirrorMaker 2, while
both are written to: doc/coming-and-going.md as a program.

Skipped by name where Java is missing, or Maven to fetch Apache Kafka.
timeout: 900 s; runs beside others
"""

import re
import subprocess

import apache_kafka
from kcat import KcatError, consume, produce
from node import answers_kafka, free_port
from scenario import Scenario, say, skip_all, wait_until

RECORDS = 500
MOVE_S = 180  # patience: two Java programs start on what may be a busy machine
SETTINGS = """
clusters = old, hanse
old.bootstrap.servers = {old}
hanse.bootstrap.servers = {hanse}
old->hanse.enabled = true
old->hanse.topics = orders
old->hanse.groups = billing
hanse->old.enabled = true
hanse->old.topics = invoices
hanse->old.groups = ledger
replication.policy.class = org.apache.kafka.connect.mirror.IdentityReplicationPolicy
emit.heartbeats.enabled = false
sync.group.offsets.enabled = true
sync.topic.acls.enabled = false
replication.factor = 1
checkpoints.topic.replication.factor = 1
heartbeats.topic.replication.factor = 1
offset-syncs.topic.replication.factor = 1
offset.storage.replication.factor = 1
status.storage.replication.factor = 1
config.storage.replication.factor = 1
dedicated.mode.enable.internal.rest = false
# shorter than anybody would want them
refresh.topics.interval.seconds = 2
refresh.groups.interval.seconds = 2
sync.topic.configs.interval.seconds = 2
sync.group.offsets.interval.seconds = 1
emit.checkpoints.interval.seconds = 1
offset.flush.interval.ms = 1000
"""

why = apache_kafka.why_not()
if why:
    skip_all(f"Apache Kafka: {why}")


def write(broker, topic, first):
    lines = b"".join(b"key%d:%s %d\n" % (i % 50, topic.encode(), i)
                     for i in range(first, first + RECORDS))
    produce(broker, topic, lines, "-K", ":", "-H", "origin=here")


def read(broker, topic):
    """Everything that has to move: partition, time, key, headers, value, by partition in order."""
    try:
        out = consume(broker, topic, "-o", "beginning", "-f", "%p\t%T\t%k\t%h\t%s\n")
    except KcatError:  # the topic is not there yet
        return []
    return sorted(out.splitlines(), key=lambda line: line.split(b"\t")[0])


def read_as_group(broker, group, topic, *words):
    process = subprocess.run(
        ["kcat", "-b", broker, "-q", *words, "-X", "auto.offset.reset=earliest",
         "-X", "enable.partition.eof=true", "-f", "%s\n", "-G", group, topic],
        capture_output=True, timeout=MOVE_S, stdin=subprocess.DEVNULL)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def committed(broker, group):
    said = apache_kafka.run("consumer-groups", "--bootstrap-server", broker, "--describe",
                            "--group", group)
    return sum(int(line.split()[3]) for line in said.splitlines()
               if line.startswith(f"{group} ") and line.split()[3] != "-")


with Scenario() as s:
    node = s.node(options=["--default-partitions", 2])
    old = apache_kafka.Broker(s, free_port)
    node.start()
    wait_until(lambda: answers_kafka(int(old.address.split(":")[1])), old.START_S, "Kafka serves")
    sides = {"in": (old.address, node.address, "orders", "billing"),
             "out": (node.address, old.address, "invoices", "ledger")}
    half = {}
    for source, _, topic, group in sides.values():
        write(source, topic, 0)
        half[topic] = read_as_group(source, group, topic, "-c", str(RECORDS // 2))

    (s.scratch / "mm2.properties").write_text(SETTINGS.format(old=old.address, hanse=node.address))
    with open(s.scratch / "mm2.log", "w") as log:
        mirror = s.spawn(*apache_kafka.command("mirror-maker", s.scratch / "mm2.properties"),
                         stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def same(source, target, topic):
        assert mirror.poll() is None, (s.scratch / "mm2.log").read_text()[-3000:]
        there = len(read(source, topic))  # 0: this one could not be read just now
        return 0 < there == len(read(target, topic))

    try:
        for way, (source, target, topic, group) in sides.items():
            with s.test(f"a topic moves {way}: keys, headers, times, partitions and order"):
                wait_until(lambda: same(source, target, topic), MOVE_S, "the topic is there")
                assert read(source, topic) == read(target, topic)
        for way, (source, target, topic, group) in sides.items():
            with s.test(f"what is written meanwhile moves {way} too"):
                write(source, topic, RECORDS)
                wait_until(lambda: same(source, target, topic), MOVE_S, "the rest is there")
                assert read(source, topic) == read(target, topic)
        for way, (source, target, topic, group) in sides.items():
            with s.test(f"a group that moves {way} goes on where it was, and misses nothing"):
                wait_until(lambda: committed(target, group) > 0, MOVE_S, "offsets are there")
                offset = committed(target, group)
                rest = read_as_group(target, group, topic, "-e")
                assert len(rest) == 2 * RECORDS - offset, (len(rest), offset)
                assert set(half[topic]) | set(rest) == {line.split(b"\t")[-1]
                                                        for line in read(source, topic)}
        with s.test("settings of a topic move in"):
            words = ["--entity-type", "topics", "--entity-name", "orders"]
            apache_kafka.run("configs", "--bootstrap-server", old.address, "--alter", *words,
                             "--add-config", "retention.ms=7654321")
            wait_until(lambda: "retention.ms=7654321" in apache_kafka.run(
                "configs", "--bootstrap-server", node.address, "--describe", *words), MOVE_S,
                "the setting is there")
        with s.test("the mirror ends, and the topic that moved in is written to here"):
            mirror.terminate()
            mirror.wait(60)
            write(node.address, "orders", 2 * RECORDS)
            assert len(read(node.address, "orders")) == 3 * RECORDS
        with s.test("the mirror leaves behind what doc/coming-and-going.md names, and no more"):
            topics = apache_kafka.run("topics", "--bootstrap-server", node.address, "--list")
            left = set(topics.split()) - {"orders", "invoices", "heartbeats"}
            named = r"mm2-.*\.old\.internal|old\.checkpoints\.internal|old\.heartbeats"
            assert left and all(re.fullmatch(named, name) for name in left), left
    finally:
        for line in (s.scratch / "mm2.log").read_text(errors="replace").splitlines()[-5:]:
            say(line[:200])
