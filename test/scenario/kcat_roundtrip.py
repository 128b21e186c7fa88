#!/usr/bin/env python3
"""What kcat writes, kcat reads: the same bytes, in the same order.

The package list of this machine, over a million lines, goes through the release build where there
is one; everything else through the build with sanitizers."""

import hashlib
import random
import subprocess
import time

import kcat as kcat_module
from kcat import KcatError, consume, kcat, produce
from node import program, release_program
from scenario import Scenario, say

LINES_WANTED = 1_000_000
LINES_SMALL = 20_000
PARTITIONS = 4


def package_lines(path):
    """Writes what a person would write: apt's list of packages, or something as long."""
    with open(path, "wb") as out:
        subprocess.run("apt-cache dumpavail 2>/dev/null | grep -v '^$' || true", shell=True,
                       stdout=out, check=True)
    with open(path, "rb") as found:
        count = sum(1 for _ in found)
    if count < LINES_WANTED:
        with open(path, "wb") as out:
            for i in range(LINES_WANTED + 1):
                digest = hashlib.md5(b"%d" % i).hexdigest()
                out.write(b"%d: %s\n" % (i, (digest * (1 + i % 4)).encode()))
        count = LINES_WANTED + 1
    return count


def same_bytes(a, b):
    return subprocess.run(["cmp", str(a), str(b)]).returncode == 0


def million_lines(s, node, path, count):
    with s.test(f"{count} lines come back as the same bytes"):
        back = s.scratch / "back"
        begin = time.monotonic()
        with open(path, "rb") as lines:
            kcat(node.address, "-P", "-t", "packages", stdin=lines)
        written = time.monotonic()
        with open(back, "wb") as out:
            kcat(node.address, "-C", "-t", "packages", "-o", "beginning", "-e", "-q", stdout=out)
        say(f"written in {written - begin:.1f} s, read in {time.monotonic() - written:.1f} s")
        assert same_bytes(path, back)
    with s.test("they come back from the bucket, too, when the node has forgotten everything"):
        node.kill()
        node.start()
        with open(back, "wb") as out:
            kcat(node.address, "-C", "-t", "packages", "-o", "beginning", "-e", "-q", stdout=out)
        assert same_bytes(path, back)
    back.unlink()


def codecs(s, node, lines):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        with s.test(f"records compressed with {codec} come back as the same bytes"):
            produce(node.address, f"with-{codec}", lines, "-z", codec)
            assert consume(node.address, f"with-{codec}", "-o", "beginning") == lines


def keys(s, node, lines):
    keyed = b"".join(b"%d:%s\n" % (i % 97, line)
                     for i, line in enumerate(lines.splitlines()))
    with s.test("records with keys keep their order within each partition, and none is missing"):
        produce(node.address, "keyed", keyed, "-K", ":")
        got = kcat_module.records(node.address, "keyed")
        assert {row[0] for row in got} == set(range(PARTITIONS)), "not all partitions are used"
        places, by_key = {}, {}
        for partition, offset, key, value in got:
            assert places.setdefault(key, partition) == partition, f"{key} is in two partitions"
            by_key.setdefault(key, []).append(value)
        for partition in range(PARTITIONS):
            offsets = [row[1] for row in got if row[0] == partition]
            assert offsets == list(range(len(offsets))), f"gaps in partition {partition}"
        wanted = {}
        for line in keyed.splitlines():
            key, value = line.split(b":", 1)
            wanted.setdefault(key, []).append(value)
        assert by_key == wanted


def offsets(s, node):
    with s.test("reading can begin ten records before the end, and at a time"):
        produce(node.address, "places", b"".join(b"early %d\n" % i for i in range(100)),
                "-p", "0")
        time.sleep(0.05)
        between_ms = int(time.time() * 1000)
        time.sleep(0.05)
        produce(node.address, "places", b"".join(b"late %d\n" % i for i in range(50)), "-p", "0")
        assert consume(node.address, "places", "-p", "0", "-o", "-10").splitlines() == \
            [b"late %d" % i for i in range(40, 50)]
        assert consume(node.address, "places", "-p", "0", "-o", f"s@{between_ms}").splitlines() \
            == [b"late %d" % i for i in range(50)]
        assert consume(node.address, "places", "-p", "0", "-o", "120", "-c", "1") == b"late 20\n"
        assert kcat(node.address, "-Q", "-t", f"places:0:{between_ms}").split()[-1] == b"100"


def headers_and_nulls(s, node):
    with s.test("headers, null values and empty keys are what they were"):
        produce(node.address, "details", b"a:x\nb:\n:y\n", "-K", ":", "-Z", "-p", "1",
                "-H", "first=1", "-H", "second=a=b")
        got = kcat(node.address, "-C", "-t", "details", "-e", "-q", "-o", "beginning",
                   "-p", "1", "-f", "%k|%s|%K|%S|%h\n").splitlines()
        headers = b"first=1,second=a=b"
        assert got == [b"a|x|1|1|" + headers, b"b||1|-1|" + headers, b"|y|-1|1|" + headers], got


def empty_and_large(s, node):
    with s.test("a record as large as a client may send comes back"):
        path = s.scratch / "large"
        path.write_bytes(b"0123456789abcdef" * 62_000)
        kcat(node.address, "-P", "-t", "large", "-p", "0", path)
        assert consume(node.address, "large", "-p", "0", "-D", "") == path.read_bytes()


def far_above_the_default(s):
    """In a sealed bucket, where ranges are of chunks; from memory and, after a kill, from there."""
    key = s.scratch / "hanse.key"
    node = s.node("sealed", bucket=f"file:{s.scratch}/sealed", options=["--key-file", key])
    node.start()
    path, text = s.scratch / "noise", s.scratch / "text"
    path.write_bytes(random.Random(20).randbytes(10 << 20))
    text.write_bytes(b"0123456789abcdef" * (15 << 16))
    larger = ["-X", f"message.max.bytes={20 << 20}"]
    files = [("none", path), ("zstd", path), ("lz4", text), ("none", text)]

    def check():
        for i, (_, source) in enumerate(files):
            assert consume(node.address, "huge", "-p", "0", "-o", i, "-c", "1", "-D", "") == \
                source.read_bytes()

    with s.test("a record of 10 MiB is refused where the topic does not allow it"):
        produce(node.address, "usual", b"small", "-p", "0")
        try:
            kcat(node.address, "-P", "-t", "usual", "-p", "0", *larger, path)
            raise AssertionError("it was taken")
        except KcatError as error:
            assert "too large" in str(error), error
    with s.test("with max.message.bytes of 20 MiB they come back, compressed or not"):
        for words in (["create", "huge"], ["config", "huge", f"max.message.bytes={20 << 20}"]):
            subprocess.run([program(), "topic", *words, "--kafka", node.address], check=True,
                           stdout=subprocess.DEVNULL)
        for codec, source in files:
            kcat(node.address, "-P", "-t", "huge", "-p", "0", "-z", codec, *larger, source)
        check()
    with s.test("from the bucket, too, and by time"):
        node.kill()
        node.start()
        check()
        assert kcat(node.address, "-Q", "-t", "huge:0:1").split()[-1] == b"0"
    node.terminate()


with Scenario() as s:
    lines_path = s.scratch / "lines"
    count = package_lines(lines_path)
    big = s.node("release", program=release_program(), bucket=f"file:{s.scratch}/big")
    big.start()
    million_lines(s, big, lines_path, count)
    big.terminate()

    with open(lines_path, "rb") as source:
        some = b"".join(line for _, line in zip(range(LINES_SMALL), source))
    node = s.node(options=["--default-partitions", PARTITIONS])
    node.start()
    one = s.node("one", bucket=f"file:{s.scratch}/one")
    one.start()
    codecs(s, one, some)
    one.terminate()
    keys(s, node, some)
    offsets(s, node)
    headers_and_nulls(s, node)
    empty_and_large(s, node)
    node.terminate()
    far_above_the_default(s)
