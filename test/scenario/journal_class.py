#!/usr/bin/env python3
"""What a directory is trusted with: create-if-absent (class cas, on local file systems) or only
read-after-write (class raw).  Both lead, are killed and go on; and nodes that do not agree."""
# one run only: nothing acknowledged may depend on luck

import kcat
from scenario import Scenario, say, wait_until

COUNT = 200
SAYS = "relies on create-if-absent in bucket 0, which is configured here as class raw"


def lines(first):
    return b"".join(b"record %d\n" % number for number in range(first, first + COUNT))


def names(s, what):
    return [path for path in s.scratch.glob(f"bucket/v1/j/main/{what}")]


with Scenario() as s:
    bucket = f"file:{s.scratch}/bucket"
    written = 0

    def serve_and_write(name, url):
        global written
        node = s.node(name, bucket=url)
        say(f"{name} serves after {node.start():.2f} s")
        kcat.produce(node.address, "words", lines(written))
        written += COUNT
        expected = b"".join(lines(first) for first in range(0, written, COUNT))
        assert kcat.consume(node.address, "words", "-o", "beginning") == expected
        node.kill()

    with s.test("class raw: what was acknowledged survives kill -9, twice"):
        serve_and_write("raw-1", f"{bucket}?class=raw")
        serve_and_write("raw-2", f"{bucket}?class=raw")
        assert not names(s, "epoch/*-cas")

    with s.test("class cas takes over from class raw, and from itself"):
        serve_and_write("cas-1", f"{bucket}?class=cas")
        serve_and_write("cas-2", bucket)
        assert len(names(s, "epoch/*-cas")) == 2

    with s.test("class raw does not take over from class cas, and says why"):
        node = s.node("raw-3", bucket=f"{bucket}?class=raw")
        node.launch()
        wait_until(lambda: SAYS in node.log(), 15, "the refusal")
        assert not node.is_serving()
        node.kill()

    with s.test("with the right class it goes on"):
        serve_and_write("cas-3", bucket)
