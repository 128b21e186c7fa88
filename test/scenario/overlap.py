#!/usr/bin/env python3
"""Data and journal in a store as slow as S3, so that data files are announced while they are put
and producers are answered before the commit is durable (doc/decisions/0046).  Two nodes serve;
control, agents and whole nodes are killed and stopped, and the leader is made a former one on
purpose while confirmations lie in its socket.  Each acknowledged record is there, at the offset it
was told, and those of idempotent producers once and in order; transactions are whole.

SEED=n repeats the choices; MINUTES=n makes it longer.  Never skipped.  timeout: 3600 s"""
# one run only: nothing acknowledged may depend on luck

import json
import os
import re
import signal
import subprocess
import time
import urllib.request

import kcat
from checker import History, check_itself, check_writer
from kcat_reader import Tail
from node import free_port, program
from rdkafka import NumberedWriter, check_prefix
from scenario import Scenario, say, wait_until
from transactor import COMMITTED, Transactor

MINUTES = float(os.environ.get("MINUTES", "0.6"))
PARTITIONS = 3
RECORDS_PER_S = 150
QUIET_EACH = 5  # rounds; then everybody must go on
HEAL_S = 60
FSCK_S = 300
TAKEOVER_S = 20
FIND_OUT_S = 15
FAULTS = {"HANSE_TEST_FAULTS": "1"}
S3 = "fault_put_ms=100-195&fault_get_ms=63-78&fault_other_ms=63-78&fault_mb_per_s=85"
# One PUT in a hundred takes a second, some fail before or after the effect.
DATA_FAULTS = "fault_slow_ppm=10000&fault_slow_ms=1000&fault_before_ppm=5000&fault_after_ppm=5000"
SETTLED = re.compile(r"left is settled after \d+ ms: (\d+) data files were there, (\d+) not")
FENCED, LEADS = "no longer leads", "leads the journal"


def store(scratch, name, seed, faults=""):
    (scratch / name).mkdir()
    return f"fault:file:{scratch}/{name}?class=cas&fault_seed={seed}&{S3}&{faults}"


def sample(node, name):
    """The sum of a counter of this node; 0 where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{node.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*?}})? (\S+)", text, re.M))


def leader_of(nodes):
    said = {node: [line for line in node.log_lines() if LEADS in line or FENCED in line]
            for node in nodes}
    leaders = [node for node in nodes if said[node] and LEADS in said[node][-1]]
    return max(leaders, key=lambda node: said[node][-1][:24])


class Counter:
    """What a counter says on all nodes, over the lives of their processes."""

    def __init__(self, nodes, name):
        self.nodes, self.name = nodes, name
        self.last = {node: 0 for node in nodes}
        self.total = 0

    def look(self):
        for node in self.nodes:
            now = sample(node, self.name)
            self.total += now - self.last[node] if now >= self.last[node] else now
            self.last[node] = now
        return int(self.total)


def settled(nodes):
    """Files that takeovers found there, and burnt."""
    found = [match for node in nodes for match in SETTLED.findall(node.log())]
    return [sum(int(match[i]) for match in found) for i in (0, 1)]


class Trouble:
    def __init__(self, nodes, random):
        self.nodes, self.random = nodes, random
        self.former = 0  # leaders that went on after they were replaced

    def strike(self):
        return self.random.choice([self.kill_role, self.kill_role, self.stop, self.kill_node,
                                   self.replace_leader, self.replace_leader])()

    def kill_role(self):
        node, role = self.random.choice(self.nodes), self.random.choice(["control", "streams"])
        node.signal(signal.SIGKILL, role)
        return f"killed {role} of {node.name}"

    def kill_node(self):
        node = self.random.choice(self.nodes)
        node.kill()
        time.sleep(self.random.uniform(0, 1))
        node.launch()
        return f"killed {node.name}"

    def stop(self):
        node, what = self.random.choice(self.nodes), self.random.choice(["streams", "all"])
        seconds = self.random.choice([0.2, 1, 3, 6])
        if node.signal(signal.SIGSTOP, what):
            time.sleep(seconds)
            node.signal(signal.SIGCONT, what)
        return f"stopped {what} of {node.name} for {seconds} s"

    def replace_leader(self):
        """Its agent confirms to a control that stands still, and another one leads when it goes on;
        the agent gives control up only after 5 s."""
        leader = leader_of(self.nodes)
        other = next(node for node in self.nodes if node is not leader)
        terms, fences = other.log().count(LEADS), leader.log().count(FENCED)
        begin = time.monotonic()
        if not leader.signal(signal.SIGSTOP, "control"):
            return f"control of {leader.name} was away"
        try:
            wait_until(lambda: other.log().count(LEADS) > terms, TAKEOVER_S, "a takeover")
            time.sleep(self.random.uniform(0, 0.6))
        finally:
            leader.signal(signal.SIGCONT, "control")
        took_s, end = time.monotonic() - begin, time.monotonic() + FIND_OUT_S
        while leader.log().count(FENCED) == fences:
            if time.monotonic() > end:  # it was killed a moment ago, and was none any more
                return f"{other.name} leads; {leader.name} did not lead before"
            time.sleep(0.05)
        self.former += 1
        return f"{other.name} took over from {leader.name}, which went on after {took_s:.1f} s"


class Clients:
    def __init__(self, s, brokers):
        patient = {"socket_timeout_ms": 5000, "topic_metadata_refresh_interval_ms": 1000}
        self.ledger = NumberedWriter(brokers, "ledger", PARTITIONS, RECORDS_PER_S, **patient)
        self.plain = NumberedWriter(brokers, "plain", PARTITIONS, RECORDS_PER_S,
                                    enable_idempotence="false", **patient)
        self.transactor = Transactor(brokers, "transfers", PARTITIONS, "transactor", **patient)
        self.all = [self.ledger, self.plain, self.transactor]
        for writer in self.all:
            writer.start()
        wait_until(lambda: self.ledger.acknowledged and self.plain.acknowledged and
                   self.committed(), HEAL_S, "topics, and a transaction")
        self.tail = Tail(s, brokers, "ledger")

    def committed(self):
        return list(self.transactor.outcomes.values()).count(COMMITTED)

    def progress(self):
        return {"ledger": len(self.ledger.acknowledged), "plain": len(self.plain.acknowledged),
                "transactions": self.committed(), "tail": len(self.tail.rows)}

    def check_all_go_on(self):
        before = self.progress()
        wait_until(lambda: all(count > before[name] for name, count in self.progress().items()),
                   HEAL_S, f"everybody goes on after {before}")

    def stop(self):
        for writer in self.all:
            writer.is_stopping.set()
        for writer in self.all:
            writer.stop(120)


def rounds(nodes, clients, trouble, early, brokers, seen):
    end, number = time.monotonic() + 60 * MINUTES, 0
    while time.monotonic() < end or trouble.former == 0:
        time.sleep(trouble.random.uniform(0.3, 2))
        early.look()
        what = trouble.replace_leader() if number == 0 else trouble.strike()
        say(f"round {number}: {what}; {clients.progress()}; {early.look()} early")
        number += 1
        if number % QUIET_EACH == 0:
            for node in nodes:
                node.wait_serving(4 * HEAL_S)
            clients.check_all_go_on()
            with clients.ledger.paused():
                now = kcat.records(brokers, "ledger")
            check_prefix(seen, now)
            seen[:] = now
    for node in nodes:
        node.wait_serving(4 * HEAL_S)
    clients.check_all_go_on()
    early.look()


def check_buckets(node, key):
    done = subprocess.run([node.program, "fsck", "--json", "--deep", "--bucket", node.bucket,
                           "--journal", node.journal, "--key-file", key], check=False,
                          env=node.environment, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=FSCK_S)
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert found["is_clean"], found
    say(f"{found['records']} records, {found['objects']}")


with Scenario() as s:
    check_itself()
    random = s.seed()
    key = s.scratch / "hanse.key"
    subprocess.run([program(), "key", "new", "--key-file", key], check=True, capture_output=True)
    data = store(s.scratch, "data", random.randrange(1 << 30), DATA_FAULTS)
    journal = store(s.scratch, "journal", random.randrange(1 << 30))
    nodes = [s.node(name, bucket=data, environment=FAULTS, metrics=f"127.0.0.1:{free_port()}",
                    options=["--journal", journal, "--default-partitions", PARTITIONS,
                             "--key-file", key]) for name in "ab"]
    for node in nodes:
        node.journal = journal
        node.start(120)
    brokers = ",".join(node.address for node in nodes)
    clients = Clients(s, brokers)
    trouble = Trouble(nodes, random)
    early, seen = Counter(nodes, "hanse_early_commits_total"), []

    with s.test("nobody is stuck, however often the leader is replaced and goes on"):
        rounds(nodes, clients, trouble, early, brokers, seen)

    with s.test("commits were answered early, and takeovers found files to settle"):
        there, burnt = settled(nodes)
        say(f"{early.total:.0f} early answers, {trouble.former} former leaders went on, "
            f"{there} files were there and {burnt} were not")
        assert early.total > 0 and there + burnt > 0

    with s.test("all that was sent is answered"):
        clients.stop()
        assert not clients.ledger.producer.failed, list(clients.ledger.producer.failed.items())[:5]

    history = History()
    ledger = kcat.records(brokers, "ledger")
    with s.test("idempotent: every acknowledged record is there once, in order, where it was said"):
        check_writer(history, "ledger", clients.ledger.acknowledged, ledger, True)
        check_prefix(seen, ledger)
        say(f"{len(ledger)} records")

    with s.test("plain: every acknowledged record is there, where it was said"):
        check_writer(history, "plain", clients.plain.acknowledged,
                     kcat.records(brokers, "plain"), False)

    with s.test("transactions: all of it or nothing, and nothing that was aborted"):
        clients.transactor.check(kcat.records(brokers, "transfers"))
        say(f"{clients.committed()} were committed")

    with s.test("a reader that was there all the time saw each record once, in order"):
        clients.tail.check_saw_only(ledger)

    with s.test("fsck finds each record where it has to be, and no file that nobody knows"):
        check_buckets(nodes[0], key)
