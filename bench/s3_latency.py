#!/usr/bin/env python3
"""Measures a broker whose store is as slow as S3, with the bound and the budget of each figure.

usage: bench/s3_latency.py HANSE PROGRAMS     (the built program, and where kafka_load is)

The store is a fault bucket (src/buckets/fault.h): a directory that takes the time of S3.  Its time
covers that of the directory below it, which is in memory (/dev/shm) where there is enough.

SECONDS   about how long each load should take (10)
ONLY      own, cas or raw: only with that journal
"""

import os
import re
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
import end_to_end as common  # noqa: E402

SECONDS = float(os.environ.get("SECONDS", "10"))
MEMORY_FREE_BYTES = 8 << 30
MIB = 1 << 20

# As published for S3 Standard: median and 99th percentile in ms, and MB/s of one connection.
PUT_P50, PUT_P99, GET_P50, GET_P99, STREAM_MB_S = 100, 195, 63, 78, 85
PARTITIONS = 4
WARM_S = 3  # of kafka_load's open loop, which is not in the latencies
UPLOADS = 16  # FILE_WRITER_UPLOADS_FAR_MAX
RATES = (20, 200)  # records of 1 KiB a second: fewer and more than the budget of puts
STORE = (f"fault_put_ms={PUT_P50}-{PUT_P99}&fault_get_ms={GET_P50}-{GET_P99}"
         f"&fault_other_ms={GET_P50}-{GET_P99}&fault_mb_per_s={STREAM_MB_S}")
STRAGGLERS = "&fault_slow_ppm=10000&fault_slow_ms=1000"
# The way of a data file, in the histograms of /metrics: it is announced beside its put (decision
# 0046), and the last two are those of the journal's records, within announcements and commits.
STAGES = (("open", "file_open_duration"), ("put", "file_put_duration"),
          ("announced beside it", "file_announcement_duration"),
          ("turn", "file_turn_duration"), ("commit", "file_commit_duration"),
          ("sealed after", "journal_seal_wait"), ("durable after", "journal_commit_duration"))
JOURNALS = {
    "own": "journal in a directory",
    "cas": "journal in the store, class cas",
    "raw": "journal in the store, class raw",
}


def place():
    """A directory for the bytes of the store."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_FREE_BYTES:
        return Path(tempfile.mkdtemp(prefix="hanse-bench-", dir=memory))
    common.SCRATCH.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="store-", dir=common.SCRATCH))


def requests_of(file):
    """verb -> (count, bytes), as the bucket reported when it was closed."""
    found = {}
    for line in Path(file).read_text().splitlines():
        verb, count, size = line.split()
        found[verb] = (int(count), int(size))
    return found


class Store:
    """One broker on empty buckets, with a journal of one kind."""

    def __init__(self, program, directory, journal, partitions=PARTITIONS, extra=""):
        self.root = directory
        self.reports = {}
        for name in ("data", "journal", "run"):
            (directory / name).mkdir(parents=True)
        data = self.url("data", "cas" if journal != "raw" else "raw", extra)
        if journal == "own":
            on_disk = common.SCRATCH / "s3-latency-journal"
            shutil.rmtree(on_disk, ignore_errors=True)
            on_disk.mkdir(parents=True)
            where = f"file:{on_disk}"
        else:
            where = self.url("journal", journal, extra)
        self.metrics = f"127.0.0.1:{common.free_port()}"
        self.broker = common.Broker(program, directory, ["--bucket", data, "--journal", where,
                                                         "--metrics", self.metrics], partitions)

    def url(self, name, kind, extra):
        self.reports[name] = self.root / f"{name}.requests"
        return (f"fault:file:{self.root}/{name}?class={kind}&fault_seed=1&{STORE}"
                f"&fault_report={self.reports[name]}{extra}")

    def stages(self):
        """Stage -> mean in ms, of all since the start."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = {}
        for stage, name in STAGES:
            total, count = (sum(float(v) for v in re.findall(
                rf"^hanse_{name}_seconds_{what}(?:{{.*?}})? (\S+)", text, re.M))
                for what in ("sum", "count"))
            if count:
                found[stage] = 1000 * total / count
        return found

    def __enter__(self):
        self.broker.start()
        return self.broker

    def __exit__(self, *unused):
        if self.broker.process.poll() is None:
            self.broker.stop()
        self.requests = {name: requests_of(file) if file.exists() else {}
                         for name, file in self.reports.items()}
        for name in ("data", "journal"):
            shutil.rmtree(self.root / name)


def asked(requests, idle):
    """PUTs, GETs, LISTs and bytes put by a load; what a start alone asks is not counted."""
    def more(verbs, what):
        return sum(requests[v][what] - idle[v][what] for v in verbs)
    return (more(("put", "put_new"), 0), more(("get", "head"), 0), more(("list",), 0),
            more(("put", "put_new"), 1))


def say_requests_per_s(requests, idle, seconds):
    puts, gets, lists, size = asked(requests, idle)
    return (f"{puts / seconds:.1f} PUT/s of {size / max(puts, 1) / 1e3:.0f} kB, "
            f"{gets} GET, {lists} LIST")


def say_requests_per_gib(requests, idle, loaded_bytes):
    puts, gets, lists, size = asked(requests, idle)
    gib = loaded_bytes / common.GIB
    return (f"{puts / gib:.0f} PUT of {size / max(puts, 1) / 1e3:.0f} kB, {gets / gib:.0f} GET, "
            f"{lists / gib:.0f} LIST, {size / loaded_bytes:.3f} bytes put per byte")


def idle_requests(program, root, journal):
    store = Store(program, root / f"{journal}-idle", journal)
    with store:
        pass
    return store.requests


def run_open_loop(program, programs, directory, journal, rate, extra=""):
    store = Store(program, directory, journal, extra=extra)
    with store as broker:
        load = common.Load(broker, programs, "open-loop", "open-loop", rate, int(SECONDS))
        stages = store.stages()
    return load.said, store.requests, stages


def say_times(said, key):
    return (f"p50 {said[key + '_p50_ms']:.0f} ms, p99 {said[key + '_p99_ms']:.0f} ms, "
            f"max {said[key + '_max_ms']:.0f} ms")


def measure_latency(program, programs, root, journal, rate, table, idle):
    said, requests, stages = run_open_loop(program, programs, root / f"{journal}-{rate}", journal,
                                           rate)
    name = f"{rate} records/s, {JOURNALS[journal]}"
    trips, least = {"own": ("1 PUT", PUT_P50), "cas": ("2 PUTs", 2 * PUT_P50),
                    "raw": ("2 PUTs, 1 GET", 2 * PUT_P50 + GET_P50)}[journal]
    for key, what, budget in (("produce", "produce latency", "p50 130, p99 260 ms"),
                              ("end", "end-to-end latency", "p50 140, p99 280 ms")):
        table.add(f"{what}, {name}", say_times(said, key), f"{trips}: p50 {least} ms",
                  budget if journal != "raw" else "")
    table.add(f"stages of a file, {name}",
              ", ".join(f"{stage} {ms:.0f}" for stage, ms in stages.items()) + " ms on average")
    for bucket, found in requests.items():
        if found:
            table.add(f"requests to the {bucket} bucket, {name}",
                      say_requests_per_s(found, idle[bucket], SECONDS + WARM_S),
                      "", "25 PUT/s, 0 GET" if bucket == "data" else "")


def measure_stragglers(program, programs, root, table):
    said, *_ = run_open_loop(program, programs, root / "stragglers", "own", RATES[-1], STRAGGLERS)
    table.add("produce latency, 1 % of requests take 1 s", say_times(said, "produce"),
              "without a second request: max 1000 ms and more")


def measure_producer(program, programs, root, journal, table, idle):
    store = Store(program, root / f"{journal}-producer", journal, partitions=1)
    with store as broker:
        common.Load(broker, programs, "produce-default", "trial", 1024, 32 * MIB)
        load = common.Load(broker, programs, "produce-default", "one", 1024,
                           int(SECONDS * 60e6))
    put_s = PUT_P50 / 1e3 + 8 * MIB / 1e6 / STREAM_MB_S
    table.add(f"one default producer, one partition, {JOURNALS[journal]}",
              f"{load.rate():.0f} MB/s, CPU of the broker {load.cpu_per_gib():.2f} s/GiB",
              f"{UPLOADS} PUTs at a time: {UPLOADS * 8 * MIB / 1e6 / put_s:.0f} MB/s", "50 MB/s")
    for name, requests in store.requests.items():
        if requests:
            table.add(f"requests per GiB to the {name} bucket, {JOURNALS[journal]}",
                      say_requests_per_gib(requests, idle[name], load.said["bytes"] + 32 * MIB),
                      "128 PUT of 8 MiB" if name == "data" else "",
                      "128 PUT or 25 PUT/s" if name == "data" else "")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, programs = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    os.environ["HANSE_TEST_FAULTS"] = "1"
    root = place()
    table = common.Table()
    try:
        for journal in os.environ.get("ONLY", "own,cas,raw").split(","):
            idle = idle_requests(program, root, journal)
            for rate in RATES:
                measure_latency(program, programs, root, journal, rate, table, idle)
            if journal == "own":
                measure_stragglers(program, programs, root, table)
            measure_producer(program, programs, root, journal, table, idle)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    table.write()


if __name__ == "__main__":
    main()
