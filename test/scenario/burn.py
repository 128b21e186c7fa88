#!/usr/bin/env python3
# runs beside others
"""Everything burns: every process of a machine, control and two agents, is killed at a random
moment under load, and every file of it deleted. On a new machine, with nothing but the bucket and
the recovery key that the first start showed, typed in again, `hanse restore` says that everything
is there, and the line it ends with serves it: nothing acknowledged is lost, nothing is there
twice, offsets mean what they meant, groups go on where they were.

The clients live elsewhere: they know the addresses of all machines there will ever be.

SEED=n repeats the choices, ROUNDS=n makes it longer.  Never skipped.  timeout: 600 s"""

import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import threading
import time

import kcat
from kafka import Client, array, text
from kcat_reader import Member, Tail
from node import Node
from rdkafka import NumberedWriter, check_exactly_once, check_prefix
from scenario import Scenario, say, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "5"))
PARTITIONS = 3
TOPIC = "ledger"
RECORDS_PER_S = 600
WHOLE, MISSING, IMPOSSIBLE = 0, 1, 2


class Agent(Node):
    """A second one on the machine, which reaches control over the network."""

    def __init__(self, scratch, machine):
        super().__init__(scratch, f"{machine.name}-agent", bucket=machine.bucket)
        self.machine, self.environment = machine, machine.environment

    def command(self):
        return [self.program, "serve", "--roles", "streams", "--bucket", self.bucket,
                "--control", f"127.0.0.1:{self.machine.peer_port}", "--kafka", self.address,
                "--key-file", str(self.machine.key_file), "--run-dir",
                str(self.machine.root / "run-agent"), "--site", "attic"]


class Machine(Node):
    """Its files are in one directory, and nothing comes from outside but the bucket."""

    def __init__(self, scratch, number, bucket):
        self.root = scratch / f"machine-{number}"
        super().__init__(scratch, f"machine-{number}", bucket=bucket,
                         run_dir=self.root / "run")
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        self.environment |= {name: value for name, value in os.environ.items()
                             if name.endswith("SAN_OPTIONS")}
        self.words = None  # those restore gave
        self.key_file = self.root / "hanse.key"
        self.root.mkdir()
        self.agent = Agent(scratch, self)

    def start_all(self):
        took_s = self.start()
        self.agent.start()
        return took_s

    def command(self):
        words = self.words or ["serve", "--bucket", self.bucket, "--key-file", self.key_file]
        return [self.program, *words, "--kafka", self.address,
                "--peer", f"127.0.0.1:{self.peer_port}", "--run-dir", str(self.run_dir),
                "--default-partitions", str(PARTITIONS)]

    def shown_key(self):
        """The first start shows it once."""
        shown = re.findall(r"hanse-key-1-[0-9A-Za-z-]+", self.log())
        assert len(shown) == 1, shown
        return shown[0]

    def type_key(self, key, random):
        """As people do: in either case, in groups or not, without being sure of zeros."""
        head, groups = key[:12], key[12:]
        if random.random() < 0.3:
            groups = groups.replace("-", random.choice(["", " "]))
        if random.random() < 0.3:
            groups = groups.replace("0", "O").replace("1", "I")
        if random.random() < 0.5:
            groups = groups.lower()
        self.key_file.touch(0o600)
        self.key_file.write_text(head + groups + "\n")

    def burn(self, random):
        """Neither is spared, whoever goes first."""
        for node in random.sample([self, self.agent], 2):
            node.kill()
        shutil.rmtree(self.root)

    def hanse(self, *words, timeout_s=60):
        return subprocess.run([self.program, *words], env=self.environment, timeout=timeout_s,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=self.root)

    def restore(self, *words):
        done = self.hanse("restore", "--bucket", self.bucket, "--key-file", self.key_file,
                          "--json", *words)
        assert done.returncode in (WHOLE, MISSING), \
            f"restore exited with {done.returncode}: {done.stderr.decode()}"
        assert done.stdout, f"restore {words} said nothing: {done.stderr.decode()}"
        return json.loads(done.stdout)


class Committer(threading.Thread):
    """Commits growing offsets of a group without members; knows which ones were acknowledged."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group = group
        self.machine = None  # set where to
        self.sent = self.acknowledged = 0
        self.is_stopping = threading.Event()

    def commit(self, client, offset):
        body = text(self.group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) \
            + array([text(TOPIC) + array([struct.pack(">iq", 0, offset) + text("")])])
        reader = client.call(8, 2, body)
        return struct.unpack(">h", bytes(reader)[-2:])[0]

    def run(self):
        while not self.is_stopping.is_set():
            machine = self.machine
            try:
                with Client(machine.port, timeout_s=3) as client:
                    while machine is self.machine and not self.is_stopping.is_set():
                        self.sent += 1
                        if self.commit(client, self.sent) == 0:
                            self.acknowledged = self.sent
                        time.sleep(0.02)
            except (OSError, AttributeError, EOFError, struct.error, AssertionError):
                time.sleep(0.02)

    def stop(self):
        self.is_stopping.set()
        self.join(20)


class Cloud:
    """The bucket, the machines one after the other, and the clients."""

    def __init__(self, s, random):
        self.s, self.random = s, random
        self.bucket = f"file:{s.scratch}/bucket"
        self.machines = [Machine(s.scratch, number, self.bucket) for number in range(ROUNDS + 1)]
        s.nodes += [node for machine in self.machines for node in (machine, machine.agent)]
        self.brokers = ",".join(node.address for node in s.nodes)
        self.topics = {TOPIC}
        self.seen = []

    def begin(self):
        self.machines[0].start_all()
        self.key = self.machines[0].shown_key()
        with Client(self.machines[0].port) as client:
            client.metadata([TOPIC])
        self.writer = NumberedWriter(self.brokers, TOPIC, PARTITIONS, RECORDS_PER_S)
        self.tail = Tail(self.s, self.brokers, TOPIC)
        self.committer = Committer("marks")
        self.committer.machine = self.machines[0]
        self.members = [Member(self.s, self, "readers", TOPIC, 6000) for _ in range(2)]
        self.writer.start()
        self.committer.start()

    @property
    def address(self):
        return self.brokers

    def change_topics(self, machine, number):
        """What is acknowledged here is there after the fire."""
        name = f"made-{number}"
        done = machine.hanse("topic", "create", name, "--partitions", str(number + 1),
                             "--kafka", machine.address)
        assert done.returncode == 0, done.stderr.decode()
        self.topics.add(name)
        if number > 0 and self.random.random() < 0.5:
            name = f"made-{number - 1}"
            done = machine.hanse("topic", "delete", name, "--kafka", machine.address)
            assert done.returncode == 0, done.stderr.decode()
            self.topics.discard(name)

    def described(self, machine):
        """Name, id and partitions of all topics, as a client sees them."""
        found = {}
        for name in self.topics:
            done = machine.hanse("topic", "describe", name, "--json", "--kafka", machine.address)
            assert done.returncode == 0, done.stderr.decode()
            topic = json.loads(done.stdout)
            found[name] = (topic["id"], len(topic["partitions"]))
        return found

    def fire(self, number):
        """One machine burns, the next one goes on."""
        old, new = self.machines[number], self.machines[number + 1]
        self.change_topics(old, number)
        before = self.described(old)
        known = len(self.writer.acknowledged)  # clients look for brokers in a leisurely way
        wait_until(lambda: len(self.writer.acknowledged) > known, 30, "the producer is back")
        time.sleep(self.random.uniform(0.3, 2.5))
        old.burn(self.random)
        acknowledged = self.committer.acknowledged
        records = len(self.writer.acknowledged)
        new.type_key(self.key, self.random)
        report = self.restore(new)
        self.check_report(report, acknowledged, records)
        words = shlex.split(report["serve"])
        assert words[0] == "hanse", words
        new.words = words[1:]
        took_s = new.start_all()
        self.committer.machine = new
        assert self.described(new) == before, "topics have changed"
        say(f"round {number}: {records} records acknowledged, {report['records']} came back in "
            f"{report['files']} files, {report['unacknowledged_files']} files of nobody; "
            f"serves after {took_s:.2f} s")

    def restore(self, machine):
        words = []
        if self.random.random() < 0.3:
            words.append("--deep")
        if self.random.random() < 0.3:
            report = machine.restore("--dry-run", *words)
            assert report["is_whole"] and not report["is_led"], report
        if self.random.random() < 0.4:  # it burns too
            process = subprocess.Popen([machine.program, "restore", "--bucket", self.bucket,
                                        "--key-file", machine.key_file],
                                       env=machine.environment, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(self.random.uniform(0, 0.1))
            process.kill()
            process.wait()
        return machine.restore(*words)

    def check_report(self, report, acknowledged, records):
        assert report["is_whole"] and report["is_sealed"], report
        assert not report["is_led"] and report["missing"] == [], report
        assert report["files_of_unknown_agents"] == 0, report
        assert {topic["name"] for topic in report["topics"]} == self.topics, report["topics"]
        assert report["records"] >= records, f"{records} records were acknowledged"
        marks = [offset["committed_offset"] for group in report["groups"]
                 if group["name"] == "marks" for offset in group["offsets"]]
        assert marks and acknowledged <= marks[0] <= self.committer.sent, \
            f"{marks} came back, {acknowledged} was acknowledged, {self.committer.sent} sent"

    def look(self, machine):
        with self.writer.paused():
            now = kcat.records(machine.address, TOPIC)
        check_prefix(self.seen, now)
        self.seen = now


def check_groups(cloud, final):
    """Nothing was passed over, and nearly nothing read twice: groups went on where they were."""
    wanted = {value for _, _, _, value in final}
    wait_until(lambda: wanted <= set().union(*(member.values() for member in cloud.members)), 60,
               "the group has read every record")
    rows = [row for member in cloud.members for row in member.rows]
    say(f"the group read {len(rows)} records of {len(wanted)}, over {ROUNDS} fires")
    # A commit every 200 ms, and a rebalance after a fire: some seconds of records a fire.
    assert len(rows) <= len(wanted) + ROUNDS * RECORDS_PER_S * 10, "the group began anew"


with Scenario() as s:
    random = s.seed()
    cloud = Cloud(s, random)
    cloud.begin()
    with s.test(f"{ROUNDS} machines burn, each with all of its files"):
        for number in range(ROUNDS):
            cloud.fire(number)
            cloud.look(cloud.machines[number + 1])
            assert cloud.writer.error is None, cloud.writer.error
    last = cloud.machines[ROUNDS]
    with s.test("every record is acknowledged in the end"):
        cloud.committer.stop()
        cloud.writer.stop()
        assert not cloud.writer.producer.failed, list(cloud.writer.producer.failed.items())[:5]
        assert len(cloud.writer.acknowledged) == cloud.writer.count > 0
    with s.test("every acknowledged record is there exactly once, in order, where it was said"):
        final = kcat.records(last.address, TOPIC)
        check_exactly_once(cloud.writer, final)
        check_prefix(cloud.seen, final)
    with s.test("a consumer that was there all the time saw each record once, in order"):
        cloud.tail.check_saw(final, 60 + 10 * ROUNDS)  # it tries all the burned ones first
        cloud.tail.check_saw_only(final)
    with s.test("a consumer group goes on where it was"):
        check_groups(cloud, final)
    with s.test("restore leaves a cluster alone that somebody leads"):
        done = last.hanse("restore", "--bucket", last.bucket, "--key-file", last.key_file)
        assert done.returncode == IMPOSSIBLE, done.returncode
        assert b"still leads" in done.stderr, done.stderr
        report = last.restore("--dry-run")
        assert report["is_led"] and report["is_whole"], report
    with s.test("the key of a cluster makes no new one of an empty bucket"):
        lost = Machine(s.scratch, ROUNDS + 1, f"file:{s.scratch}/mistyped")
        lost.type_key(cloud.key, random)
        s.nodes.append(lost)
        lost.launch()
        wait_until(lambda: lost.process.poll() is not None, 20, "it gives up")
        lost.process = None
        assert "is it the right bucket?" in lost.log(), lost.log()
        assert not (s.scratch / "mistyped/v1").exists()
        first = cloud.machines[0].log()
        assert "created new cluster" in first
    with s.test("without the key, or with another, nothing is restored"):
        done = last.hanse("restore", "--bucket", last.bucket)
        assert done.returncode == IMPOSSIBLE and b"is sealed" in done.stderr, done
        other = last.root / "other.key"
        assert last.hanse("key", "new", "--key-file", other).returncode == 0
        done = last.hanse("restore", "--bucket", last.bucket, "--key-file", other)
        assert done.returncode == IMPOSSIBLE and b"key of another cluster" in done.stderr, done
        done = last.hanse("restore", "--bucket", last.bucket, "--key-file", last.root / "none")
        assert done.returncode == IMPOSSIBLE and b"recovery key" in done.stderr, done
    with s.test("what is lost is told as offsets of a partition"):
        for member in cloud.members:
            member.leave()
        last.agent.kill()
        last.kill()
        files = sorted((s.scratch / "bucket/v1/d").glob("*/*"))
        gone = random.choice(files)
        gone.unlink()
        done = last.hanse("restore", "--bucket", last.bucket, "--key-file", last.key_file)
        report = last.restore()
        if report["missing"]:  # else it was an orphan
            assert done.returncode == MISSING and gone.name.encode() in done.stderr, done.stderr
            lost = {(row["partition"], offset) for row in report["missing"]
                    for offset in range(row["first_offset"], row["last_offset"] + 1)}
            last.start()
            kept = {row[:2] for row in final} - {at for at in lost}
            assert len(kept) == len(final) - len(lost)
            say(f"{len(lost)} records of {len(final)} are told to be lost")
