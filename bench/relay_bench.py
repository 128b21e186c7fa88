#!/usr/bin/env python3
"""A relay of ours beside the official derper: the same clients, turn by turn, on this machine.

    bench/relay_bench.py build/release/hanse build/release/bench

Without the official client (HANSE_TAILSCALE, see test/scenario/official.py) ours alone."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "scenario"))

import official  # noqa: E402
from relay import Realm, free_port  # noqa: E402

ROUNDS = 2
FLOODS = [(1, 1380), (16, 1380), (1, 32000)]
FLOOD_S = 3
ECHOES = 5000
IDLE = int(os.environ.get("IDLE", "10000"))
TICKS = os.sysconf("SC_CLK_TCK")


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


class Server:
    """A process, and the one below it that does the work, if there is one."""

    def __init__(self, name, port, words, environment=None, log=None):
        self.name, self.port = name, port
        plain = {key: value for key, value in os.environ.items() if not key.startswith("HANSE")}
        self.process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log,
                                        env={**plain, **(environment or {})})
        time.sleep(2)
        assert self.process.poll() is None, f"{name} did not start"
        self.pid = (children(self.process.pid) or [self.process.pid])[0]

    def cpu_s(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mb(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def start_ours(hanse, scratch):
    run, state = scratch / "run", scratch / "state"
    run.mkdir(mode=0o700)
    realm = Realm(run / "realm.sock")
    port = free_port()
    server = Server("hanse", port,
                    [hanse, "up", "--roles", "relay", "--name", "bench", "--state", state,
                     "--run-dir", run, "--address", "127.0.0.1", "--relay", f"127.0.0.1:{port}",
                     "--stun", f"127.0.0.1:{free_port()}"],
                    log=open(scratch / "hanse.log", "wb"))
    return server, realm, state


def start_derper(programs, scratch, state):
    """With the certificate of ours, so that the handshakes cost the same."""
    certificates = scratch / "derper"
    certificates.mkdir()
    for name, end in ("relay-certificate", "crt"), ("relay-certificate-key", "key"):
        (certificates / f"127.0.0.1.{end}").write_text((state / name).read_text())
    port = free_port()
    return Server("derper", port,
                  [programs.program("derper"), "-a", f"127.0.0.1:{port}", "-certmode", "manual",
                   "-certdir", certificates, "-hostname", "127.0.0.1", "-http-port", "-1",
                   "-stun=false", "-c", certificates / "config.json"],
                  log=open(scratch / "derper.log", "wb"))


def load(server, tool, *words):
    """What the clients say, and the seconds of CPU the relay spent on it."""
    before = server.cpu_s()
    done = subprocess.run([tool, "127.0.0.1", str(server.port), *map(str, words)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, server.cpu_s() - before


def flood(server, tool, pairs, size):
    said, cpu_s = load(server, tool, "flood", pairs, size, FLOOD_S)
    rate, packets, lost = map(float, re.search(
        r"([\d.]+) MB/s received, (\d+) packets/s, (-?[\d.]+) % lost", said).groups())
    return {"rate": rate, "packets": packets, "lost": lost,
            "per_core": rate * FLOOD_S / cpu_s if cpu_s else 0}


def echo(server, tool):
    said, _ = load(server, tool, "echo", 100, ECHOES)
    return tuple(map(float, re.search(r"([\d.]+) ms in the middle, ([\d.]+) ms", said).groups()))


def idle(server, tool):
    before, cpu = server.rss_mb(), server.cpu_s()
    clients = subprocess.Popen([tool, "127.0.0.1", str(server.port), "idle", str(IDLE)],
                               stdout=subprocess.PIPE, text=True)
    began = time.monotonic()
    assert clients.stdout.readline().startswith("open"), "they did not all connect"
    took = time.monotonic() - began
    opening = server.cpu_s() - cpu
    time.sleep(2)
    grown, cpu = server.rss_mb() - before, server.cpu_s()
    time.sleep(5)
    spent = server.cpu_s() - cpu
    clients.kill()
    clients.wait()
    return grown * 1024 / IDLE, took, opening / IDLE * 1e6, spent / 5 * 100


def measure(servers, tool):
    for pairs, size in FLOODS:
        best = {server.name: [] for server in servers}
        for _ in range(ROUNDS):
            for server in servers:  # turn by turn: the machine is the same for all
                best[server.name].append(flood(server, tool, pairs, size))
        for name, found in best.items():
            top = max(found, key=lambda one: one["rate"])
            core = max(one["per_core"] for one in found)
            print(f"{name:7} {pairs:3} pairs, {size:5} B: {top['rate']:7.1f} MB/s "
                  f"{top['packets']:9.0f} packets/s {top['lost']:5.1f} % lost "
                  f"{core:8.1f} MB per CPU second", flush=True)
    for server in servers:
        found = [echo(server, tool) for _ in range(ROUNDS)]
        print(f"{server.name:7} echo of 100 B: {min(p for p, _ in found):.3f} ms in the middle, "
              f"{min(p for _, p in found):.3f} ms at 99 %", flush=True)
    for server in servers:
        each, took, opening, spent = idle(server, tool)
        print(f"{server.name:7} {IDLE} idle clients: {each:.1f} KiB each, {took:.1f} s until all "
              f"are in, {opening:.0f} us of CPU each, {spent:.2f} % of a CPU when idle",
              flush=True)


def main():
    hanse, tools = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    programs = official.find()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as scratch:
        scratch = Path(scratch)
        ours, realm, state = start_ours(hanse, scratch)
        servers = [ours]
        try:
            if programs:
                servers.append(start_derper(programs, scratch, state))
            else:
                print(f"# derper: {official.why_not()}")
            measure(servers, tools / "relay_load")
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
