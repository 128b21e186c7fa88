#!/usr/bin/env python3
"""The Java client's exactly-once, which speaks the second protocol of transactions: kill -9 of the
agent and of control in the middle, and every result is there once.   timeout: 300 s"""

import os
import signal
import subprocess
import threading

import apache_kafka
import kcat
from scenario import Scenario, say, skip_all, wait_until

RECORDS = 2000
HERE = os.path.dirname(os.path.abspath(__file__))

why = apache_kafka.why_not()
if why:
    skip_all(f"the Java client: {why}")

with Scenario() as s:
    node = s.node("a", options=["--default-partitions", 2])
    node.start()
    kcat.produce(node.address, "source", b"".join(b"%d\n" % number for number in range(RECORDS)))
    worker = s.spawn(*apache_kafka.JAVA, "-cp", f"{apache_kafka.directory()}/libs/*",
                     os.path.join(HERE, "ExactlyOnce.java"), stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT,
                     env=dict(os.environ, BROKER=node.address, COUNT=str(RECORDS)))
    lines = []
    threading.Thread(target=lambda: [lines.append(line.decode()) for line in worker.stdout],
                     daemon=True).start()

    def committed():
        return sum(line.startswith("committed") for line in lines)

    def progress(what):
        before = committed()
        wait_until(lambda: committed() > before or worker.poll() is not None, 120, what)

    with s.test("exactly-once of the Java client lives through kill -9 of agent and control"):
        progress("the worker commits")
        for role in ("streams", "control"):
            assert node.signal(signal.SIGKILL, role)
            progress(f"it goes on without the {role} it knew: {lines[-3:]}")
        wait_until(lambda: worker.poll() is not None, 150, "the whole of the source")
        assert worker.returncode == 0, lines[-10:]
        values = sorted(int(row[3]) for row in kcat.records(node.address, "target"))
        assert values == list(range(RECORDS)), \
            f"{len(values)} results, {len(set(values))} different ones, of {RECORDS}"
        say(f"{committed()} commits, {sum(line.startswith('aborted') for line in lines)} aborts, "
            f"{sum(line.startswith('again') for line in lines)} errors")

    with s.test("Kafka's own tool describes the transactional id, whose epochs went up"):
        said = apache_kafka.run("transactions", "--bootstrap-server", node.address, "describe",
                                "--transactional-id", "java-worker")
        row = said.splitlines()[-1].split()
        assert "CompleteCommit" in said, said
        assert int(row[row.index("java-worker") + 2]) > committed() // 2, said
