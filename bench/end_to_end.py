#!/usr/bin/env python3
"""Measures a broker end to end, with the physical bound of each figure beside it.

usage: bench/end_to_end.py HANSE PROGRAMS     (the built program, and where kafka_load is)

Starts HANSE on an empty bucket below build/bench, in the file system that is to be measured, and
loads it with PROGRAMS/kafka_load (librdkafka).  One table at the end; it judges nothing, the
budgets are in ARCHITECTURE.md.

SECONDS   about how long each load should take (5)
AGENTS    --agents of the broker (1)
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "build" / "bench"
SECONDS = float(os.environ.get("SECONDS", "5"))
AGENTS = int(os.environ.get("AGENTS", "1"))
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
GIB = 1 << 30
PARTITIONS = 4
START_LIMIT_S = 20
IDLE_S = 10
LATENCY_COUNT = 1000
STARTS = 5
DISK_WRITERS = 4


# --- the broker ---------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_ports(count):
    """The first of so many in a row."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def frame(body):
    return struct.pack(">i", len(body)) + body


# Metadata version 1 for all topics: api key, version, correlation id, client id, null array.
METADATA = frame(struct.pack(">hhihi", 3, 1, 7, -1, -1))


def answers_metadata(port):
    """True when the broker answers Metadata and knows at least one broker."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            s.settimeout(1)
            s.sendall(METADATA)
            answer = s.makefile("rb").read(12)
            return len(answer) == 12 and struct.unpack(">iii", answer)[1:] >= (7, 1)
    except OSError:
        return False


def stat_of(pid):
    """Fields of /proc/PID/stat after the name: state is the first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Broker:
    def __init__(self, program, directory, storage=None, partitions=PARTITIONS, ports=1):
        self.program = program
        self.directory = directory
        self.storage = storage or ["--bucket", f"file:{directory}/bucket"]
        self.partitions = partitions
        self.process = None
        self.port_count = ports
        self.port = free_ports(ports)
        self.start_ms = 0.0

    def start(self):
        command = [self.program, "serve", *self.storage, "--kafka", f"127.0.0.1:{self.port}",
                   "--peer", f"127.0.0.1:{free_port()}", "--run-dir", f"{self.directory}/run",
                   "--default-partitions", str(self.partitions)]
        with open(self.directory / "log", "ab") as log:
            start = time.monotonic()
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        while not all(answers_metadata(port) for port in self.ports()):
            if self.process.poll() is not None or time.monotonic() > start + START_LIMIT_S:
                sys.exit(f"the broker does not serve; its log is {self.directory}/log")
            time.sleep(0.0005)
        self.start_ms = (time.monotonic() - start) * 1000

    def ports(self):
        return range(self.port, self.port + self.port_count)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            print("the broker did not stop within 10 s of SIGTERM", file=sys.stderr)

    def processes(self):
        """pid -> role, the supervisor and its children."""
        found = {self.process.pid: "supervisor"}
        for directory in Path("/proc").iterdir():
            if not directory.name.isdigit():
                continue
            try:
                if int(stat_of(directory.name)[1]) != self.process.pid:
                    continue
                words = (directory / "cmdline").read_bytes().decode().split("\0")
            except (OSError, IndexError):
                continue
            role = next((w[5:] for w in words if w.startswith("role:")), words[0])
            found[int(directory.name)] = role
        return found

    def cpu_s(self):
        """role -> seconds of user and system time."""
        result = {}
        for pid, role in self.processes().items():
            fields = stat_of(pid)
            result[role] = (int(fields[11]) + int(fields[12])) / TICKS
        return result

    def resident_bytes(self):
        return {role: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
                for pid, role in self.processes().items()}


def spent(before, after):
    return {role: after[role] - before.get(role, 0) for role in after}


# --- physical bounds ----------------------------------------------------------------------------
# Their files stay until the end: file systems are slower just after many files were deleted.

def write_object(directory, name, body):
    """A file that survives a power cut, with its name."""
    fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, body)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def bound_disk(size, seconds=2.0):
    """MB/s of new files of `size` bytes, fsynced, DISK_WRITERS at a time."""
    body = os.urandom(size)
    directory = SCRATCH / "bound" / "rate"
    directory.mkdir(parents=True)
    start = time.monotonic()

    def write(writer):
        count = 0
        while time.monotonic() < start + seconds:
            write_object(directory, f"{writer}-{count}", body)
            count += 1
        return count

    with ThreadPoolExecutor(DISK_WRITERS) as pool:
        count = sum(pool.map(write, range(DISK_WRITERS)))
    return count * size / (time.monotonic() - start) / 1e6


def bound_latency(seconds=2.0):
    """p50 and p99 in ms of two small objects one after the other: data, then journal."""
    body = os.urandom(512)
    directory = SCRATCH / "bound" / "latency"
    directory.mkdir(parents=True)
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        write_object(directory, f"{len(times)}-data", body)
        write_object(directory, f"{len(times)}-journal", body)
        times.append((time.monotonic() - began) * 1000)
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100]


def bound_loopback(seconds=2.0):
    """MB/s of one TCP connection over loopback between two processes, in pieces of 1 MiB."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = os.fork()
    if not sender:
        with socket.create_connection(listener.getsockname()) as s:
            piece, end = bytearray(1 << 20), time.monotonic() + seconds
            while time.monotonic() < end:
                s.sendall(piece)
        os._exit(0)
    received, into = 0, bytearray(1 << 20)
    with listener.accept()[0] as s:
        start = time.monotonic()
        while n := s.recv_into(into):
            received += n
        elapsed = time.monotonic() - start
    os.waitpid(sender, 0)
    listener.close()
    return received / elapsed / 1e6


def bound_memory(programs):
    """MB/s of copying and checksumming what does not fit the cache."""
    output = subprocess.run([programs / "crc_memcpy"], check=True, capture_output=True, text=True)
    found = re.search(r"memcpy and crc32c, 64 MiB\s+([\d.]+) GB/s", output.stdout)
    return float(found.group(1)) * 1000


# --- the figures --------------------------------------------------------------------------------

class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, bound="", budget=""):
        self.rows.append((what, value, bound, budget))
        print(f"  {what}: {value}", file=sys.stderr)

    def write(self):
        head = ("figure", "measured", "physical bound in this run", "budget")
        widths = [max(len(r[i]) for r in [head, *self.rows]) for i in range(4)]
        for row in [head, tuple("-" * w for w in widths), *self.rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


class Load:
    """One run of kafka_load, and what the broker spent on it."""

    def __init__(self, broker, programs, mode, topic, *numbers):
        before = broker.cpu_s()
        command = [programs / "kafka_load", mode, f"127.0.0.1:{broker.port}", topic,
                   *map(str, numbers)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                                timeout=SECONDS * 40 + 60)
        if result.returncode:
            sys.exit(f"kafka_load {mode} failed; the broker's log is {broker.directory}/log")
        self.cpu_s = spent(before, broker.cpu_s())
        self.said = {k: float(v) for k, v in
                     (word.split("=") for word in result.stdout.split())}
        if self.said.get("failed"):
            print(f"kafka_load {mode}: {self.said['failed']:.0f} failed", file=sys.stderr)

    def rate(self):
        return self.said["bytes"] / self.said["seconds"] / 1e6

    def cpu_per_gib(self):
        return sum(self.cpu_s.values()) / (self.said["bytes"] / GIB)

    def rate_per_core(self):
        return self.said["bytes"] / max(sum(self.cpu_s.values()), 1 / TICKS) / 1e6

    def shares(self):
        total = self.said["bytes"] / GIB
        return ", ".join(f"{role} {s / total:.2f}" for role, s in sorted(self.cpu_s.items()) if s)


def measure_start(broker, table):
    times = []
    for _ in range(STARTS):
        broker.start()
        times.append(broker.start_ms)
        broker.stop()
    broker.start()
    times.sort()
    table.add("start to the first Metadata answer",
              f"{times[len(times) // 2]:.0f} ms (of {STARTS}: {times[0]:.0f} to {times[-1]:.0f})",
              "", "100 ms")


def measure_idle(broker, table):
    time.sleep(1)
    before = broker.cpu_s()
    time.sleep(IDLE_S)
    used = spent(before, broker.cpu_s())
    resident = broker.resident_bytes()
    for role in sorted(resident):
        table.add(f"idle, {role}", f"{resident[role] / 1e6:.1f} MB resident, "
                  f"{used[role] / IDLE_S * 100:.1f} % CPU", "", "")
    table.add("idle, together", f"{sum(resident.values()) / 1e6:.1f} MB resident, "
              f"{sum(used.values()) / IDLE_S * 100:.1f} % CPU", "", "100 MB, about 0 %")


def measure_rates(broker, programs, table, disk, memory, loopback):
    for size, name in ((1024, "1 KiB"), (100, "100 B")):
        topic = f"bench-{size}"
        trial = Load(broker, programs, "produce", f"trial-{size}", size, 64 << 20)
        total = max(256 << 20, int(trial.rate() * 1e6 * SECONDS))
        load = Load(broker, programs, "produce", topic, size, total)
        table.add(f"produce, {name}", f"{load.rate():.0f} MB/s", f"disk {disk:.0f} MB/s")
        table.add(f"produce, {name}, CPU of the broker",
                  f"{load.cpu_per_gib():.2f} s/GiB ({load.shares()})",
                  f"copy+CRC {GIB / memory / 1e6:.2f} s/GiB")
        table.add(f"produce, {name}, per core of the broker", f"{load.rate_per_core():.0f} MB/s",
                  f"copy+CRC {memory:.0f} MB/s", "300 MB/s" if size == 1024 else "")
        load = Load(broker, programs, "fetch", topic, PARTITIONS, int(load.said["records"]))
        table.add(f"fetch, {name}", f"{load.rate():.0f} MB/s", f"loopback {loopback:.0f} MB/s")
        table.add(f"fetch, {name}, CPU of the broker", f"{load.cpu_per_gib():.2f} s/GiB")
        # Again, by a client that throws the bytes away: what is warm by now is what a tail is.
        load = Load(broker, programs, "fetch-raw", topic, PARTITIONS, total)
        table.add(f"fetch, {name}, bare client", f"{load.rate():.0f} MB/s",
                  f"loopback {loopback:.0f} MB/s")
        table.add(f"fetch, {name}, bare client, per core of the broker",
                  f"{load.rate_per_core():.0f} MB/s", f"loopback {loopback:.0f} MB/s",
                  "1000 MB/s (tail)")


def measure_tail(broker, programs, table, loopback):
    """What was just written, and is still in the agent's memory."""
    total = 96 << 20
    Load(broker, programs, "produce", "tail", 1024, total)
    load = Load(broker, programs, "fetch-raw", "tail", PARTITIONS, total)
    table.add("tail fetch, 1 KiB, bare client", f"{load.rate():.0f} MB/s",
              f"loopback {loopback:.0f} MB/s")
    table.add("tail fetch, 1 KiB, per core of the broker", f"{load.rate_per_core():.0f} MB/s",
              f"loopback {loopback:.0f} MB/s", "1000 MB/s")


def measure_latency(broker, programs, table, p50, p99):
    load = Load(broker, programs, "latency", "latency", 100, LATENCY_COUNT)
    table.add("produce latency, one in flight",
              f"p50 {load.said['p50_ms']:.2f} ms, p99 {load.said['p99_ms']:.2f} ms",
              f"2 objects p50 {p50:.2f} ms, p99 {p99:.2f} ms", "p99 10 ms")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, programs = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    directory = SCRATCH / "end-to-end"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(SCRATCH / "bound", ignore_errors=True)
    directory.mkdir(parents=True)

    disk, (small_p50, small_p99) = bound_disk(8 << 20), bound_latency()
    memory, loopback = bound_memory(programs), bound_loopback()
    table = Table()
    broker = Broker(program, directory, ["--bucket", f"file:{directory}/bucket",
                                         "--agents", str(AGENTS)], ports=AGENTS)
    try:
        measure_start(broker, table)
        measure_idle(broker, table)
        measure_latency(broker, programs, table, small_p50, small_p99)
        measure_tail(broker, programs, table, loopback)
        measure_rates(broker, programs, table, disk, memory, loopback)
        broker.stop()
    finally:
        if broker.process and broker.process.poll() is None:
            broker.process.kill()
    table.write()
    shutil.rmtree(directory / "bucket", ignore_errors=True)
    shutil.rmtree(SCRATCH / "bound", ignore_errors=True)


if __name__ == "__main__":
    main()
