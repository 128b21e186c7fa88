#!/usr/bin/env python3
"""Small data files become few large runs and are deleted, while clients write, with and without
transactions, and read, and processes are killed: no offset ever changes its record.

SEED=n repeats the choices.  timeout: 200 s"""

import signal
from pathlib import Path

import kcat
from kafka import Client
from rdkafka import NumberedWriter, check_exactly_once, check_prefix
from scenario import Scenario, say, wait_until
from transactor import Transactor

PARTITIONS = 4
PATIENCE_S = 60
QUICK = {"HANSE_TEST_COMPACTION_AGE_MS": "200", "HANSE_TEST_COMPACTION_IDLE_MS": "50",
         "HANSE_TEST_DATA_GRACE_MS": "1000"}
TARGETS = ["streams", "control", "all"]


class Files:
    """Data files by what their headers say of them; a file never changes."""

    def __init__(self, s):
        self.root = Path(s.scratch, "bucket", "v1", "d")
        self.compacted = {}

    def look(self):
        there = set()
        for path in self.root.rglob("*"):
            try:
                if path not in self.compacted and path.is_file():
                    header = path.read_bytes()[:64]
                    at = header.index(b"HANSEDAT")
                    self.compacted[path] = header[at + 11] & 1 == 1
            except (FileNotFoundError, ValueError):  # deleted, or not whole yet
                continue
            if path in self.compacted:
                there.add(path)
        return there

    def count(self, compacted):
        return len([path for path in self.look() if self.compacted[path] == compacted])

    def ever_compacted(self):
        self.look()
        return sum(self.compacted.values())


def strike(node, target):
    if target == "all":
        node.kill()
        node.start()
        return
    wait_until(lambda: node.role_pid(target), PATIENCE_S, f"a {target} process")
    assert node.signal(signal.SIGKILL, target)
    node.wait_serving()


with Scenario() as s:
    random = s.seed()
    node = s.node(options=["--default-partitions", PARTITIONS], environment=QUICK)
    node.start()
    files = Files(s)
    with Client(node.port) as client:
        client.metadata(["ledger", "transfers"])
    writer = NumberedWriter(node.address, "ledger", PARTITIONS, 300)
    transactor = Transactor(node.address, "transfers", PARTITIONS, "transfers", pause_s=0.01)
    writer.start()
    transactor.start()
    seen = []

    with s.test("files are compacted, and killed processes do no harm"):
        for target in TARGETS:
            before = files.ever_compacted()
            wait_until(lambda: files.ever_compacted() > before, PATIENCE_S, "a compacted file")
            strike(node, target)
            with writer.paused():  # kcat looks for an end
                now = kcat.records(node.address, "ledger")
            check_prefix(seen, now)
            seen = now
            say(f"killed {target}; {files.ever_compacted()} files compacted, "
                f"{files.count(False)} of producers are left")
            assert writer.error is None, writer.error

    with s.test("what was compacted leaves the bucket"):
        writer.stop()
        transactor.stop()
        assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        wait_until(lambda: files.count(False) < 20 < files.ever_compacted() * 16, PATIENCE_S,
                   "few files of producers are left")

    with s.test("every record is where it was said to be, once, and transactions are whole"):
        final = kcat.records(node.address, "ledger")
        check_exactly_once(writer, final)
        check_prefix(seen, final)
        transfers = kcat.records(node.address, "transfers")
        transactor.check(transfers)
        say(f"{len(final)} records, {len(transactor.outcomes)} transactions")

    with s.test("so it is after a start with nothing in memory"):
        node.kill()
        node.start()
        # partitions come in any order
        assert sorted(kcat.records(node.address, "ledger")) == sorted(final)
        assert sorted(kcat.records(node.address, "transfers")) == sorted(transfers)
        middle = final[len(final) // 2]
        one = kcat.consume(node.address, "ledger", "-p", str(middle[0]), "-o", str(middle[1]),
                           "-c", "1")
        assert one.strip() == middle[3]
