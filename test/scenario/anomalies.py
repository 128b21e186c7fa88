#!/usr/bin/env python3
"""Two nodes of a sealed cluster, an agent of each serving clients, are killed, stopped, slowed
down, cut off from each other or from their clients, and given a slow, failing, silent or absent
bucket, while clients write plainly, idempotently and in transactions, read, work from one topic
to another, and consume in groups, whose members die and stand still as well: those of the classic
protocol, with eager and cooperative rebalances, and those of the consumer protocol (where
librdkafka 2.15 is built, as for groups_848.py). Nothing acknowledged is lost, nothing is there
twice, nothing aborted is read, no transaction is torn, no offset changes its meaning, and
whenever it is quiet all of them go on. Meanwhile files are compacted, records of one topic go
when they are old and of another when their key is written again, dead files are deleted, and in
the end the bucket holds no more than what can be read.

SEED=n repeats the choices; MINUTES=n makes it longer (`make soak`: 30).  Never skipped.
timeout: 7200 s"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import kcat
from aging import Aging
from checker import History, check_itself, check_only, check_seen, check_writer
from group_reader import GroupReader
from kafka import GROUP_RESOURCE, alter_configs
from kcat_reader import Reader, Tail
from node import Node
from rdkafka import NumberedWriter, check_prefix
from scenario import PATIENCE, Scenario, say, wait_until
from transactor import COMMITTED, Transactor, Worker

MINUTES = float(os.environ.get("MINUTES", "1"))
PARTITIONS = 3
RECORDS_PER_S = 150
QUIET_EACH = 5  # rounds; then everybody must go on
HEAL_S = 90     # patience: sessions, backoffs of clients and timeouts of transactions are in it
CLONE_NEWNET = 0x40000000
# Files are compacted, and deleted afterwards, all the time.
ENVIRONMENT = {"HANSE_TEST_FAULTS": "1", "HANSE_TEST_COMPACTION_AGE_MS": "1000",
               "HANSE_TEST_COMPACTION_IDLE_MS": "500", "HANSE_TEST_DATA_GRACE_MS": "5000",
               "HANSE_TEST_ORPHANS_MS": "500", "HANSE_TEST_KEY_BACKOFF_MS": "500"}
FSCK_S = 300
FLAT_S = 90
FLAT_RATIO, FLAT_BYTES = 1.2, 1 << 20  # beside the records: indexes of files, what is pending
# As it should be, slow, failing before and after the effect, far away; standing still with some
# requests, which are done; away for seconds.
BUCKETS = ["", "fault_delay_ms=40", "fault_before_ppm=10000&fault_after_ppm=10000",
           "fault_put_ms=60-400&fault_get_ms=20-80", "fault_slow_ppm=10000&fault_slow_ms=3000",
           "fault_lost_ppm=3000&fault_lost_ms=3000",
           "fault_slow_down_ppm=2000&fault_slow_down_ms=4000"]


def own_network():
    """A network of our own, where packets may be dropped; not everybody may have one."""
    if not shutil.which("nft") or not shutil.which("ip") or os.getuid() != 0:
        return False
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return True


def cut_off(ports):
    """Nothing passes to and from these TCP ports."""
    rules = "".join(f"tcp {end} {port} drop\n" for port in ports for end in ("dport", "sport"))
    subprocess.run(["nft", "-f", "-"], text=True, check=True,
                   input="table inet cut {\nchain drops {\ntype filter hook input priority 0;\n"
                         f"{rules}}}\n}}\n")


def connect_again():
    subprocess.run(["nft", "delete", "table", "inet", "cut"], check=True)


class Member(Node):
    """A node of the cluster, whose bucket is as good as it was told to be at its last start."""

    def __init__(self, scratch, name, key_file):
        super().__init__(scratch, name, environment=ENVIRONMENT, options=[
            "--default-partitions", PARTITIONS, "--key-file", key_file])
        self.directory = f"file:{scratch}/bucket"
        self.bucket = self.directory

    def use(self, faults):
        self.bucket = f"fault:{self.directory}?{faults}" if faults else self.directory


class Trouble:
    """What is done to nodes and members; each ends before it returns, but not what follows."""

    def __init__(self, nodes, groups, random, has_network):
        self.nodes, self.groups = nodes, groups
        self.random, self.has_network = random, has_network

    def strike(self):
        kinds = [self.kill_node, self.kill_node, self.kill_role, self.kill_role, self.stop,
                 self.slow_down, self.kill_all, self.give_bucket, self.give_bucket,
                 self.kill_member, self.stop_member]
        if self.has_network:
            kinds += [self.cut, self.cut, self.cut_clients]
        return self.random.choice(kinds)()

    def node(self):
        return self.random.choice(self.nodes)

    def kill_node(self):
        node = self.node()
        node.kill()
        time.sleep(self.random.uniform(0, 3))
        node.launch()
        return f"killed {node.name}"

    def kill_role(self):
        node, role = self.node(), self.random.choice(["control", "streams"])
        node.signal(signal.SIGKILL, role)
        return f"killed {role} of {node.name}"

    def kill_all(self):
        for node in self.nodes:
            node.kill()
        for node in self.random.sample(self.nodes, len(self.nodes)):
            node.launch()
            time.sleep(self.random.uniform(0, 1))
        return "killed all"

    def stop(self):
        node, what = self.node(), self.random.choice(["all", "control", "streams"])
        seconds = self.random.choice([0.3, 2, 5, 9])
        if node.signal(signal.SIGSTOP, what):
            time.sleep(seconds)
            node.signal(signal.SIGCONT, what)
        return f"stopped {what} of {node.name} for {seconds} s"

    def slow_down(self):
        """It runs a tenth of the time."""
        node, what = self.node(), self.random.choice(["control", "streams"])
        seconds = self.random.choice([2, 5])
        end = time.monotonic() + seconds
        while time.monotonic() < end and node.signal(signal.SIGSTOP, what):
            time.sleep(0.09)
            node.signal(signal.SIGCONT, what)
            time.sleep(0.01)
        return f"slowed down {what} of {node.name} for {seconds} s"

    def kill_member(self):
        group = self.random.choice(self.groups)
        group.kill_one(self.random)
        return f"killed a member of {group.name}"

    def stop_member(self):
        """Some for longer than its session: the others go on without it."""
        group, seconds = self.random.choice(self.groups), self.random.choice([2, 8])
        member = self.random.choice(group.members)
        member.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        member.process.send_signal(signal.SIGCONT)
        return f"stopped a member of {group.name} for {seconds} s"

    def cut_clients(self):
        node, seconds = self.node(), self.random.choice([1, 4, 9])
        cut_off([node.port])
        time.sleep(seconds)
        connect_again()
        return f"cut off clients from {node.name} for {seconds} s"

    def cut(self):
        nodes = self.random.choice([self.nodes, [self.node()]])
        seconds = self.random.choice([1, 4, 9])
        cut_off([node.peer_port for node in nodes])
        time.sleep(seconds)
        connect_again()
        return f"cut off {' and '.join(node.name for node in nodes)} for {seconds} s"

    def give_bucket(self):
        node, faults = self.node(), self.random.choice(BUCKETS)
        node.kill()
        node.use(faults)
        node.launch()
        return f"{node.name} has a bucket with {faults or 'no faults'}"

    def heal(self):
        for node in self.nodes:
            if node.bucket != node.directory:
                node.kill()
                node.use("")
                node.launch()
        for node in self.nodes:
            node.wait_serving(PATIENCE * HEAL_S)


class Group:
    """Two members that read a topic together; who dies is replaced.  rows: what all of them saw."""

    def __init__(self, name, topic, new_member):
        self.name, self.topic, self.new_member = name, topic, new_member
        self.members = [new_member(), new_member()]
        self.gone = []

    def kill_one(self, random):
        at = random.randrange(len(self.members))
        self.members[at].process.kill()
        self.gone.append(self.members[at])
        self.members[at] = self.new_member()

    def readers(self):
        return self.gone + self.members

    def count(self):
        return sum(len(reader.rows) for reader in self.readers())

    def values(self):
        return set().union(*(reader.values() for reader in self.readers()))

    def check(self, final, history):
        """Each record was seen, where it is, and nothing that is not there."""
        wait_until(lambda: {value for *_, value in final} <= self.values(), HEAL_S,
                   f"{self.name} has read everything")
        check_seen(self.name, self.values(), final)
        check_only(self.name, self.values(), final)
        for reader in self.readers():
            history.add(self.name, ((self.topic, *row) for row in list(reader.rows)))


def open_groups(s, node, brokers):
    def classic(name, topic, strategy):
        return Group(name, topic, lambda: Reader(
            s, "-b", brokers, "-G", name, "-X", "auto.offset.reset=earliest",
            "-X", "session.timeout.ms=6000", "-X", f"partition.assignment.strategy={strategy}",
            "-X", "topic.metadata.refresh.interval.ms=1000", topic))

    groups = [classic("readers", "ledger", "range,roundrobin"),
              classic("cooperative-readers", "transfers", "cooperative-sticky")]
    why = GroupReader.missing()
    say(why or "a group of the consumer protocol reads as well")
    if not why:
        alter_configs(node.port, GROUP_RESOURCE, "new-readers", {
            "consumer.heartbeat.interval.ms": 1000, "consumer.session.timeout.ms": 6000})
        groups.append(Group("new-readers", "transfers", lambda: GroupReader(
            s, brokers, "new-readers", "transfers")))
    return groups


class Clients:
    """All that goes on, and how far each is."""

    def __init__(self, s, node, brokers):
        patient = {"socket_timeout_ms": 5000, "topic_metadata_refresh_interval_ms": 1000}
        self.ledger = NumberedWriter(brokers, "ledger", PARTITIONS, RECORDS_PER_S, **patient)
        self.plain = NumberedWriter(brokers, "plain", PARTITIONS, RECORDS_PER_S,
                                    enable_idempotence="false", **patient)
        self.transactors = [Transactor(brokers, "transfers", PARTITIONS, f"transactor-{i}",
                                       **patient) for i in range(2)]
        self.workers = [Worker(brokers, "workers", "ledger", "copies", f"worker-{i}")
                        for i in range(2)]
        self.writers = [self.ledger, self.plain, *self.transactors, *self.workers]
        self.aging = Aging(node, brokers, PARTITIONS, **patient)
        for writer in (self.ledger, self.plain, self.aging):
            writer.start()
        wait_until(lambda: self.ledger.acknowledged and self.plain.acknowledged, 60, "topics")
        for writer in self.writers[2:]:
            writer.start()
        wait_until(lambda: COMMITTED in [outcome for t in self.transactors
                                         for outcome in list(t.outcomes.values())], 60,
                   "a transaction")
        self.tails = {topic: Tail(s, brokers, topic) for topic in ("ledger", "plain", "transfers")}
        self.groups = open_groups(s, node, brokers)

    def progress(self):
        """Numbers that grow while a client is not stuck, by name."""
        counts = {"ledger": len(self.ledger.acknowledged), "plain": len(self.plain.acknowledged),
                  "workers": sum(worker.count for worker in self.workers),
                  "short": len(self.aging.short.acknowledged),
                  "latest": len(self.aging.latest.acknowledged)}
        counts |= {group.name: group.count() for group in self.groups}
        counts |= {t.id: list(t.outcomes.values()).count(COMMITTED) for t in self.transactors}
        counts |= {f"tail of {topic}": len(tail.rows) for topic, tail in self.tails.items()}
        return counts

    def check_all_go_on(self):
        before = self.progress()

        def have_grown():
            return all(count > before[name] for name, count in self.progress().items())

        try:
            wait_until(have_grown, HEAL_S, "everybody goes on")
        except AssertionError:
            now = self.progress()
            stuck = [name for name in before if now[name] <= before[name]]
            raise AssertionError(f"stuck: {stuck}; " + "; ".join(
                f"{t.id}: {t.why[-3:]}" for t in [*self.transactors, *self.workers]))


def take_nameless(ledger, records):
    """librdkafka acknowledges without an offset (-1001) what the broker has had for so long that it
    no longer knows where.  It is there, once."""
    nameless = [value for value, (_, offset) in ledger.items() if offset == -1001]
    values = [value for _, _, _, value in records]
    for value in nameless:
        assert values.count(value) == 1, f"{value} is there {values.count(value)} times"
        del ledger[value]
    say(f"{len(nameless)} were acknowledged without an offset")


def check_copies(ledger, copies):
    """Each record of the ledger once, and those of a partition in order."""
    for partition in range(PARTITIONS):
        wanted = [value for at, _, _, value in ledger if at == partition]
        found = [value for at, _, _, value in copies if at == partition]
        assert len(set(found)) == len(found), \
            f"partition {partition}: {len(found) - len(set(found))} records were copied twice"
        assert found == wanted, f"partition {partition}: {len(found)} of {len(wanted)} copies"


def fsck(node, key_file, *words):
    done = subprocess.run(
        [node.program, "fsck", "--json", *words, "--bucket", node.directory, "--key-file",
         key_file], check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=FSCK_S)
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert found["is_clean"], found
    assert found["objects"]["newer"] == 0, found["objects"]
    return found


def check_cluster(node, key_file):
    found = fsck(node, key_file, "--deep")
    say(f"{found['records']} records, {found['bytes']} bytes, {found['objects']}")


def bytes_below(directory):
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def check_flat(node, key_file, bucket):
    """What nobody can read has gone."""
    def is_flat():
        used, found = bytes_below(bucket / "v1/d"), fsck(node, key_file)
        say(f"{used} bytes are used for {found['bytes']}, {found['objects']}")
        return used <= FLAT_RATIO * found["bytes"] + FLAT_BYTES
    wait_until(is_flat, FLAT_S, "the bucket holds no more than what can be read")


with Scenario() as s:
    check_itself()
    random = s.seed()
    has_network = own_network()
    key_file = s.scratch / "hanse.key"
    nodes = [Member(s.scratch, name, key_file) for name in "ab"]
    s.nodes += nodes
    nodes[0].start()
    nodes[1].start()
    brokers = ",".join(node.address for node in nodes)
    clients = Clients(s, nodes[0], brokers)
    trouble = Trouble(nodes, clients.groups, random, has_network)
    say("packets are dropped too" if has_network else "packets are not dropped: no root, no nft")

    with s.test(f"{MINUTES:g} minutes of trouble, and everybody goes on whenever it is quiet"):
        end, number, seen = time.monotonic() + 60 * MINUTES, 0, []
        while time.monotonic() < end:
            time.sleep(random.uniform(0.1, 3))
            say(f"round {number}: {trouble.strike()}; {clients.progress()}")
            number += 1
            if number % QUIET_EACH == 0:
                trouble.heal()
                clients.check_all_go_on()
                with clients.ledger.paused():
                    now = kcat.records(brokers, "ledger")
                check_prefix(seen, now)
                seen = now
        trouble.heal()
        clients.check_all_go_on()

    with s.test("all that was sent is answered, and no client is stuck at the end"):
        for writer in (clients.ledger, clients.plain, *clients.transactors):
            writer.is_stopping.set()
        for writer in (clients.ledger, clients.plain, *clients.transactors):
            writer.stop()
        clients.aging.stop()
        assert not clients.ledger.producer.failed, list(clients.ledger.producer.failed.items())[:5]

    ledger = kcat.records(brokers, "ledger")
    history = History()

    # Z1
    with s.test("idempotent: every acknowledged record is there once, in order, where it was said"):
        take_nameless(clients.ledger.acknowledged, ledger)
        check_writer(history, "ledger", clients.ledger.acknowledged, ledger, True)
        check_prefix(seen, ledger)
        say(f"{len(ledger)} records")

    with s.test("plain: every acknowledged record is there, where it was said"):
        check_writer(history, "plain", clients.plain.acknowledged,
                     kcat.records(brokers, "plain"), False)

    with s.test("transactions: all of it or nothing, and nothing that was aborted"):
        transfers = kcat.records(brokers, "transfers")
        for transactor in clients.transactors:
            transactor.check(transfers)
            outcomes = list(transactor.outcomes.values())
            say(f"{transactor.id}: {dict((o, outcomes.count(o)) for o in set(outcomes))}, "
                f"{transactor.lives} lives")

    # T6
    with s.test("exactly once: each record was copied once, in order"):
        def copies():
            found = kcat.records(brokers, "copies")
            return found if len(found) >= len(ledger) else None
        found = wait_until(copies, HEAL_S, "the workers have copied everything")
        for worker in clients.workers:
            worker.stop()
        check_copies(ledger, found)
        say(f"{sum(worker.lives for worker in clients.workers)} lives of the workers")

    # K1
    with s.test("readers that were there all the time saw each record once, in order"):
        clients.tails["ledger"].check_saw_only(ledger)
        clients.tails["plain"].check_saw(kcat.records(brokers, "plain"))
        clients.tails["transfers"].check_saw_only(transfers)

    for group in clients.groups:
        with s.test(f"{group.name}: together they saw each record where it is, and no other"):
            group.check(ledger if group.topic == "ledger" else transfers, history)

    with s.test("retention: what is left is where it was, and goes; of each key the last is there"):
        clients.aging.check(history)

    with s.test("fsck finds each record where it has to be, and no file that nobody knows"):
        check_cluster(nodes[0], key_file)

    with s.test("what cannot be read any more is deleted"):
        check_flat(nodes[0], key_file, s.scratch / "bucket")
