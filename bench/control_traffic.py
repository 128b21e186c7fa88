#!/usr/bin/env python3
"""Counts what passes between control and an agent while records are produced.

usage: bench/control_traffic.py HANSE     (the built program)

Control and the agent run apart, with keys of their own, and between them is a TCP proxy that counts
the bytes it passes, in both directions, with all that TLS adds: from the time before the first
record until every record is acknowledged.  kcat (librdkafka) produces to 4 partitions; its batches
hold 1 MB, its default, or 16 KiB, which is what the Java client has.

MIB   how much each load produces (256)
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "scenario"))

from node import Node, answers_kafka  # noqa: E402
from proxy import Proxy  # noqa: E402

SCRATCH = ROOT / "build" / "bench" / "control-traffic"
MIB = int(os.environ.get("MIB", "256"))
START_LIMIT_S = 20
SETTLE_S = 0.5
BATCHES = ((1_000_000, "1 MB"), (16384, "16 KiB"))
RECORDS = ((1024, "1 KiB"), (100, "100 B"))
# How long the puts of data files take: as the directory does it, or as in S3 (s3_latency.py).
STORES = (("directory", ""), ("as slow as S3", "fault_put_ms=100-195&fault_mb_per_s=85"))


def make_records(size):
    path = SCRATCH / f"records-{size}"
    line = os.urandom(size).replace(b"\n", b"x").replace(b"\0", b"y") + b"\n"
    with open(path, "wb") as out:
        for _ in range(MIB):
            out.write(line * ((1 << 20) // size))
    return path, MIB * ((1 << 20) // size)


def start(program, store):
    place = SCRATCH / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    key = place / "key"
    subprocess.run([program, "key", "new", "--key-file", key], check=True, capture_output=True)
    faults = {"HANSE_TEST_FAULTS": "1"}
    bucket = f"fault:file:{place}/records?{store}" if store else f"file:{place}/records"
    control = Node(place, "control", bucket=False, run_dir=place / "run", program=program,
                   options=["--roles", "control", "--journal", f"file:{place}/journal",
                            "--key-file", key, "--default-partitions", 4])
    proxy = Proxy(control.peer_port, records=False)
    agent = Node(place, "agent", bucket=bucket, run_dir=place / "no-run", program=program,
                 options=["--roles", "streams", "--control", f"127.0.0.1:{proxy.port}",
                          "--key-file", key], environment=faults)
    control.launch()
    agent.launch()
    begin = time.monotonic()
    while not answers_kafka(agent.port):
        if time.monotonic() > begin + START_LIMIT_S:
            print(control.log(), agent.log(), file=sys.stderr)
            sys.exit("the agent does not serve")
        time.sleep(0.02)
    return control, agent, proxy


def produce(agent, path, batch_bytes):
    begin = time.monotonic()
    subprocess.run(["kcat", "-b", agent.address, "-t", "load", "-P", "-l", path, "-X",
                    f"batch.size={batch_bytes}", "-X", "topic.request.required.acks=-1"],
                   check=True, timeout=300)
    return time.monotonic() - begin


def measure(program, store, batch_bytes, path, produced_bytes):
    control, agent, proxy = start(program, store)
    try:
        subprocess.run(["kcat", "-b", agent.address, "-t", "load", "-P"], input=b"first\n",
                       check=True, timeout=60)
        time.sleep(SETTLE_S)
        before = dict(proxy.size_of)
        took_s = produce(agent, path, batch_bytes)
        passed = {way: proxy.size_of[way] - before[way] for way in before}
    finally:
        agent.kill()
        control.kill()
        proxy.close()
    share = (1 << 30) / produced_bytes
    return passed["to"] * share, passed["from"] * share, produced_bytes / took_s / 1e6


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not shutil.which("kcat"):
        sys.exit("bench/control_traffic.py needs kcat")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    program = str(Path(sys.argv[1]).resolve())
    print("between control and agent, for each GiB produced:")
    for size, record in RECORDS:
        path, count = make_records(size)
        for name, store in STORES:
            for batch_bytes, batch in BATCHES:
                to_control, to_agent, rate = measure(program, store, batch_bytes, path,
                                                     count * size)
                print(f"  records of {record}, batches of {batch}, {name}: "
                      f"{to_control / 1e3:.0f} kB to control, {to_agent / 1e3:.0f} kB from it, "
                      f"{(to_control + to_agent) / (1 << 30) * 100:.3f} % (at {rate:.0f} MB/s)")
        path.unlink()
    shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
