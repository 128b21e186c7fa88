#!/usr/bin/env python3
# runs beside others
"""The journal is gone, with all its copies, and the bucket of the records is there: `hanse rebuild`
makes a journal from the data files alone, and clients find their records at their offsets.  Also of
topics compacted by key, whose buckets are in an S3 store.

timeout: 300 s"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import kcat
from kafka import Client, array
from kafka import text as kafka_text
from scenario import Ended, Scenario, say, wait_until
from sick_store import SickStore
from transactor import Transactor

LIMIT_S = 120
PARTITIONS = 3
QUICK = {"HANSE_TEST_COMPACTION_AGE_MS": "200", "HANSE_TEST_COMPACTION_IDLE_MS": "50",
         "HANSE_TEST_DATA_GRACE_MS": "60000"}
# topic: how it is written
TOPICS = {"plain": [], "zipped": ["-z", "zstd"], "keyed": ["-K", ":", "-z", "lz4"],
          "sure": ["-X", "enable.idempotence=true", "-z", "gzip"]}
INCOMPLETE = 1
OFFSET_FOR_LEADER_EPOCH = 23
COMMITTED = ["isolation.level=read_committed"]
UNCOMMITTED = ["isolation.level=read_uncommitted"]


class Cluster:
    def __init__(self, s, name="a", options=()):
        self.bucket = Path(s.scratch, "bucket-" + name)
        self.journal = Path(s.scratch, "journal-" + name)
        self.bucket.mkdir()
        self.open(s, name, f"file:{self.bucket}", f"file:{self.journal}", options, QUICK)

    def open(self, s, name, bucket_url, journal_url, options, environment):
        self.bucket_url, self.journal_url = bucket_url, journal_url
        self.node = s.node(name, bucket=bucket_url, environment=environment,
                           options=["--journal", journal_url, "--default-partitions", PARTITIONS,
                                    *options])

    def command(self, word, *words, journal=None):
        return [self.node.program, word, "--json", "--bucket", self.bucket_url, "--journal",
                journal or self.journal_url, *words]

    def run(self, word, *words, **settings):
        done = subprocess.run(self.command(word, *words, **settings), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S,
                              env=self.node.environment)
        text = done.stderr.decode()
        assert "Sanitizer" not in text, text
        return done.returncode, json.loads(done.stdout) if done.stdout else text

    def data_files(self):
        return sorted(path for path in Path(self.bucket, "v1", "d").rglob("*") if path.is_file())

    def lose_journal(self):
        self.node.terminate()
        shutil.rmtree(self.journal)
        self.journal.mkdir()

    def all_records(self):
        return {topic: sorted(kcat.records(self.node.address, topic)) for topic in TOPICS}


class StoreCluster(Cluster):
    """Its buckets are in an S3 store; dead files are deleted after grace_ms."""

    def __init__(self, s, store, name, grace_ms):
        self.store, self.name = store, name
        environment = dict(QUICK, HANSE_TEST_KEY_BACKOFF_MS="100",
                           HANSE_TEST_DATA_GRACE_MS=str(grace_ms), **store.environment())
        self.open(s, name, store.url(name + "/records"), store.url(name + "/journal"),
                  ["--seal", "no"], environment)

    def data_files(self):
        return [key for key in sorted(self.store.objects)
                if key.startswith(self.name + "/records/v1/d/")]

    def lose_journal(self):
        self.node.terminate()
        for key in list(self.store.objects):
            if key.startswith(self.name + "/journal/"):
                del self.store.objects[key]

    def configure(self, topic, *settings):
        subprocess.run([self.node.program, "topic", "config", topic, *settings, "--kafka",
                        self.node.address], check=True, capture_output=True, timeout=LIMIT_S)

    def write(self, topic, pairs):
        text = "".join(f"{key}:{value}\n" for key, value in pairs).encode()
        kcat.produce(self.node.address, topic, text, "-K:", "-Z", "-X", "batch.num.messages=7")

    def rows(self, topic):
        return [(offset, key.decode(), value.decode())
                for _, offset, key, value in kcat.records(self.node.address, topic)]


def last_of_each(pairs):
    """What compaction leaves of records that follow each other."""
    last = {key: (offset, key, value) for offset, (key, value) in enumerate(pairs)}
    return sorted(last.values())


def compacted_by_key(s, store, name, grace_ms):
    cluster = StoreCluster(s, store, name, grace_ms)
    cluster.node.start(60)
    subprocess.run([cluster.node.program, "topic", "create", "ledger", "--partitions", "1",
                    "--kafka", cluster.node.address], check=True, capture_output=True,
                   timeout=LIMIT_S)
    cluster.configure("ledger", "cleanup.policy=compact", "min.cleanable.dirty.ratio=0")
    pairs = []

    def write(more):
        pairs.extend(more)
        cluster.write("ledger", more)

    def is_compacted():
        return cluster.rows("ledger") == last_of_each(pairs)

    def is_deleted():
        return grace_ms > 1000 or len(cluster.data_files()) <= 2
    for i in range(4):
        write([(f"k{k % 20}", f"{i}-{k}") for k in range(i, 100)])
    wait_until(is_compacted, LIMIT_S, "a pass")
    wait_until(is_deleted, LIMIT_S, "what was compacted is deleted")
    cluster.configure("ledger", "min.cleanable.dirty.ratio=1")
    write([("k3", "new"), ("k4", ""), ("k3", "newer"), ("k21", "first")])
    before = cluster.rows("ledger")
    assert len(before) == 24, before
    cluster.lose_journal()
    code, found = cluster.run("rebuild", "--deep", "--execute")
    doubtful, missing = found["topics"][0]["doubtful"], found["topics"][0]["missing"]
    say({name: found["topics"][0][name] for name in (
        "certain", "likely", "doubtful", "left_out", "missing")})
    assert found["is_written"] and code == (0 if found["is_whole"] else INCOMPLETE), found
    is_whole = found["is_whole"]
    found = cluster.run("fsck", "--deep")[1]
    assert found["is_clean"] == (missing == 0), found
    cluster.node.start(60)
    after = cluster.rows("ledger")
    if grace_ms > 1000:
        # What a pass left out of files that are there still may come again: where it was, or, if
        # nobody knows where that was, in other room before the last of its key.
        elsewhere = set(after) - {(i, *pair) for i, pair in enumerate(pairs)}
        assert set(before) <= set(after) and len(elsewhere) <= doubtful, after
        assert {row[1:] for row in after} <= set(pairs), after
    else:
        assert is_whole and after == before, after
    assert sorted({row[1]: row for row in after}.values()) == last_of_each(pairs), after
    cluster.configure("ledger", "cleanup.policy=compact", "min.cleanable.dirty.ratio=0")
    write([("k5", "again")])
    wait_until(is_compacted, LIMIT_S, "a pass over what came back")
    cluster.node.kill()


def is_final(path):
    data = path.read_bytes()
    at = data.find(b"HANSEDAT")
    return at >= 0 and data[at + 11] & 1 == 1


def write(cluster, rounds, first=0):
    for i in range(first, first + rounds):
        for topic, words in TOPICS.items():
            key = "key-%d:" % (i % 7) if topic == "keyed" else ""
            lines = "".join(f"{key}{topic} {i} {k} {'x' * 50}\n" for k in range(20))
            kcat.produce(cluster.node.address, topic, lines.encode(), *words, "-X", "linger.ms=5")


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"HANSEDAT") + 64 + 70] ^= 1  # in its first batch
    os.chmod(path, 0o600)
    path.write_bytes(data)


with Scenario() as s:
    cluster = Cluster(s)
    node = cluster.node
    node.start()
    with Client(node.port) as client:
        client.metadata(list(TOPICS))

    with s.test("what was written is partly compacted when the journal is lost"):
        write(cluster, 8)
        wait_until(lambda: any(is_final(path) for path in cluster.data_files()), LIMIT_S,
                   "a compacted file")
        write(cluster, 3, first=8)
        before = cluster.all_records()
        assert all(len(records) == 220 for records in before.values())
        cluster.lose_journal()
        files = {path: path.read_bytes() for path in cluster.data_files()}

    with s.test("without --execute it says what would come back, and writes nothing"):
        code, found = cluster.run("rebuild", "--deep")
        assert code == 0 and not found["is_written"], found
        topics = {topic["name"]: topic for topic in found["topics"]}
        assert sorted(topics) == sorted(TOPICS), found
        for topic in topics.values():
            assert topic["certain"] + topic["likely"] == 220 and topic["missing"] == 0, topic
            assert topic["certain"] > 0 and topic["partitions"] == PARTITIONS, topic
        say({name: (topic["certain"], topic["likely"]) for name, topic in topics.items()})
        assert not any(cluster.journal.rglob("*"))

    with s.test("it says so in words, too"):
        command = [word for word in cluster.command("rebuild") if word != "--json"]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=LIMIT_S, env=cluster.node.environment)
        text = done.stdout.decode()
        assert done.returncode == 0 and text.startswith("TOPIC"), (done, text)
        assert all(any(line.startswith(topic + " ") for line in text.splitlines())
                   for topic in TOPICS), text

    with s.test("a rebuild that is killed is refused by nodes, and begins anew"):
        slow = f"fault:file:{cluster.journal}?fault_put_ms=150-200"
        process = subprocess.Popen(cluster.command("rebuild", "--execute", journal=slow),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=dict(os.environ, HANSE_TEST_FAULTS="1"))

        def is_writing():
            if process.poll() is not None:
                raise Ended("it was too quick")
            return len(list(cluster.journal.rglob("s/*/*"))) or len(
                [p for p in cluster.journal.rglob("*") if p.is_file() and "/e/" in str(p)]) >= 4
        wait_until(is_writing, LIMIT_S, "it writes")
        process.send_signal(signal.SIGKILL)
        process.wait()
        node.launch()
        wait_until(lambda: node.process.poll() is not None, LIMIT_S, "the node has ended")
        assert "a rebuild of this journal was cut off" in node.log(), node.log()
        node.process = None

    with s.test("it comes back"):
        code, found = cluster.run("rebuild", "--execute")
        assert code == 0 and found["is_written"] and found["is_anew"], found
        assert {path: path.read_bytes() for path in cluster.data_files()} == files

    with s.test("a journal that is there is never written over"):
        code, text = cluster.run("rebuild", "--execute")
        assert code == 2 and "not empty" in text, (code, text)

    with s.test("fsck finds nothing wrong"):
        code, found = cluster.run("fsck", "--deep")
        assert code == 0 and found["is_clean"], found
        assert found["objects"]["orphaned"] == 0, found

    with s.test("every record is at its offset, and its content is the same"):
        node.environment["HANSE_TEST_COMPACTION_AGE_MS"] = "3600000"
        node.start()
        assert cluster.all_records() == before

    with s.test("a consumer that lived on is told where the epoch it knows ended"):
        for partition in range(PARTITIONS):
            asked = struct.pack(">i", -1) + array([kafka_text("plain") + array(
                [struct.pack(">iii", partition, -1, 0)])])
            with Client(node.port) as client:
                answer = client.call(OFFSET_FOR_LEADER_EPOCH, 3, asked)
            error, _, epoch, end = struct.unpack(">hiiq", answer[-18:])
            offsets = [row[1] for row in before["plain"] if row[0] == partition]
            assert (error, epoch, end) == (0, 0, max(offsets, default=-1) + 1), (error, epoch, end)

    with s.test("producers go on behind the end"):
        write(cluster, 2, first=20)
        after = cluster.all_records()
        for topic, records in after.items():
            assert len(records) == 260, topic
            ends = {}
            for partition, offset, _, _ in before[topic]:
                ends[partition] = max(ends.get(partition, -1), offset)
            new = set(records) - set(before[topic])
            assert len(new) == 40 and set(before[topic]) < set(records), topic
            assert all(offset > ends.get(partition, -1) for partition, offset, _, _ in new), topic

    with s.test("a journal that nodes lead is not lost"):
        code, text = cluster.run("rebuild", "--execute")
        assert code == 2 and "not lost" in text, (code, text)

    with s.test("a damaged file is named and left out, and the others come"):
        before = cluster.all_records()
        cluster.lose_journal()
        files = [path for path in cluster.data_files() if not is_final(path)]
        life = max(path.name.split("-")[0] for path in files)
        newest = sorted(path for path in files if path.name.startswith(life))
        newest.sort(key=lambda path: path.name)
        bad = newest[1]  # of the first round, and not the last of its topic
        flip(bad)
        code, found = cluster.run("rebuild", "--deep", "--execute")
        assert code == INCOMPLETE and found["is_written"], found
        assert [file["key"] for file in found["bad_files"]] == [
            str(bad.relative_to(cluster.bucket))], found
        node.start()
        after = cluster.all_records()
        lost = {topic: set(before[topic]) - set(after[topic]) for topic in TOPICS}
        say({topic: len(records) for topic, records in lost.items()})
        assert sorted(len(records) > 0 for records in lost.values()) == [False] * 3 + [True], lost
        for topic in TOPICS:
            assert set(after[topic]) <= set(before[topic]), topic
            assert len(lost[topic]) <= 20, topic

    with s.test("readers pass over what is lost, and producers go on"):
        write(cluster, 1, first=30)
        for topic, records in cluster.all_records().items():
            assert len(records) == 280 - len(lost[topic]), topic

    with s.test("a journal bucket that holds something else is not touched"):
        other = Path(s.scratch, "other")
        other.mkdir()
        Path(other, "v1").mkdir()
        Path(other, "v1", "something").write_text("else")
        code, text = cluster.run("rebuild", "--execute", journal=f"file:{other}")
        assert code == 2 and "not empty" in text, (code, text)
        assert len(list(other.rglob("*"))) == 2

    with s.test("sealed records and transactions come back with the recovery key and a choice"):
        node.terminate()
        key = Path(s.scratch, "key")
        sealed = Cluster(s, "b", options=["--seal", "yes", "--key-file", key])
        sealed.node.start()
        kcat.produce(sealed.node.address, "transfers", b"first\n")
        transactor = Transactor(sealed.node.address, "transfers", PARTITIONS, "transfers",
                                pause_s=0.01)
        transactor.start()
        wait_until(lambda: len(sealed.data_files()) > 60, LIMIT_S, "transactions")
        transactor.stop()
        committed = set(kcat.records(sealed.node.address, "transfers", "-X", *COMMITTED))
        written = kcat.records(sealed.node.address, "transfers", "-X", *UNCOMMITTED)
        sealed.lose_journal()
        code, text = sealed.run("rebuild")
        assert code == 2 and "is sealed" in text, (code, text)
        words = ["--key-file", str(key)]
        found = sealed.run("rebuild", *words)[1]
        undecided = sum(topic["undecided"] for topic in found["topics"])
        say(f"{undecided} of {len(written)} records are undecided")
        if undecided > 0:
            code, text = sealed.run("rebuild", "--execute", *words)
            assert code == 2 and "--undecided" in text, (code, text)
        found = sealed.run("rebuild", "--execute", "--undecided", "commit", *words)[1]
        assert found["is_written"] and found["is_sealed"], found
        sealed.node.start()
        again = kcat.records(sealed.node.address, "transfers", "-X", *UNCOMMITTED)
        assert sorted(again) == sorted(written)
        again = set(kcat.records(sealed.node.address, "transfers", "-X", *COMMITTED))
        assert committed <= again and len(again - committed) <= undecided

    store = SickStore(random.Random(1))  # it is well all the time
    # L7
    with s.test("of a topic compacted by key the last of each key comes back, at its offset"):
        compacted_by_key(s, store, "fresh", 60000)
    # L7
    with s.test("also when the files that the pass read are deleted"):
        compacted_by_key(s, store, "swept", 200)
