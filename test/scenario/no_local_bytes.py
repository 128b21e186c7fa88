#!/usr/bin/env python3
# Nothing durable is outside the bucket, and no record byte reaches control: seen from outside,
# in the system calls of a node that is written to and read from.

import re
import shutil
from pathlib import Path

import kcat
from scenario import Scenario, Skip, say, wait_until

CANARY = b"CANARY-8f31c7d2"
RECORDS = 2000
CALLS = ("open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
         "unlink,unlinkat,truncate,ftruncate,read,readv,pread64,preadv,recvfrom,recvmsg,write,"
         "writev,pwrite64,pwritev,sendto,sendmsg")
OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD|\d+<([^>]*)>), "([^"]*)", ([A-Z_|]+)')
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE")


def traces(s):
    return sorted(Path(s.scratch).glob("trace.*"))


def written_paths(trace):
    """What was opened for writing; names within a directory are told by the directory."""
    with open(trace, errors="replace") as lines:
        for line in lines:
            found = OPENED.search(line)
            if found and WRITES.search(found.group(3)) and "ENOENT" not in line:
                directory, name, flags = found.groups()
                yield name if name.startswith("/") else f"{directory or ''}/{name}"


with Scenario() as s:
    if not shutil.which("strace"):
        with s.test("a produce writes to the bucket only"):
            raise Skip("strace is not installed")
    else:
        trace = ["strace", "-ff", "-y", "-s", "200000", "-e", f"trace=execve,{CALLS}", "-o",
                 str(s.scratch / "trace"), "-e", "signal=none"]
        node = s.node(wrapper=trace)
        node.start()
        data = b"".join(CANARY + b" %d\n" % i for i in range(RECORDS))
        kcat.produce(node.address, "canary", data)
        assert kcat.consume(node.address, "canary") == data
        control = {pid for pid in [node.role_pid("control")] if pid}
        threads = {int(path.name) for pid in control
                   for path in Path(f"/proc/{pid}/task").iterdir()}
        node.kill()
        wait_until(lambda: traces(s), 5, "strace has written")

        with s.test("a produce writes to the bucket only"):
            paths = {path for trace in traces(s) for path in written_paths(trace)}
            bucket = str(Path(s.scratch, "bucket"))
            outside = {path for path in paths
                       if not path.startswith((bucket, "/dev/null", "/proc/self"))}
            assert any(path.startswith(bucket) for path in paths), "the trace saw nothing"
            assert not outside, sorted(outside)[:20]

        with s.test("the records were seen where they should be"):
            agents = [t for t in traces(s) if int(t.suffix[1:]) not in threads]
            assert any(CANARY in t.read_bytes() for t in agents), "no canary anywhere"

        with s.test("no record byte reaches control"):
            assert threads, "control was not found"
            say(f"{len(threads)} threads of control, {len(traces(s))} traces")
            for trace in traces(s):
                if int(trace.suffix[1:]) in threads:
                    assert CANARY not in trace.read_bytes(), trace
