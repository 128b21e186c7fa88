#!/usr/bin/env python3
"""Nothing is kept outside the bucket, and no byte of a record reaches the control process: what the
kernel saw is the evidence."""

import os
import re
import shutil
import signal
import subprocess
import time
import uuid

import kcat
from scenario import Scenario, say, skip_all, wait_until

OPENS = "open,openat,openat2,creat,mkdir,mkdirat,link,linkat,symlink,symlinkat,rename,renameat," \
    "renameat2,mknod,mknodat,truncate,memfd_create,bind"
TALK = "read,write,readv,writev,pread64,pwrite64,preadv,pwritev,recvfrom,sendto,recvmsg,sendmsg," \
    "recvmmsg,sendmmsg,splice,sendfile,copy_file_range"
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|O_APPEND")
RESULT = re.compile(r"= \d+<([^>]*)>")
DIRECTORY = re.compile(r"(?:\d|AT_FDCWD)<([^>]*)>")
NAMED = re.compile(r'"([^"]*)"')
# What is no file: nothing is kept there.
NO_FILES = ("/dev/null", "/dev/urandom", "/dev/tty", "/proc/", "pipe:", "socket:")
# The sanitizer looks for leaks with the means of a tracer, which there can be only one of.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0"}


def can_trace():
    return shutil.which("strace") and \
        subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True,
                       timeout=60).returncode == 0


def use(node):
    kcat.produce(node.address, "plain", b"".join(b"%d\n" % i for i in range(5000)))
    kcat.produce(node.address, "packed", b"".join(b"%d\n" % i for i in range(5000)), "-z", "zstd")
    assert len(kcat.consume(node.address, "plain", "-o", "beginning").splitlines()) == 5000
    out = kcat.kcat(node.address, "-G", "readers", "-e", "-q", "-X",
                    "auto.offset.reset=earliest", "plain")
    assert len(out.splitlines()) == 5000


def place_of(call):
    """Where a successful call made, opened or named something."""
    result = RESULT.search(call[call.rfind(") = "):])
    if result:
        return result.group(1)
    directories = DIRECTORY.findall(call)
    named = NAMED.findall(call)
    if directories and not call.startswith("bind"):
        return directories[-1]  # of two, it is the second that gets a new name
    return named[-1] if named else call


def strangers(trace, bucket, run_dir):
    """Calls that succeeded in writing, making or naming something where nothing belongs."""
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        call = line.split(None, 1)[-1]
        name = call.split("(")[0]
        if " = -1 " in call or not name.replace("_", "").isalnum():
            continue
        if name.startswith("open"):
            is_fine = not WRITES.search(call) or place_of(call).startswith((bucket, *NO_FILES))
        elif name == "bind":
            is_fine = "AF_UNIX" not in call or place_of(call).startswith(run_dir)
        else:
            is_fine = place_of(call).startswith((bucket, run_dir))
        if not is_fine:
            found.append(call)
    return found


def files(s):
    trace = s.scratch / "opens"
    bucket = s.scratch / "bucket"
    node = s.node("traced", bucket=f"file:{bucket}", environment=ENVIRONMENT,
                  wrapper=["strace", "-f", "-y", "-o", trace, "-e", f"trace={OPENS}"])
    node.wrapper = [str(word) for word in node.wrapper]
    with s.test("a produce, a fetch and a group write no file outside the bucket's directory"):
        node.start(60)
        use(node)
        os.kill(node.supervisor_pid(), signal.SIGTERM)
        node.process.wait(60)
        node.process = None
        lines = trace.read_text(errors="replace").splitlines()
        made = [line for line in lines if WRITES.search(line) and str(bucket) in line]
        say(f"{len(lines)} calls, {len(made)} of them in the bucket")
        assert len(made) > 5, "the trace shows nothing"
        found = strangers(trace, str(bucket), str(node.run_dir))
        assert not found, "\n".join(found[:10])
    with s.test("what is left in the run directory is nothing but sockets"):
        left = [path for path in node.run_dir.iterdir() if not path.is_socket()]
        assert not left, left


def attach(s, pid, trace):
    process = s.spawn("strace", "-f", "-p", pid, "-s", 1 << 20, "-o", trace,
                      "-e", f"trace={TALK}", stderr=subprocess.PIPE)
    wait_until(lambda: b"attached" in process.stderr.readline(), 10, "strace is attached")
    return process


def canaries(s):
    bucket = s.scratch / "bird"
    node = s.node("bird", bucket=f"file:{bucket}", environment=ENVIRONMENT)
    node.start()
    kcat.produce(node.address, "cage", b"before\n")
    names = {what: f"{what}-{uuid.uuid4().hex}" for what in ("value", "key", "header")}
    traces = {role: s.scratch / f"talk-{role}" for role in ("control", "streams")}
    tracers = [attach(s, node.role_pid(role), trace) for role, trace in traces.items()]
    # S1
    with s.test("values, keys and headers of records pass through streams and not through control"):
        line = f"{names['key']}:{names['value']}\n".encode()
        for _ in range(50):
            kcat.produce(node.address, "cage", line, "-K", ":", "-H", f"bird={names['header']}")
        got = kcat.consume(node.address, "cage", "-o", "beginning")
        assert got.count(names["value"].encode()) == 50
        time.sleep(0.2)
        for tracer in tracers:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(60)
        seen = {role: trace.read_text(errors="replace") for role, trace in traces.items()}
        say(f"{len(seen['control'])} bytes of trace of control, {len(seen['streams'])} of streams")
        assert "commit" in seen["control"] or len(seen["control"]) > 1000, "control was silent"
        for what, name in names.items():
            assert name in seen["streams"], f"the trace misses the {what}"
            assert name not in seen["control"], f"the {what} reached control"
    with s.test("records are in data files only; the journal has none of their bytes"):
        data = b"".join(path.read_bytes() for path in (bucket / "v1/d").rglob("*")
                        if path.is_file())
        journal = b"".join(path.read_bytes() for path in (bucket / "v1/j").rglob("*")
                           if path.is_file())
        for name in names.values():
            assert name.encode() in data and name.encode() not in journal
        assert b"cage" in journal, "the journal does not even know the topic"
    assert node.terminate() == 0


if not can_trace():
    skip_all("strace is not installed or not allowed here")
with Scenario() as s:
    files(s)
    canaries(s)
