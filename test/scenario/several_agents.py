#!/usr/bin/env python3
"""One node with several agents (--agents): clients write and read over all of them, what belongs to
a process is told apart, an agent that is killed under load loses nothing and comes back alone, and
the node stops as one.

Apache's tools are skipped by name where Java is missing, or Maven to fetch them.
timeout: 600 s"""

import re
import signal
import socket
import time
import urllib.error
import urllib.request

import apache_kafka
import kcat
from kcat_reader import Member
from node import answers_kafka, children_of, free_port, words_of
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, Skip, say, wait_until

AGENTS = 2
PARTITIONS = 6
SESSION_MS = 6000
KILLS = 4
RECORDS = 3000
STOP_S = 10  # so long the supervisor waits
PUTS_PER_S, PUTS_SAVED = 40, 16  # the latter of each agent
LOAD_S = 5
KEPT_S = 1   # longer than a page of /metrics is given to others


def free_ports(count):
    """That many in a row."""
    while True:
        first = free_port()
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            pass
        finally:
            for s in held:
                s.close()


def start(s, name, **settings):
    node = s.node(name, metrics=f"127.0.0.1:{free_port()}", **settings)
    node.port = free_ports(AGENTS)
    node.address = f"127.0.0.1:{node.port}"
    node.options += ["--agents", str(AGENTS), "--default-partitions", str(PARTITIONS)]
    node.launch()
    wait_until(lambda: all(answers_kafka(port) for port in ports(node)), 30, "all agents serve")
    return node


def ports(node):
    return range(node.port, node.port + AGENTS)


def everybody(node):
    return ",".join(f"127.0.0.1:{port}" for port in ports(node))


def place_of_leaders(broker, topic, *words):
    """partition -> port of its leader, as kcat is told."""
    told = kcat.kcat(broker, "-L", "-t", topic, *words).decode()
    at = {int(node): int(port) for node, port in
          re.findall(r"broker (\d+) at [^:]+:(\d+)", told)}
    return {int(partition): at[int(leader)] for partition, leader in
            re.findall(r"partition (\d+), leader (\d+)", told)}


def get(node, path):
    """status and text"""
    try:
        with urllib.request.urlopen(f"http://{node.metrics}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def produced(node):
    """agent -> records, as /metrics has them"""
    time.sleep(KEPT_S)
    found = {number: 0 for number in range(1, AGENTS + 1)}
    for labels, value in re.findall(r"^hanse_topic_produced_records_total\{(.*)\} (\S+)$",
                                    get(node, "/metrics")[1], re.M):
        found[int(re.search(r'agent="(\d+)"', labels)[1])] += float(value)
    return found


def requests(node, verb):
    """How often all agents asked the bucket of records that."""
    time.sleep(KEPT_S)
    return sum(float(value) for labels, value in
               re.findall(r"^hanse_bucket_requests_total\{(.*)\} (\S+)$",
                          get(node, "/metrics")[1], re.M)
               if 'role="streams' in labels and f'"{verb}"' in labels)


def agents_of(node):
    """name -> pid"""
    found = {}
    for pid in children_of(node.supervisor_pid()):
        for word in words_of(pid):
            if word.startswith("role:streams"):
                found[word[5:]] = pid
    return found


with Scenario() as s:
    node = start(s, "a")

    with s.test("every agent is a process with a port, and says so"):
        assert sorted(agents_of(node)) == ["streams", "streams-2"], agents_of(node)
        wait_until(lambda: get(node, "/readyz")[0] == 200, 20, "it is ready")
        told = get(node, "/readyz?verbose")[1]
        for check in ("streams/kafka", "streams-2/kafka", "streams-2/bucket", "control"):
            assert f"[+]{check} ok" in told, told
        assert f"127.0.0.1:{node.port} to {node.port + 1}" in node.log(), node.log()

    with s.test("partitions are shared out evenly, and every client is told the same"):
        kcat.produce(node.address, "t", b"first\n")
        told = place_of_leaders(node.address, "t")
        assert sorted(told) == list(range(PARTITIONS)), told
        counts = [list(told.values()).count(port) for port in ports(node)]
        assert counts == [PARTITIONS // AGENTS] * AGENTS, told
        for port in ports(node):
            for name in ("one", "two", "three"):
                assert place_of_leaders(f"127.0.0.1:{port}", "t", "-X",
                                        f"client.id={name}") == told

    with s.test("one client writes through all of them, and each counts for itself"):
        before = produced(node)
        kcat.produce(node.address, "t", b"".join(b"%d\n" % i for i in range(RECORDS)))
        after = produced(node)
        more = {number: after[number] - before[number] for number in after}
        say(f"records by agent: {more}")
        assert sum(more.values()) == RECORDS and min(more.values()) > 0, more
        told = {value for *_, value in kcat.records(f"127.0.0.1:{node.port + 1}", "t")}
        assert told == {b"first", *(b"%d" % i for i in range(RECORDS))}

    with s.test("a group has members that read from both agents"):
        members = [Member(s, node.address, "g", "t", SESSION_MS) for _ in range(2)]
        wait_until(lambda: sum(len(m.rows) for m in members) == RECORDS + 1, 60,
                   "the group has read everything")
        kcat.produce(f"127.0.0.1:{node.port + 1}", "t", b"last\n")
        wait_until(lambda: b"last" in members[0].values() | members[1].values(), 30,
                   "and what came then")
        for member in members:
            member.leave()

    with s.test("Apache's tools write and read over both"):
        why = apache_kafka.why_not()
        if why:
            raise Skip(why)
        apache_kafka.run("topics", "--bootstrap-server", node.address, "--create", "--topic", "j",
                         "--partitions", PARTITIONS)
        lines = "".join(f"{i}\n" for i in range(RECORDS))
        before = produced(node)
        apache_kafka.run("console-producer", "--bootstrap-server", node.address, "--topic", "j",
                         "--command-property", "batch.size=1000", text=lines)
        after = produced(node)
        assert all(after[number] > before[number] for number in after), (before, after)
        said = apache_kafka.run("console-consumer", "--bootstrap-server", everybody(node),
                                "--topic", "j", "--group", "jg", "--from-beginning",
                                "--max-messages", RECORDS)
        assert sorted(line for line in said.splitlines() if line.isdigit()) == sorted(lines.split())
        said = apache_kafka.run("consumer-groups", "--bootstrap-server", node.address, "--describe",
                                "--group", "jg")
        assert len(re.findall(r"^jg\s+j\s+\d+\s+\d+\s+\d+\s+0\s", said, re.M)) == PARTITIONS, said

    with s.test("kill -9 of one agent under load: nothing is lost, and it alone comes back"):
        kcat.kcat(node.address, "-L", "-t", "killed")
        writer = NumberedWriter(everybody(node), "killed", PARTITIONS, records_per_s=2000)
        member = Member(s, everybody(node), "kg", "killed", SESSION_MS)
        writer.start()
        wait_until(lambda: len(writer.acknowledged) > 500, 30, "records are acknowledged")
        control, names = node.role_pid("control"), sorted(agents_of(node))
        for number in range(KILLS):
            name = names[number % AGENTS]
            pids, seen = agents_of(node), len(writer.acknowledged)
            node.signal(signal.SIGKILL, name)
            wait_until(lambda: agents_of(node).get(name) not in (None, pids[name]), 20,
                       "it is started again")
            others = {other: pid for other, pid in agents_of(node).items() if other != name}
            assert others == {other: pid for other, pid in pids.items() if other != name}
            wait_until(lambda: all(answers_kafka(port) for port in ports(node)), 20,
                       "it serves again")
            wait_until(lambda: len(writer.acknowledged) > seen + 1000, 60, "writing goes on")
        assert node.role_pid("control") == control
        writer.stop()
        records = kcat.records(node.address, "killed")
        check_exactly_once(writer, records)
        say(f"{len(writer.acknowledged)} records, {KILLS} kills")
        wait_until(lambda: len({(p, o) for p, o, _ in member.rows}) == len(records), 60,
                   "the group has read everything")
        assert {(p, o): v for p, o, v in member.rows} == {(p, o): v for p, o, _, v in records}
        member.leave()

    with s.test("while one agent stands still, the other has its partitions"):
        node.signal(signal.SIGSTOP, "streams-2")
        try:
            wait_until(lambda: set(place_of_leaders(node.address, "t").values()) == {node.port},
                       20, "the other leads them all")
            kcat.produce(node.address, "t", b"meanwhile\n")
            assert get(node, "/readyz/streams-2")[0] == 503
            assert get(node, "/readyz/streams")[0] == 200
        finally:
            node.signal(signal.SIGCONT, "streams-2")
        wait_until(lambda: set(place_of_leaders(node.address, "t").values()) == set(ports(node)),
                   20, "it has them again")

    with s.test("the node stops as one, in time, and goes on from its bucket"):
        before = len(kcat.records(node.address, "t"))
        begin = time.monotonic()
        assert node.terminate() == 0
        say(f"it stopped in {time.monotonic() - begin:.2f} s")
        assert time.monotonic() - begin < STOP_S
        node.launch()
        wait_until(lambda: all(answers_kafka(port) for port in ports(node)), 30, "it serves")
        assert len(kcat.records(node.address, "t")) == before

    slow = "fault_get_ms=20-30&fault_put_ms=20-30"
    far = start(s, "far", bucket=f"fault:file:{s.scratch}/far?{slow}",
                environment={"HANSE_TEST_FAULTS": "1"},
                options=["--puts-per-second", str(PUTS_PER_S), "--journal",
                         f"file:{s.scratch}/far"])

    with s.test("far away, what one client wrote another one reads without a GET"):
        kcat.produce(far.address, "t", b"first\n")
        kcat.kcat(far.address, "-L", "-t", "t")
        before = requests(far, "get")
        lines = b"".join(b"%d\n" % i for i in range(RECORDS))
        kcat.produce(far.address, "t", lines, "-X", "client.id=writer")
        told = kcat.records(f"127.0.0.1:{far.port + 1}", "t", "-X", "client.id=reader")
        assert len(told) == RECORDS + 1, len(told)
        assert requests(far, "get") == before, (before, requests(far, "get"))

    with s.test("the agents share one budget of puts"):
        writer = NumberedWriter(everybody(far), "t", PARTITIONS, records_per_s=2000)
        before, begin = requests(far, "put"), time.monotonic()
        writer.start()
        time.sleep(LOAD_S)
        puts, took_s = requests(far, "put") - before, time.monotonic() - begin
        writer.stop()
        say(f"{puts} puts in {took_s:.1f} s")
        assert LOAD_S < puts <= 1.1 * (PUTS_PER_S * took_s + PUTS_SAVED * AGENTS), puts

    with s.test("a port that is taken is named, and nothing is served"):
        other = s.node("b", bucket=f"file:{s.scratch}/other")
        other.port = free_ports(AGENTS)
        other.address = f"127.0.0.1:{other.port}"
        other.options += ["--agents", str(AGENTS)]
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", other.port + 1))
            holder.listen()
            other.launch()
            assert other.process.wait(30) == 1
            other.process = None
        assert f"127.0.0.1:{other.port + 1}" in other.log() and "in use" in other.log(), other.log()
