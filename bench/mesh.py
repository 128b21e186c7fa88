#!/usr/bin/env python3
"""What a tunnel costs: throughput, added latency, CPU, memory and wake-ups, of `hanse tunnel` and
of a machine of the mesh (`hanse up`), beside the bare link, Debian's wireguard-go and the official
client with a device of its own, all in network namespaces and in one run.

usage: bench/mesh.py HANSE      (the built program)

SECONDS   of each transfer (4)      ROUNDS   of which the best counts (3)
ONLY      words of the rows to measure, such as "bare tunnel tailscaled"
"""

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "scenario"))
os.environ["HANSE"] = str(Path(sys.argv[1] if len(sys.argv) > 1 else
                               ROOT / "build/release/hanse").resolve())

import official  # noqa: E402
from lab import Lab, why_not  # noqa: E402
from machine import Machine, control_options  # noqa: E402
from scenario import Scenario, wait_until  # noqa: E402
from wireguard import Device  # noqa: E402

SECONDS = int(os.environ.get("SECONDS", "4"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PINGS = 400
IDLE_S = 10
TICKS = os.sysconf("SC_CLK_TCK")


# --- measuring ----------------------------------------------------------------------------------

def processes_below(pid):
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes_below(int(child))
    return found


def status_of(pid, word):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{word}:\s+(\d+)", text, re.M).group(1))


def cpu_s(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def wakeups(pids):
    """Of all threads: how often one of them had to wait for something and got it."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                       (task / "status").read_text(), re.M).group(1))
    return total


def iperf(sender, receiver, address, *words):
    receiver.spawn("iperf3", "-s", "-1", "-B", address, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while True:
        done = sender.run("iperf3", "-J", "-t", SECONDS, "-c", address, *words, check=False,
                          timeout=SECONDS + 20)
        got = done.returncode == 0 and json.loads(done.stdout)["end"].get("sum_received")
        if got:
            return got
        assert time.monotonic() < end, done.stdout[-300:]
        time.sleep(0.1)


def round_trips_ms(host, address, *words):
    said = host.run("ping", "-n", "-c", PINGS, *words, address).stdout
    times = sorted(float(word) for word in re.findall(r"time=([0-9.]+)", said))
    return statistics.median(times), times[len(times) * 99 // 100]


class Row:
    def __init__(self, name, sender, receiver, address, pids=()):
        self.name, self.sender, self.receiver, self.address = name, sender, receiver, address
        self.pids = list(pids)

    def measure(self):
        self.p50, self.p99 = round_trips_ms(self.sender, self.address, "-i", "0.005")
        # One after the other, so that the cores do not fall asleep in between.
        self.awake, _ = round_trips_ms(self.sender, self.address, "-A")
        before, begin, moved, best, parallel = cpu_s(self.pids), time.monotonic(), 0, 0, 0
        for _ in range(ROUNDS):
            got = iperf(self.sender, self.receiver, self.address)
            best, moved = max(best, got["bits_per_second"]), moved + got["bytes"]
        self.gbits = best / 1e9
        self.cpu_per_gib = (cpu_s(self.pids) - before) / (moved / (1 << 30))
        for _ in range(ROUNDS):
            parallel = max(parallel, iperf(self.sender, self.receiver, self.address, "-P", 4,
                                           "-R")["bits_per_second"])
        self.parallel = parallel / 1e9
        self.rss_mib = [status_of(pid, "VmRSS") / 1024 for pid in self.pids]
        self.anon_mib = [status_of(pid, "RssAnon") / 1024 for pid in self.pids]
        time.sleep(12)  # keepalives of what was just carried
        woken, cpu = wakeups(self.pids), cpu_s(self.pids)
        time.sleep(IDLE_S)
        count = max(1, len(self.pids))
        self.woken_per_s = (wakeups(self.pids) - woken) / IDLE_S / count
        self.idle_cpu = (cpu_s(self.pids) - cpu) / IDLE_S / count * 100
        return self


# --- what is measured ---------------------------------------------------------------------------

@contextlib.contextmanager
def bare(s, lab):
    a, b = lab.host("a"), lab.host("b")
    yield Row("bare link", a, b, b.ip4)


@contextlib.contextmanager
def tunnel(s, lab, kind, offloads="all", threads=1):
    hosts = lab.host("a"), lab.host("b")
    a, b = (Device(s, host, i + 1, kind, offloads=offloads, threads=threads)
            for i, host in enumerate(hosts))
    for device in (a, b):
        device.start()
    a.knows(b, b.at())
    b.knows(a)
    a.ping(b)
    name = {"go": "wireguard-go"}.get(kind, "hanse tunnel")
    if offloads != "all":
        name += f", offloads {offloads}"
    if threads > 1:
        name += f", {threads} threads"
    yield Row(name, a.host, b.host, b.ip4, [a.process.pid, b.process.pid])
    for device in (a, b):
        device.stop()


@contextlib.contextmanager
def mesh(s, lab):
    control = Machine(s, "c", where=lab.server("c"), options=["--address", ""])
    control.options[-1] = control.where.private
    control.start()
    machines = [Machine(s, name, where=lab.host(name), join=control.key) for name in "ab"]
    for machine in machines:
        machine.start()
    a, b = machines
    address = b.json("status")["mesh"]["self"]["addresses"][0]
    wait_until(lambda: "direct" in a.run("ping", "b", check=False).stdout, 20, "a direct way")
    pids = [pid for machine in machines for pid in processes_below(machine.process.pid)
            if b"role:mesh" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    yield Row("hanse up (the mesh process)", a.where, b.where, address, pids)
    for machine in machines + [control]:
        machine.stop()


@contextlib.contextmanager
def tailscaled(s, lab):
    client = official.find()
    assert client, official.why_not()
    control = Machine(s, "tc", where=lab.server("tc"), options=["--address", ""])
    control.options[-1] = control.where.private
    control.start()
    url, key = control.official_words
    machines = []
    for name in ("ta", "tb"):
        machine = client.machine(s.scratch, name, where=lab.host(name), has_device=True)
        machine.start()
        machine.up(url, key)
        machine.wait_state("Running")
        machines.append(machine)
    a, b = machines
    a.wait_peer("tb")
    a.ping_until("tb", "via 203.0.113.")
    yield Row(f"tailscaled {client.version}", a.where, b.where, b.ip4,
              [a.process.pid, b.process.pid])
    for machine in machines:
        machine.stop()
    control.stop()


ROWS = {
    "bare": bare,
    "tunnel": lambda s, lab: tunnel(s, lab, "hanse"),
    "threads": lambda s, lab: tunnel(s, lab, "hanse", threads=2),
    "plain": lambda s, lab: tunnel(s, lab, "hanse", "none"),
    "mesh": mesh,
    "tailscaled": tailscaled,
    "wireguard-go": lambda s, lab: tunnel(s, lab, "go"),
}


def is_there(name):
    if name == "wireguard-go":
        return shutil.which("wireguard-go")
    return name != "tailscaled" or official.find()


def show(rows):
    bare_p50 = rows[0].awake if rows and rows[0].name == "bare link" else 0
    print(f"\n{'':34}{'Gbit/s':>8}{'4 back':>8}{'RTT ms':>8}{'added':>8}{'rested':>8}{'p99':>8}"
          f"{'CPU s/GiB':>11}{'RSS MiB':>9}{'private':>9}{'wakes/s':>9}{'idle CPU':>10}")
    for row in rows:
        line = (f"{row.name:34}{row.gbits:8.2f}{row.parallel:8.2f}{row.awake:8.3f}"
                f"{row.awake - bare_p50:8.3f}{row.p50:8.3f}{row.p99:8.3f}")
        if row.pids:
            line += (f"{row.cpu_per_gib:11.2f}{max(row.rss_mib):9.1f}{max(row.anon_mib):9.1f}"
                     f"{row.woken_per_s:9.2f}{row.idle_cpu:9.2f}%")
        print(line)
    print("\nRTT: median of pings without a pause; rested, p99: of those with 5 ms between.")
    print(f"CPU is of both ends together; memory after the load, of the larger one; load average "
          f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.", flush=True)


def main():
    if why_not():
        print(f"not measured: {why_not()}")
        return
    rows = []
    with Scenario(checks_logs=False) as s:
        for name in (os.environ.get("ONLY") or " ".join(ROWS)).split():
            if not is_there(name):
                print(f"{name}: not here, not measured")
                continue
            try:
                with Lab() as lab, ROWS[name](s, lab) as row:
                    rows.append(row.measure())
                print(f"# {name} is measured", flush=True)
            except Exception as error:  # the others are worth having
                print(f"{name}: failed: {error}", flush=True)
        show(rows)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
