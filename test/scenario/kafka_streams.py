#!/usr/bin/env python3
"""A Kafka Streams program counts words, exactly once: it is killed in the middle, loses its disk,
is started again, and every word is counted once all the same.

Skipped by name where Java is missing, or Maven to fetch Kafka Streams.
timeout: 900 s; runs beside others
"""

import collections
import shutil
import subprocess

import apache_kafka
from kcat import KcatError, consume, produce
from scenario import ROOT, Scenario, say, skip_all, wait_until

WORDS = ("hanse", "cog", "kontor", "salt", "herring")
LINES = 400
PROGRESS_S = 240  # patience: Java programs on what may be a busy machine

why = apache_kafka.why_not() or (None if shutil.which("javac") else "javac is not installed")
if why:
    skip_all(f"Kafka Streams: {why}")


def lines(first):
    """Each word as often as its number, a line at a time."""
    return [" ".join(WORDS[:1 + number % len(WORDS)]) for number in range(first, first + LINES)]


def counts(broker):
    """What is committed: {word: [its counts in order]}"""
    found = collections.defaultdict(list)
    try:
        out = consume(broker, "counts", "-o", "beginning", "-X", "isolation.level=read_committed",
                      "-f", "%k %s\n")
    except KcatError:  # nobody has counted yet
        return found
    for line in out.decode().splitlines():
        word, count = line.split()
        found[word].append(int(count))
    return found


with Scenario() as s:
    node = s.node(options=["--default-partitions", 2])
    node.start()
    place = s.scratch / "classes"
    subprocess.run(["javac", "-cp", f"{apache_kafka.directory()}/libs/*", "-d", place,
                    ROOT / "test/interop/WordCount.java"], check=True, timeout=120)
    for topic in ("lines", "counts"):
        apache_kafka.run("topics", "--bootstrap-server", node.address, "--create", "--topic",
                         topic, "--partitions", 2)

    def start(number):
        command = apache_kafka.command("WordCount", node.address, s.scratch / f"state{number}")
        command[command.index("-cp") + 1] += f":{place}"
        with open(s.scratch / f"streams{number}.log", "w") as log:
            return s.spawn(*command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def total():
        return sum(len(found) for found in counts(node.address).values())

    def show(number):
        log = (s.scratch / f"streams{number}.log").read_text(errors="replace")
        for line in log.splitlines()[-12:]:
            say(line[:200])

    written = lines(0)
    produce(node.address, "lines", "\n".join(written).encode())
    with s.test("a program that counts words begins"):
        streams = start(1)
        try:
            wait_until(lambda: total() > 0, PROGRESS_S, "the first counts are committed")
        finally:
            show(1)
    with s.test("killed in the middle and without its disk it goes on, and counts each word once"):
        more = lines(LINES)
        produce(node.address, "lines", "\n".join(more).encode())
        streams.kill()
        streams.wait()
        streams = start(2)
        wanted = collections.Counter(word for line in written + more for word in line.split())
        try:
            wait_until(lambda: total() >= wanted.total(), PROGRESS_S, "everything is counted")
        finally:
            show(2)
        found = counts(node.address)
        assert set(found) == set(wanted), found.keys()
        for word, many in found.items():
            assert many == list(range(1, wanted[word] + 1)), (word, wanted[word], many[-5:])
