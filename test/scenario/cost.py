#!/usr/bin/env python3
# runs beside others
# What hanse cost counts is what lies in the bucket; what it says follows.  timeout: 300 s

import json
import re
import subprocess
import time
from pathlib import Path

import kcat
from s3_store import KEYS, Store
from scenario import Scenario, Skip, wait_until

REPORT_MS = 200
TOLD_S = 20


def cost(node, *words):
    return subprocess.run([node.program, "cost", *words], check=False, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def cost_of(node, *words):
    """The document of this node."""
    done = cost(node, "--kafka", node.address, "--run-dir", str(node.run_dir), "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sums(document, purpose, when="this_month"):
    rows = [row[when] for row in document["measured"]["buckets"] if row["purpose"] == purpose]
    assert len(rows) <= 1, rows
    return rows[0] if rows else None


def files(s, part):
    return [path for path in Path(s.scratch, "bucket", "v1", part).rglob("*") if path.is_file()]


def line(document, sheet, what):
    return next(row for row in document[sheet]["lines"] if row["what"] == what)


def check_store(s):
    """A store that writes down each request says the same."""
    store = Store(s.scratch / "stores", "moto_server")
    if not store.program():
        raise Skip("moto_server is not installed")
    s.at_end.callback(store.stop)
    store.start()
    far = s.node("far", bucket=store.url("cost"), environment=dict(KEYS),
                 options=["--key-file", s.scratch / "hanse.key"])
    far.start(60)
    for i in range(5):
        kcat.produce(far.address, "t", b"x\n" * 1000)
    assert kcat.consume(far.address, "t").count(b"\n") == 5000
    assert far.terminate() == 0

    def asked(method, part, listing=False):
        log = store.log_path.read_text(errors="replace")
        return sum(("list-type" in line) == listing for line in
                   re.findall(rf'"{method} (/\S*{part}\S*) HTTP', log))

    data_puts, data_gets = asked("PUT", "/v1/d/"), asked("GET", "/v1/d/")
    journal_puts = asked("PUT", "/v1/j/")
    lists = asked("GET", "", True)
    far.start(60)
    document = cost_of(far)
    records, journal = sums(document, "records"), sums(document, "journal")
    assert records["put"] + records["put_new"] == data_puts >= 1, (records, data_puts)
    assert records["get"] >= data_gets  # and the cluster's object
    told = journal["put"] + journal["put_new"]
    assert journal_puts - 5 <= told <= asked("PUT", "/v1/"), (journal, journal_puts)
    assert lists - 5 <= journal["list"] <= asked("GET", "", True), (journal, lists)
    assert document["store"] == "own" and document["hanse"]["dollars"] == 0
    far.kill()


with Scenario() as s:
    node = s.node(environment={"HANSE_TEST_USAGE_MS": str(REPORT_MS)})
    node.start()
    text = b"".join(b"line %d\n" % i for i in range(20000))
    for i in range(10):
        kcat.produce(node.address, "t", text)
    for i in range(2):
        assert kcat.consume(node.address, "t").count(b"\n") == 200000

    def told():
        """The document, once everything so far is in it."""
        document = cost_of(node)
        records = sums(document, "records")
        return document if records and records["put"] == len(files(s, "d")) else None

    with s.test("as many files were put as lie in the bucket, with as many bytes"):
        document = wait_until(told, TOLD_S, "the agent's report")
        records = sums(document, "records")
        assert records["sent_bytes"] == sum(path.stat().st_size for path in files(s, "d"))
        assert records["errors"] == 0
        stored = document["measured"]["stored"]
        assert stored["files"] == len(files(s, "d"))
        assert stored["bytes"] == records["sent_bytes"]

    with s.test("what clients wrote was read twice"):
        document = wait_until(lambda: (d := cost_of(node))["load"]["fan_out"] > 1.99 and d, TOLD_S,
                              "what was fetched")
        records = sums(document, "records")
        assert records["fetched_bytes"] == 2 * records["produced_bytes"], records
        assert 0.9 * records["sent_bytes"] < records["produced_bytes"] < records["sent_bytes"]

    with s.test("the journal is counted, all but the last few records"):
        document = cost_of(node)
        puts = sums(document, "journal")
        lying = len(files(s, "j"))
        assert lying - 20 <= puts["put"] + puts["put_new"] <= lying + 5, (puts, lying)

    with s.test("an idle node puts nothing into the bucket"):
        time.sleep(5 * REPORT_MS / 1000)
        before = len(files(s, "j"))
        time.sleep(10 * REPORT_MS / 1000)
        assert len(files(s, "j")) == before

    with s.test("a restart keeps the sums and goes on from them"):
        before = sums(cost_of(node), "records")
        assert node.terminate() == 0
        node.start()
        after = sums(cost_of(node), "records", "in_all")
        assert after["put"] == before["put"], (before, after)
        assert after["since_ms"] == before["since_ms"]
        kcat.produce(node.address, "t", text)
        wait_until(told, TOLD_S, "the report after the restart")

    with s.test("a kill loses at most what was not told, and invents nothing"):
        before = sums(cost_of(node), "records")["put"]
        kcat.produce(node.address, "t", text)
        node.kill()
        node.start()
        wait_until(lambda: sums(cost_of(node), "records")["put"] >= before, TOLD_S, "the sums")
        assert before <= sums(cost_of(node), "records")["put"] <= len(files(s, "d"))

    with s.test("what is in memory is told before an orderly stop"):
        slow = s.node("b", bucket=f"file:{s.scratch}/bucket-b")
        slow.start()
        kcat.produce(slow.address, "t", text)
        assert sums(cost_of(slow), "records") is None  # a minute has not passed
        assert slow.terminate() == 0
        slow.start()
        put = sums(cost_of(slow), "records")["put"]
        lying = [p for p in Path(s.scratch, "bucket-b", "v1", "d").rglob("*") if p.is_file()]
        assert put == len(lying) > 0
        slow.kill()

    with s.test("the node that takes over has the sums, and the one that stands by says who has"):
        second = s.node("c", bucket=node.bucket, environment=node.environment)
        second.launch()
        wait_until(lambda: "stands by" in second.log(), TOLD_S, "the second node")
        done = cost(second, "--kafka", second.address, "--run-dir", str(second.run_dir))
        assert done.returncode == 4 and f"127.0.0.1:{node.peer_port}" in done.stderr, done
        before = sums(cost_of(node), "records")
        node.kill()
        second.wait_serving()
        after = sums(cost_of(second), "records", "in_all")
        assert after["put"] >= before["put"] and after["since_ms"] == before["since_ms"]
        second.terminate()
        node.start()

    with s.test("an S3 store was asked as often as its own log says"):
        check_store(s)

    with s.test("the document is stable, and its sums are those of its lines"):
        first, second = cost_of(node, "--store", "aws-s3"), cost_of(node, "--store", "aws-s3")
        assert list(first) == list(second) == [
            "source", "store", "prices", "measured", "load", "hanse", "kafka", "managed_kafka",
            "beside", "notes"]
        assert first["measured"]["buckets"] == second["measured"]["buckets"]
        for sheet in ("hanse", "kafka", "managed_kafka"):
            assert first[sheet]["is_complete"]
            exact = sum(row["count"] * row["price"]["dollars"] /
                        {"1,000": 1000, "1,000,000": 1000000}.get(row["price"]["unit"], 1)
                        for row in first[sheet]["lines"])
            assert abs(exact - first[sheet]["dollars"]) < 0.01, (sheet, exact)
        records = sums(first, "records")
        put = line(first, "hanse", "records: put")
        scale = 2628000 / first["measured"]["measured_s"]
        assert abs(put["count"] - records["put"] * scale) < 1, (put, scale)

    with s.test("another price is another sum, and nothing else changes"):
        mine = s.scratch / "mine.conf"
        mine.write_text("# mine\naws-s3 put 50 1000-requests 2026-11-22 yours -\n")
        flags = ("--gb-month", "100", "--fan-out", "2", "--retention-days", "7", "--json")
        plain = json.loads(cost(node, *flags).stdout)
        dear = json.loads(cost(node, *flags, "--prices", str(mine)).stdout)
        assert plain["hanse"]["dollars"] == 460.51, plain["hanse"]["dollars"]
        assert dear["hanse"]["dollars"] == 4599000.61, dear["hanse"]["dollars"]
        assert plain["kafka"] == dear["kafka"]
        assert plain["source"] == "flags" and plain["measured"] is None

    with s.test("a price from long ago is told"):
        mine.write_text("aws-s3 put 0.005 1000-requests 2020-01-01 read https://example.org\n")
        old = json.loads(cost(node, *flags, "--prices", str(mine)).stdout)
        assert old["prices"]["is_old"] and old["prices"]["oldest"] == "2020-01-01"
        assert any("days old" in note for note in old["notes"])
        assert not plain["prices"]["is_old"]

    with s.test("text says the same as the document"):
        shown = cost(node, "--gb-month", "2628", "--fan-out", "2", "--retention-days", "7").stdout
        for wanted in ("475.82", "210.24", "746.46", "459.90 ", "Here Hanse loses",
                       "read on 2026-11-21", "464.04"):
            assert wanted in shown, (wanted, shown)
        shown = cost(node, "--kafka", node.address, "--run-dir", str(node.run_dir)).stdout
        assert "This month, " in shown and "In all:" in shown, shown

    with s.test("mistakes are named"):
        for words, status, wanted in (
                (("--gb-month", "many"), 2, "--gb-month many is not a number"),
                (("--gb-month", "1", "--agents", "0"), 2, "--agents 0 is not a number from 1"),
                (("--fan-out", "2"), 2, "goes with --gb-month"),
                (("--gb-month", "1", "--store", "wasabi"), 2, 'no prices of "wasabi"'),
                (("--gb-month", "1", "--prices", "/nowhere"), 1, "cannot be read"),
                (("--kafka", "127.0.0.1:1"), 4, "--gb-month")):
            done = cost(node, *words)
            assert done.returncode == status and wanted in done.stderr, (words, done)
        mine.write_text("aws-s3 put free\n")
        done = cost(node, "--gb-month", "1", "--prices", str(mine))
        assert done.returncode == 1 and "line 1" in done.stderr, done
