#!/usr/bin/env python3
# runs beside others
"""Nodes of a cluster with keys: every one of them serves Kafka, also those whose control stands by,
and goes on while the leader is killed, stopped and replaced."""

import signal
import subprocess
import time

import kcat
from node import IS_ASAN, answers_kafka, program
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, say, wait_until

PARTITIONS = 3
TOPIC = "ledger"
SERVE_S = 20 if IS_ASAN else 10
STOPPED_S = 8


def all_serve(nodes, what):
    begin = time.monotonic()
    for node in nodes:
        wait_until(node.is_serving, 40, f"{node.name} serves {what}")
    took_s = time.monotonic() - begin
    say(f"all of them serve {took_s:.1f} s later")
    assert took_s < SERVE_S


def brokers(node):
    listed = subprocess.run(["kcat", "-b", node.address, "-L", "-m", "10"], capture_output=True,
                            text=True, timeout=60)
    return {line.split(" at ")[1].split()[0] for line in listed.stdout.splitlines()
            if line.startswith("  broker ")}


def words(node):
    try:
        return sorted(kcat.consume(node.address, "words", "-o", "beginning").splitlines())
    except kcat.KcatError:
        return None  # it is about to hear of the topic


def leader_of(nodes):
    said = {node: [line for line in node.log_lines()
                   if "leads the journal" in line or "no longer leads" in line] for node in nodes}
    leaders = [node for node in nodes if said[node] and "leads the journal" in said[node][-1]
               and node.process]
    return max(leaders, key=lambda node: said[node][-1][:24])


def progress(writer, what):
    count = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > count + 50 or writer.error, 60,
               f"the producer goes on {what}")
    assert writer.error is None, writer.error


with Scenario() as s:
    key = s.scratch / "hanse.key"
    subprocess.run([program(), "key", "new", "--key-file", key], check=True, capture_output=True)
    options = ["--default-partitions", PARTITIONS, "--key-file", key]
    nodes = [s.node(name, options=options) for name in "abc"]
    everybody = ",".join(node.address for node in nodes)

    with s.test("nodes that stand by serve Kafka beside the one that leads"):
        for node in nodes:
            node.launch()
        all_serve(nodes, "from the beginning")
        assert sum("stands by" in node.log() for node in nodes) >= 2

    writer = NumberedWriter(everybody, TOPIC, PARTITIONS, 300, socket_timeout_ms=3000,
                            topic_metadata_refresh_interval_ms=1000)
    writer.start()
    wait_until(lambda: writer.acknowledged, 20, "the topic")

    with s.test("each of them tells clients of all of them"):
        addresses = {node.address for node in nodes}
        for node in nodes:
            wait_until(lambda n=node: brokers(n) == addresses, 10, f"{node.name} tells of all")

    with s.test("what one of them was given can be read from each"):
        kcat.produce(nodes[0].address, "words", b"one\ntwo\n")
        for node in nodes:
            wait_until(lambda n=node: words(n) == [b"one", b"two"], 10, f"{node.name} has it")

    with s.test("the leader is killed: the others go on serving"):
        dead = leader_of(nodes)
        others = [node for node in nodes if node is not dead]
        dead.kill()
        progress(writer, "after kill -9")
        all_serve(others, "after kill -9")

    with s.test("the dead one is started again, and serves while another leads"):
        dead.launch()
        all_serve(nodes, "again")
        assert leader_of(nodes) is not dead
        progress(writer, "with all three")

    with s.test("control of the leader is stopped: agents go where another one leads"):
        stopped = leader_of(nodes)
        stopped.signal(signal.SIGSTOP, "control")
        time.sleep(STOPPED_S)
        progress(writer, "beside a stopped control")
        all_serve([node for node in nodes if node is not stopped], "beside a stopped control")
        stopped.signal(signal.SIGCONT, "control")
        all_serve(nodes, "after all")

    with s.test("a node leaves in order: the others go on"):
        gone = leader_of(nodes)
        assert gone.terminate() == 0
        all_serve([node for node in nodes if node is not gone], "when it has left")
        progress(writer, "when it has left")
        gone.launch()
        all_serve(nodes, "when it is back")

    with s.test("no agent stayed with a control that no longer leads"):
        answers = [kcat.records(node.address, "words") for node in nodes]
        assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 2
        assert all(answers_kafka(node.port) for node in nodes)

    with s.test("every acknowledged record is there exactly once, whichever node is asked"):
        writer.stop(90)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        for node in nodes:
            final = kcat.records(node.address, TOPIC)
            check_exactly_once(writer, final)
        say(f"{len(final)} records")
