#!/usr/bin/env python3
"""A store that is far away and not at its best: slow, sometimes very slow, refuses, fails after it
did what was asked, answers never, lists what was there a while ago.  Processes are killed on top.
Nothing acknowledged is lost or there twice, and answers come all the time.

The stores are fault buckets (src/buckets/fault.h), for data and journal, in both classes.
SEED=n repeats the choices, ROUNDS=n makes it longer.  Never skipped.  timeout: 400 s"""

import os
import signal
import time

import kcat
from kafka import Client
from rdkafka import NumberedWriter, check_exactly_once, check_prefix
from scenario import Scenario, say

ROUNDS = int(os.environ.get("ROUNDS", "5"))
PARTITIONS = 4
RECORDS_PER_S = 200
FAULTS = {"HANSE_TEST_FAULTS": "1"}
# A third of S3's latencies, so that more happens; one request in fifty takes a second.
SLOW = ("fault_put_ms=30-70&fault_get_ms=20-30&fault_other_ms=20-30&fault_mb_per_s=85"
        "&fault_slow_ppm=20000&fault_slow_ms=1000")
DATA_FAULTS = ("fault_before_ppm=10000&fault_after_ppm=10000&fault_lost_ppm=3000"
               "&fault_lost_ms=2000&fault_slow_down_ppm=2000&fault_slow_down_ms=300"
               "&fault_stale_ms=2000")
# A leader with one bucket gives up what it has when that fails, and begins again.
JOURNAL_FAULTS = "fault_after_ppm=2000&fault_lost_ppm=1000&fault_lost_ms=2000"


def store(scratch, name, kind, faults, seed):
    (scratch / name).mkdir(exist_ok=True)
    return f"fault:file:{scratch}/{name}?class={kind}&fault_seed={seed}&{SLOW}&{faults}"


def run(s, random, kind):
    journal = store(s.scratch, f"journal-{kind}", kind, JOURNAL_FAULTS, random.randrange(1 << 30))
    data = store(s.scratch, f"data-{kind}", kind, DATA_FAULTS, random.randrange(1 << 30))
    node = s.node(kind, bucket=data, environment=FAULTS,
                  options=["--journal", journal, "--default-partitions", PARTITIONS])
    topic, seen = f"ledger-{kind}", []
    node.start()
    with Client(node.port) as client:
        client.metadata([topic])
    writer = NumberedWriter(node.address, topic, PARTITIONS, RECORDS_PER_S)
    writer.start()
    with s.test(f"{kind}: {ROUNDS} rounds of kill -9 change nothing that was read before"):
        for number in range(ROUNDS):
            time.sleep(random.uniform(1, 3))
            target = random.choice(["nobody", "streams", "control", "all"])
            if target == "all":
                node.kill()
                node.start()
            elif target != "nobody":
                node.signal(signal.SIGKILL, target)
                time.sleep(0.05)
                node.wait_serving()
            with writer.paused():
                now = kcat.records(node.address, topic)
            check_prefix(seen, now)
            seen = now
            say(f"round {number}: killed {target}; {len(writer.acknowledged)} of {writer.count} "
                "acknowledged")
            assert writer.error is None, writer.error
    with s.test(f"{kind}: every record is acknowledged in the end, and there exactly once"):
        writer.stop()
        assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        assert len(writer.acknowledged) == writer.count > 0
        final = kcat.records(node.address, topic)
        check_exactly_once(writer, final)
        check_prefix(seen, final)
        say(f"{writer.count} records")
    with s.test(f"{kind}: a node that is stopped waits for nothing it does not need"):
        begin = time.monotonic()
        assert node.terminate() == 0
        say(f"stopped in {time.monotonic() - begin:.1f} s")


with Scenario() as s:
    random = s.seed()
    for kind in ("cas", "raw"):
        run(s, random, kind)
