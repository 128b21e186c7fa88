#!/usr/bin/env python3
# runs beside others
# What a crash leaves in the bucket between a put and its commit is found and deleted, what can be
# read is not; and `hanse fsck` knows what every object is, beside a running cluster and without.

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import kcat
from scenario import Scenario, wait_until

SOON_MS = 200
LIMIT_S = 60
# Some puts are slow: files that were put meanwhile wait for them with their commits.
SLOW = "fault_put_ms=20-40&fault_slow_ppm=300000&fault_slow_ms=1500"


def fsck(node, s, *words):
    command = [node.program, "fsck", "--json", "--bucket", "file:" + str(Path(s.scratch, "bucket")),
               "--journal", "file:" + str(Path(s.scratch, "journal")), *words]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT_S)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    return done.returncode, json.loads(done.stdout)


def data_files(s):
    return [path for path in Path(s.scratch, "bucket", "v1", "d").rglob("*") if path.is_file()]


def produce_until(node, kill):
    """kill() while a producer has files in the bucket that are not committed."""
    lines = b"".join(b"%06d %s\n" % (i, b"x" * 1000) for i in range(3000))
    killer = threading.Timer(1.5, kill)
    killer.start()
    try:
        kcat.kcat(node.address, "-P", "-t", "load", "-X", "linger.ms=2", "-X",
                  "batch.num.messages=20", "-X", "message.timeout.ms=4000", "-X",
                  "retries=0", input=lines, timeout_s=LIMIT_S)
    except kcat.KcatError:
        pass  # its broker was killed
    killer.join()


def kill_agent_under_load(node):
    pid = node.role_pid("streams")
    produce_until(node, lambda: os.kill(pid, signal.SIGKILL))
    wait_until(lambda: node.role_pid("streams") not in (None, pid), LIMIT_S, "another agent")
    wait_until(node.is_serving, LIMIT_S, "Kafka is served again")


with Scenario() as s:
    Path(s.scratch, "bucket").mkdir()
    node = s.node(bucket="fault:file:%s?%s" % (Path(s.scratch, "bucket"), SLOW),
                  options=["--journal", "file:" + str(Path(s.scratch, "journal"))],
                  environment={"HANSE_TEST_FAULTS": "1",
                               "HANSE_TEST_ORPHANS_MS": str(SOON_MS),
                               "HANSE_TEST_DATA_GRACE_MS": "3000"})
    node.start()
    kept = b"".join(b"kept %d\n" % i for i in range(200))
    kcat.produce(node.address, "kept", kept)

    with s.test("F4: fsck names what a killed agent left, while the cluster runs"):
        found = {}
        for _ in range(8):
            kill_agent_under_load(node)
            code, found = fsck(node, s)
            assert code == 0, found
            if found["objects"]["orphaned"] + found["objects"]["dead"] > 0:
                break
        assert found["objects"]["orphaned"] + found["objects"]["dead"] > 0, found
        assert found["objects"]["live"] > 0 and found["objects"]["newer"] == 0

    with s.test("the scan deletes it, and nothing that is read"):
        def is_clean():
            live = fsck(node, s)[1]["objects"]
            return live["live"] == sum(live.values()) == len(data_files(s))
        wait_until(is_clean, LIMIT_S, "there are only files that are read")
        assert kcat.consume(node.address, "kept") == kept
        lines = kcat.consume(node.address, "load").splitlines()
        assert all(len(line) == 1007 for line in lines)

    with s.test("G5: what a whole cluster left that nobody remembers stays until --settle"):
        for _ in range(8):
            produce_until(node, node.kill)
            node.start()
            code, found = fsck(node, s)
            assert code == 0 and found["objects"]["orphaned"] == 0, found
            if found["objects"]["unsure"] > 0:
                break
        unsure = {other["key"] for other in found["others"] if other["is"] == "unsure"}
        assert unsure, found
        passes = node.log().count("objects of records were listed")
        kcat.produce(node.address, "kept", b"and one\n")
        wait_until(lambda: node.log().count("objects of records were listed") > passes,
                   LIMIT_S, "the scan has gone over them")
        assert all(Path(s.scratch, "bucket", key).exists() for key in unsure)
        subprocess.run([node.program, "fsck", "--settle", "--kafka", node.address, "--run-dir",
                        str(node.run_dir)], check=True, timeout=LIMIT_S)
        wait_until(is_clean, LIMIT_S, "there are only files that are read")
        assert kcat.consume(node.address, "kept") == kept + b"and one\n"

    with s.test("fsck without any node reads every byte"):
        node.terminate()
        code, found = fsck(node, s, "--deep")
        assert code == 0 and not found["wrong"], found

    with s.test("fsck names what is missing and what is damaged"):
        files = sorted(data_files(s), key=lambda path: path.stat().st_size)
        largest, other = files[-1], files[0]
        body = bytearray(largest.read_bytes())
        body[len(body) // 2] ^= 1
        os.chmod(largest, 0o600)
        largest.write_bytes(body)
        other.unlink()
        code, found = fsck(node, s, "--deep")
        whats = {wrong["what"] for wrong in found["wrong"]}
        assert code == 1 and whats == {"is damaged", "is not in the bucket"}, found
