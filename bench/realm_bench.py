#!/usr/bin/env python3
"""A thousand machines on one control server: how long they take to join, how long until all have
heard that one moved, how long until all are back after a takeover, and what each costs.

    bench/realm_bench.py build/release/hanse build/release/bench/realm_load [COUNT]
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "scenario"))

from machine import UnixConnection, free_udp_port  # noqa: E402
from node import free_port  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
START_S = 20


def ask(run_dir, method, path, body=None):
    connection = UnixConnection(run_dir / "realm.sock")
    connection.request(method, "/v1/" + path, json.dumps(body) if body is not None else None)
    return json.loads(connection.getresponse().read())


def child(pid, role):
    for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if f"role:{role}" in Path(f"/proc/{word}/cmdline").read_text():
            return int(word)
    raise AssertionError(f"there is no {role}")


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start(hanse, scratch, run_dir, port):
    words = [hanse, "up", "--roles", "realm", "--state", scratch / "state", "--run-dir", run_dir,
             "--address", f"127.0.0.1:{port}", "--realm", f"127.0.0.1:{port}",
             "--relay", f"127.0.0.1:{free_port()}", "--stun", f"127.0.0.1:{free_udp_port()}"]
    environment = {word: value for word, value in os.environ.items()
                   if not word.startswith("HANSE_")}
    with open(scratch / "log", "ab") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log,
                                   env=environment)
    end = time.monotonic() + START_S
    while "Hanse is up" not in (scratch / "log").read_text():
        assert process.poll() is None and time.monotonic() < end, (scratch / "log").read_text()
        time.sleep(0.05)
    return process


def show(what, value, unit):
    print(f"{what:<52} {value:>10} {unit}")


def measure(load, url, secret, count, run_dir, pid):
    empty_kb, before_s = rss_kb(pid), cpu_s(pid)
    process = subprocess.Popen([str(load), url, secret, str(count)], stdout=subprocess.PIPE,
                               text=True)
    found = {}
    for line in process.stdout:
        words = line.split()
        if words[0] == "quiet":
            found["cpu join"] = cpu_s(pid) - before_s
            found["rss"] = rss_kb(pid) - empty_kb
            found["status"] = ask(run_dir, "GET", "status")
        else:
            found[" ".join(words[:-2])] = float(words[-2])
    assert process.wait() == 0
    found["rss after"] = rss_kb(pid) - empty_kb
    found["cpu"] = cpu_s(pid) - before_s
    return found


def report(found, count):
    show(f"{count} machines join", f"{found['join'] / 1000:.2f}", "s")
    show("  CPU of control until all have heard of all", f"{found['cpu join']:.2f}", "s")
    show("  to each machine", f"{found['join bytes'] / count / 1024:.0f}", "KiB")
    show("memory of control for each", f"{found['rss'] / count:.1f}", "KiB")
    show("one machine moves: until all others have heard of it", f"{found['move']:.1f}", "ms")
    show("  longest of 20", f"{found['move longest']:.1f}", "ms")
    show("  longest round of changes inside control",
         f"{found['status']['fanout']['longest_us'] / 1000:.1f}", "ms")
    show("  longest first message of a stream",
         f"{found['status']['fanout']['whole_us'] / 1000:.1f}", "ms")
    show("all connections are cut: until all are back", f"{found['again'] / 1000:.2f}", "s")
    show("  to each machine", f"{found['settled'] / count / 1024:.0f}", "KiB")
    show("memory of control for each, then", f"{found['rss after'] / count:.1f}", "KiB")
    show("CPU of control in all", f"{found['cpu']:.2f}", "s")


def main():
    hanse, load = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    with tempfile.TemporaryDirectory(prefix="realm-bench-") as scratch:
        scratch, port = Path(scratch), free_port()
        run_dir = scratch / "run"
        process = start(hanse, scratch, run_dir, port)
        try:
            secret = ask(run_dir, "POST", "keys", {})["secret"]
            pid = child(process.pid, "realm")
            report(measure(load, f"http://127.0.0.1:{port}", secret, count, run_dir, pid), count)
        finally:
            process.terminate()
            process.wait(30)


main()
