"""A node: `hanse serve` with its own ports and directories, and ways to treat it badly."""

import os
import random
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROLES = ("control", "streams")
IS_ASAN = "asan" in os.environ.get("HANSE", "")
START_S = 30  # patience, not a demand


def program():
    return os.environ.get("HANSE") or str(ROOT / "build/release/hanse")


def release_program():
    """The program as people run it, where there is one; for what is about speed or size."""
    for path in (os.environ.get("HANSE_RELEASE"), ROOT / "build/release/hanse"):
        if path and os.access(path, os.X_OK):
            return str(path)
    return program()


def free_port(kind=socket.SOCK_STREAM):
    """Not one of those the kernel gives to clients: while the node is dead, somebody who tries to
    connect would sooner or later be given the node's own port."""
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10000, max(first_of_clients, 11000))
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def answers_kafka(port, timeout_s=1.0):
    """Does somebody answer ApiVersions there?"""
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as s:
            s.settimeout(timeout_s)
            s.sendall(struct.pack(">i", len(request)) + request)
            return len(s.recv(8)) > 0
    except OSError:
        return False


def children_of(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def words_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


class Node:
    def __init__(self, scratch, name, bucket=None, run_dir=None, options=(), environment=None,
                 program=None, wrapper=(), user=None, metrics="none"):
        """`bucket`: a URL, or False for a node that is given none; `user`: a uid to run as."""
        self.name = name
        self.bucket = f"file:{scratch}/bucket" if bucket is None else bucket
        self.user = user
        self.metrics = metrics  # one port less that somebody else may have
        self.run_dir = Path(run_dir or scratch / f"run-{name}")
        self.log_path = Path(scratch) / f"{name}.log"
        self.port, self.peer_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.options = [str(option) for option in options]
        # Its options come as flags only.
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith("HANSE_")}
        self.environment = dict(inherited, **(environment or {}))
        self.program = program or globals()["program"]()
        self.wrapper = list(wrapper)
        self.process = None

    # --- starting --------------------------------------------------------------------------------

    def command(self):
        bucket = ["--bucket", self.bucket] if self.bucket else []
        return [*self.wrapper, self.program, "serve", *bucket,
                "--kafka", self.address, "--peer", f"127.0.0.1:{self.peer_port}",
                "--run-dir", str(self.run_dir), "--metrics", self.metrics, *self.options]

    def launch(self):
        """Start it and do not wait for anything."""
        assert self.process is None, "the node runs already"
        as_user = {} if self.user is None else \
            {"user": self.user, "group": self.user, "extra_groups": []}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment, **as_user)

    def start(self, timeout_s=START_S):
        """Start it; returns how many seconds it took until a client was answered."""
        begin = time.monotonic()
        self.launch()
        self.wait_serving(timeout_s)
        return time.monotonic() - begin

    def wait_serving(self, timeout_s=START_S):
        begin = time.monotonic()
        while not answers_kafka(self.port):
            status = self.process.poll()
            assert status is None, f"node {self.name} exited with {status}"
            waited_s = time.monotonic() - begin
            assert waited_s < timeout_s, f"node {self.name} does not serve after {timeout_s} s"
            time.sleep(0.01)
        return time.monotonic() - begin

    def is_serving(self):
        return answers_kafka(self.port, 0.5)

    # --- its processes ---------------------------------------------------------------------------

    def supervisor_pid(self):
        """The wrapper, such as strace, is not it."""
        if not self.wrapper:
            return self.process.pid
        return children_of(self.process.pid)[0]

    def role_pid(self, role):
        for pid in children_of(self.supervisor_pid()):
            if f"role:{role}" in words_of(pid):
                return pid
        return None

    def pids(self):
        """The whole tree, the supervisor first."""
        if self.process is None:
            return []
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def signal(self, number, what="all"):
        """`what`: all, supervisor, or a role.  False when there is nobody to tell."""
        if what == "all":
            targets = self.pids()
        elif what == "supervisor":
            targets = [self.process.pid]
        else:
            targets = [self.role_pid(what)]
        done = False
        for pid in targets:
            try:
                if pid:
                    os.kill(pid, number)
                    done = True
            except ProcessLookupError:
                pass
        return done

    # --- ending ----------------------------------------------------------------------------------

    def wait_gone(self, pids, timeout_s=60):
        end = time.monotonic() + timeout_s
        while any(Path(f"/proc/{pid}").exists() and words_of(pid) != [""] for pid in pids):
            assert time.monotonic() < end, f"processes of {self.name} are still there: {pids}"
            time.sleep(0.005)

    def kill(self):
        """kill -9 for the whole tree at once; nothing of it is left afterwards."""
        if self.process is None:
            return
        pids = self.pids()
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.wait_gone(pids)

    def terminate(self, timeout_s=30):
        """SIGTERM; returns the exit status."""
        pids = self.pids()
        self.process.terminate()
        status = self.process.wait(timeout_s)
        self.process = None
        self.wait_gone(pids)
        return status

    # --- what it says ----------------------------------------------------------------------------

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def log_lines(self):
        return self.log().splitlines()
