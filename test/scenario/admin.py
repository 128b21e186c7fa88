#!/usr/bin/env python3
"""What administrators do, through Apache Kafka's Java admin client: settings, deleted records,
partitions, the bucket as a directory, quotas; and a consumer with a fetch session.

Skipped by name where Java is missing, or Maven to fetch the client.
timeout: 300 s; runs beside others
"""

import os
import re
import subprocess
from pathlib import Path

import apache_kafka
from scenario import Scenario, say, skip_all

CLIENT_S = 150

why = apache_kafka.why_not()
if why:
    skip_all(f"Apache Kafka's admin client: {why}")

with Scenario() as s:
    node = s.node()
    node.start()
    source = Path(__file__).resolve().parent / "admin_client.java"
    done = subprocess.run([*apache_kafka.JAVA, "-cp", f"{apache_kafka.directory()}/libs/*",
                           str(source)], capture_output=True, text=True, timeout=CLIENT_S,
                          env=dict(os.environ, BROKER=node.address))
    for line in done.stdout.splitlines():
        word = re.match(r"(ok|not ok) (.*)", line)
        if not word:
            say(line)
            continue
        with s.test(word.group(2).split(": ")[0]):
            assert word.group(1) == "ok", word.group(2)
    with s.test("the admin client came to its end"):
        assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-3000:]}"
    with s.test("the node stops in an orderly way"):
        assert node.terminate() == 0
