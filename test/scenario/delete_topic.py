#!/usr/bin/env python3
# The bytes of a deleted topic leave the bucket, and nothing else does.

import subprocess
from pathlib import Path

import kcat
from scenario import Scenario, wait_until

GRACE_MS = 300
GONE_S = 20


def hanse(node, *words):
    return subprocess.run([node.program, *words, "--kafka", node.address], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def data_files(s):
    return [path for path in Path(s.scratch, "bucket", "v1", "d").rglob("*") if path.is_file()]


with Scenario() as s:
    node = s.node(environment={"HANSE_TEST_DATA_GRACE_MS": str(GRACE_MS)})
    node.start()
    kept = b"".join(b"kept %d\n" % i for i in range(1000))
    for i in range(5):
        kcat.produce(node.address, "gone", b"x\n" * 20000)
    of_gone = set(data_files(s))
    kcat.produce(node.address, "kept", kept)
    of_kept = set(data_files(s)) - of_gone  # one, or more where kcat had no time to fill it

    with s.test("a topic's files stay as long as it is there"):
        assert of_gone and of_kept
        assert kcat.consume(node.address, "kept") == kept

    with s.test("a deleted topic is gone at once"):
        done = hanse(node, "topic", "delete", "gone")
        assert done.returncode == 0, done.stderr
        assert hanse(node, "topic", "describe", "gone").returncode == 3

    with s.test("its bytes leave the bucket after the grace, those of others stay"):
        assert set(data_files(s)) >= of_gone  # it could be brought back
        done = hanse(node, "topic", "purge", "gone", "--execute", "--run-dir", str(node.run_dir))
        assert done.returncode == 0, done.stderr
        wait_until(lambda: set(data_files(s)) == of_kept, GONE_S, "the kept topic's are left")
        assert kcat.consume(node.address, "kept") == kept

    with s.test("the name can be used again, for another topic"):
        kcat.produce(node.address, "gone", b"new\n")
        assert kcat.consume(node.address, "gone") == b"new\n"

    with s.test("after a kill -9 it is still so"):
        node.kill()
        node.start()
        assert kcat.consume(node.address, "kept") == kept
        assert kcat.consume(node.address, "gone") == b"new\n"
