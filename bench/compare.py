#!/usr/bin/env python3
"""Loads Hanse and Apache Kafka 4.2 with the same client, side by side, turn by turn.

usage: bench/compare.py HANSE PROGRAMS [WHAT...]

PROGRAMS is where broker_load is (bench/load/).  WHAT, by default `rate max`:

  rate         open loop, 5000 records/s of 1 KiB: latencies, and what they cost
  max          closed loop, batches of 16 KiB, as of Kafka's own producers: as much as it takes;
               Hanse also with --agents 2
  max-large    the same with batches of 256 KiB
  far          rate and max on a store with the latencies of S3, journals here and there
  partitions   open loop on 10, 1,000 and 50,000 partitions
  connections  open loop from 10, 1,000 and 10,000 connections
  backlog      reading 64, 512 and 2048 MiB that were written before, beside producers
  replay       producers with and without somebody who reads all of an old topic again and again
  cold         reading from far away what nobody has in memory, of 1, 10 and 50 partitions

Each round loads every broker once, one after the other (A B C, A B C), and the table has medians.
Hanse begins each round anew; Kafka keeps running, so that its code is compiled, and gets a new
topic.  What was written is synced to the disk before the next one's turn.  Beside the table all
rounds go to build/bench/compare-WHAT.json.  Kafka is left out, by name, without Java.

SECONDS  of each load, after 3 that do not count (10)     ROUNDS  how often (3)
ONLY     hanse,kafka...: only the brokers whose names begin so
ROWS     50000,200...: only the loads whose names begin so
BESIDE   another hanse, from before a change: its turns come beside those of HANSE
TANSU    the program of another broker, Tansu, where it is not in PATH
PLACE    a directory in the file system that is to be measured (build/bench)
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "scenario"))
import apache_kafka  # noqa: E402
import end_to_end as common  # noqa: E402
import s3_latency as far_store  # noqa: E402

SECONDS = int(os.environ.get("SECONDS", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
ONLY = [name for name in os.environ.get("ONLY", "").split(",") if name]
PLACE = Path(os.environ.get("PLACE") or common.SCRATCH)
ROWS = tuple(name for name in os.environ.get("ROWS", "").split(",") if name)
BESIDE = os.environ.get("BESIDE")
TANSU = os.environ.get("TANSU") or shutil.which("tansu")
WARM_S = 3
MIB = 1 << 20
RECORD_BYTES = 1024  # as broker_load has it
COLD_S = 4
COLD_BYTES = 1 << 30
LOAD_LIMIT_S = 400  # beyond SECONDS: topics, connections, what is under way at the end
KAFKA_START_S = 180  # on a machine with much else to do
# What Kafka's own start script says.
KAFKA_JAVA = ("java", "-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
              "-XX:InitiatingHeapOccupancyPercent=35",
              "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
SLOW_DOWNS = "&fault_before_ppm=2000&fault_slow_down_ppm=200&fault_slow_down_ms=500"


# --- brokers ------------------------------------------------------------------------------------

class Hanse:
    """Anew on empty buckets for each round."""

    stays = False

    def __init__(self, name, program, root, storage, agents=1):
        self.name, self.program, self.root, self.storage = name, program, root, storage
        self.agents = agents
        self.broker = self.reports = None

    def start(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        words, self.reports = self.storage(self.root)
        if self.agents > 1:
            words = [*words, "--agents", str(self.agents)]
        self.broker = common.Broker(self.program, self.root, words, ports=self.agents)
        self.broker.start()

    def restart(self):
        """With nothing in memory."""
        self.broker.stop()
        self.broker.start()

    def addresses(self):
        """Connections go to them in turn, whoever leads: each serves everything."""
        return [f"127.0.0.1:{port}" for port in self.broker.ports()]

    def pids(self):
        return list(self.broker.processes())

    def stop(self):
        """Ends it, and says what its buckets were asked."""
        self.broker.stop()
        asked = {}
        for purpose, (directory, report) in self.reports.items():
            asked[purpose] = requests_of(directory, report)
        shutil.rmtree(self.root, ignore_errors=True)
        return asked


def requests_of(directory, report):
    """PUTs and GETs; of a directory without a report the objects, each of which was a PUT."""
    if report:
        told = far_store.requests_of(report) if report.exists() else {}
        return {"puts": sum(told[v][0] for v in ("put", "put_new") if v in told),
                "gets": sum(told[v][0] for v in ("get", "head") if v in told)}
    return {"puts": sum(1 for path in directory.rglob("*") if path.is_file()), "gets": None}


def in_directory(root):
    bucket = root / "bucket"
    return (["--bucket", f"file:{bucket}"],
            {"data": (bucket / "v1" / "d", None), "journal": (bucket / "v1" / "j", None)})


def in_far_store(journal, extra=""):
    """Data in a store as slow as S3, in memory; the journal there, too, or in a directory."""
    def storage(root):
        store = root / "store"
        for name in ("data", "journal"):
            (store / name).mkdir(parents=True)

        def url(name):
            return (f"fault:file:{store / name}?class=cas&fault_seed=1&{far_store.STORE}{extra}"
                    f"&fault_report={root / name}.requests")
        reports = {"data": (store / "data", root / "data.requests")}
        if journal == "own":
            words = f"file:{PLACE / 'compare-journal'}"
            shutil.rmtree(PLACE / "compare-journal", ignore_errors=True)
            (PLACE / "compare-journal").mkdir(parents=True)
        else:
            words = url("journal")
            reports["journal"] = (store / "journal", root / "journal.requests")
        return ["--bucket", url("data"), "--journal", words], reports
    return storage


class Kafka:
    """Keeps running; each round has a topic of its own."""

    stays = True

    def __init__(self, name, root, **settings):
        self.name, self.root, self.settings = name, root, settings
        self.process = None

    def start(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.address, controller = (f"127.0.0.1:{common.free_port()}" for _ in range(2))
        path = self.root / "server.properties"
        settings = {**apache_kafka.settings(self.root, self.address, controller),
                    **self.settings}
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        apache_kafka.run("storage", "format", "--standalone", "-t", apache_kafka.CLUSTER_ID,
                         "-c", path)
        with open(self.root / "broker.log", "w") as log:
            self.process = subprocess.Popen(
                [*KAFKA_JAVA, "-cp", f"{apache_kafka.directory()}/libs/*", "kafka.Kafka", path],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + KAFKA_START_S
        while not common.answers_metadata(self.port()):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"Apache Kafka does not serve; its log is {self.root}/broker.log")
            time.sleep(0.2)

    def port(self):
        return int(self.address.rpartition(":")[2])

    def addresses(self):
        return [self.address]

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
        return {}


class Tansu(Kafka):
    """A broker of another make that keeps records in a database or an object store."""

    def __init__(self, name, root, engine):
        super().__init__(name, root)
        self.engine = engine

    def start(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.address = f"127.0.0.1:{common.free_port()}"
        with open(self.root / "broker.log", "w") as log:
            self.process = subprocess.Popen(
                [TANSU, "broker", "--kafka-listener-url", f"tcp://{self.address}",
                 "--kafka-advertised-listener-url", f"tcp://{self.address}",
                 "--storage-engine", self.engine],
                cwd=self.root, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + KAFKA_START_S
        while not common.answers_metadata(self.port()):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"Tansu does not serve; its log is {self.root}/broker.log")
            time.sleep(0.2)


def leave_out(chosen, kind, why):
    for broker in [b for b in chosen if type(b) is kind] if why else []:
        print(f"skipped: {broker.name}: {why}", file=sys.stderr)
        chosen.remove(broker)


def brokers(program, directory, memory, names):
    """Those that `names` has, or that begin so; Kafka only where it can be had."""
    every = [
        Hanse("hanse, directory", program, directory / "hanse", in_directory),
        Hanse("hanse, directory, 2 agents", program, directory / "agents", in_directory, agents=2),
        Kafka("kafka, as it comes", directory / "kafka"),
        Kafka("kafka, flushing every batch", directory / "kafka-flush",
              **{"log.flush.interval.messages": 1}),
        Tansu("tansu, SQLite", directory / "tansu", "sqlite://tansu.db"),
        Tansu("tansu, in memory", directory / "tansu-memory", "memory://tansu/"),
        Hanse("hanse, far store, own journal", program, memory / "own", in_far_store("own")),
        Hanse("hanse, far store", program, memory / "cas", in_far_store("cas")),
        Hanse("hanse, far store with errors", program, memory / "errors",
              in_far_store("own", SLOW_DOWNS)),
    ]
    chosen = [b for b in every if b.name in names and
              (not ONLY or any(b.name.startswith(only) for only in ONLY))]
    if BESIDE:
        chosen += [Hanse(f"{b.name}, beside", Path(BESIDE).resolve(), b.root, b.storage)
                   for b in chosen if isinstance(b, Hanse) and b.agents == 1]
    if any(type(b) is Kafka for b in chosen):
        leave_out(chosen, Kafka, apache_kafka.why_not())
    leave_out(chosen, Tansu, None if TANSU else "no program `tansu` (TANSU=PATH)")
    return chosen


HERE = ("hanse, directory", "kafka, as it comes", "kafka, flushing every batch")
OTHERS = ("tansu, SQLite", "tansu, in memory")
CORES = ("hanse, directory", "hanse, directory, 2 agents", *HERE[1:], *OTHERS)
FAR = ("hanse, far store, own journal", "hanse, far store", "hanse, far store with errors")


# --- loads --------------------------------------------------------------------------------------

class Failed(Exception):
    """A load that a broker did not take, and why."""


def load_command(programs, broker, options):
    words = {"broker": ",".join(broker.addresses()), "seconds": SECONDS, "warm_seconds": WARM_S,
             "pids": ",".join(map(str, broker.pids())), **options}
    return [programs / "broker_load", *(f"{name}={value}" for name, value in words.items())]


def run_load(programs, broker, **options):
    os.sync()
    command = load_command(programs, broker, options)
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=LOAD_LIMIT_S + options.get("seconds", SECONDS))
    except subprocess.TimeoutExpired:
        raise Failed("it takes too long") from None
    if done.returncode:
        raise Failed(done.stderr.strip() or f"broker_load ended with {done.returncode}")
    return json.loads(done.stdout)


topic_count = 0


def new_topic():
    global topic_count
    topic_count += 1
    return {"topic": f"t{topic_count}", "create": 1}


def open_loop(rate, **more):
    def load(programs, broker):
        return run_load(programs, broker, rate=rate, **new_topic(), **more)
    return load


def closed_loop(batch_bytes):
    def load(programs, broker):
        return run_load(programs, broker, rate=0, consumers=0, batch_bytes=batch_bytes,
                        **new_topic())
    return load


def fill(programs, broker, size, **more):
    """A topic that holds at least `size` bytes: its name, and how many."""
    topic = {**new_topic(), **more}
    written = 0
    while written < size:  # fetches nothing, keeps nothing but the topic
        told = run_load(programs, broker, rate=0, consumers=0, batch_bytes=256 << 10,
                        warm_seconds=0, seconds=1, **topic)
        topic.pop("create", None)
        written += told["produced_bytes"]
        if told["produced_bytes"] == 0:
            raise Failed("nothing can be written")
    return topic["topic"], written


def beside_reader(size, rate, reads):
    """Producers and their consumer; with `reads` somebody reads an old topic meanwhile."""
    def load(programs, broker):
        old, filled = fill(programs, broker, size)
        seconds = SECONDS + WARM_S + 5
        command = load_command(programs, broker, {
            "topic": old, "connections": 0, "consumers": 2, "from": "start", "seconds": seconds})
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if reads else None
        try:
            told = run_load(programs, broker, rate=rate, **new_topic())
            told["filled_bytes"] = filled
            if reader:
                replayed = json.loads(reader.communicate(timeout=LOAD_LIMIT_S)[0])
                told["replayed_mb_s"] = replayed["consumed_mb_s"]
            return told
        finally:
            if reader and reader.poll() is None:
                reader.kill()
                reader.wait()
    return load


def read_backlog(size):
    """All that was written, by one reader, as fast as it goes."""
    def load(programs, broker):
        old, filled = fill(programs, broker, size)
        told = run_load(programs, broker, topic=old, connections=0, consumers=1,
                        **{"from": "start"})
        return {**told, "filled_bytes": filled}
    return load


def read_cold(partitions):
    """One reader from the beginning; it ends before what was written does."""
    def load(programs, broker):
        old, filled = fill(programs, broker, COLD_BYTES, partitions=partitions)
        broker.restart()
        told = run_load(programs, broker, topic=old, partitions=partitions, connections=0,
                        consumers=1, seconds=COLD_S, warm_seconds=1, **{"from": "start"})
        return {**told, "filled_bytes": filled}
    return load


def topics_for(partitions):
    """In topics of at most 10,000."""
    topics = -(-partitions // 10000)
    return {"topics": topics, "partitions": partitions // topics, "keys": "random",
            "consumers": topics}


# What -> (brokers, [(row, load)]).
WHATS = {
    "rate": (HERE + OTHERS, [("5000 records/s", open_loop(5000))]),
    "max": (CORES, [("as fast as it goes, 16 KiB", closed_loop(16 << 10))]),
    "max-large": (CORES, [("as fast as it goes, 256 KiB", closed_loop(256 << 10))]),
    "far": (FAR, [("200 records/s", open_loop(200)), ("5000 records/s", open_loop(5000)),
                  ("as fast as it goes, 256 KiB", closed_loop(256 << 10))]),
    "partitions": (HERE, [(f"{n} partitions", open_loop(2000, **topics_for(n)))
                          for n in (10, 1000, 50000)]),
    # With the consumer's and the first one, which asks for the topic: an agent takes 10,000.
    "connections": (HERE, [(f"{n} connections", open_loop(2000, connections=n - 2))
                           for n in (10, 1000, 10000)]),
    "backlog": (HERE[:2], [(f"{n} MiB read again and again", read_backlog(n * MIB))
                           for n in (64, 512, 2048)]),
    "replay": (("hanse, directory", "kafka, as it comes", "hanse, far store, own journal"),
               [("alone", beside_reader(512 * MIB, 1000, False)),
                ("beside a replay", beside_reader(512 * MIB, 1000, True))]),
    "cold": (FAR[:1], [(f"{n} partitions", read_cold(n)) for n in (1, 10, 50)]),
}


# --- rounds and tables --------------------------------------------------------------------------

def one_turn(programs, broker, load):
    """One load of one broker; {"why": ...} when it does not take it."""
    if not broker.stays:
        broker.start()
    try:
        told = load(programs, broker)
    except Failed as e:
        told = {"why": str(e)}
    if not broker.stays:
        told["asked"] = broker.stop()
    return told


def run_rounds(programs, chosen, rows):
    """(row, broker name) -> what each round told."""
    found = {(row, b.name): [] for row, _ in rows for b in chosen}
    for broker in chosen:
        if broker.stays:
            broker.start()
    try:
        for n in range(ROUNDS):
            for row, load in rows:
                for broker in chosen:
                    told = one_turn(programs, broker, load)
                    told["load_average"] = os.getloadavg()[0]
                    found[row, broker.name].append(told)
                    print(f"  round {n + 1}, {row}, {broker.name}: {short(told)}",
                          file=sys.stderr)
    finally:
        for broker in chosen:
            if broker.stays:
                broker.stop()
    return found


def short(told):
    if "why" in told:
        return told["why"]
    return (f"{told['produced_mb_s']:.1f} MB/s in, {told['consumed_mb_s']:.1f} out, "
            f"p99 {told['produce']['p99_ms']:.1f} ms, {told['cpu_s_per_gib']:.2f} s/GiB")


def value_of(told, path):
    for word in path.split("."):
        told = told.get(word) if isinstance(told, dict) else None
    return told


def median(rounds, path):
    values = [v for v in (value_of(told, path) for told in rounds if "why" not in told)
              if v is not None]
    return statistics.median(values) if values else None


def dollars_per_gib(told):
    """At the list prices of S3 Standard."""
    prices = {}
    for line in (common.ROOT / "packaging" / "prices.conf").read_text().splitlines():
        words = line.split()
        if words[:1] == ["aws-s3"] and words[1] in ("put", "get"):
            prices[words[1]] = float(words[2]) / 1000
    asked = [a for a in told.get("asked", {}).values() if a["gets"] is not None]
    gib = told.get("written_gib")
    if not asked or not gib:
        return None
    return sum(a["puts"] * prices["put"] + a["gets"] * prices["get"] for a in asked) / gib


def add_requests(told):
    """Of the whole life of the broker, warm-up included, by all that was written in it."""
    if "asked" not in told or "why" in told:
        return
    told["written_gib"] = (told["made"] * RECORD_BYTES + told.get("filled_bytes", 0)) / common.GIB
    for purpose, asked in told["asked"].items():
        told[f"{purpose}_puts_per_gib"] = asked["puts"] / told["written_gib"]
    if told["asked"].get("data", {}).get("gets") is not None:
        told["gets"] = told["asked"]["data"]["gets"]
    told["dollars_per_gib"] = dollars_per_gib(told)


COLUMNS = (
    ("MB/s in", "produced_mb_s", ".1f"), ("MB/s out", "consumed_mb_s", ".1f"),
    ("CPU s/GiB", "cpu_s_per_gib", ".2f"), ("RSS MB", "resident_mb", ".0f"),
    ("produce p50", "produce.p50_ms", ".1f"), ("p90", "produce.p90_ms", ".1f"),
    ("p99", "produce.p99_ms", ".1f"), ("p99.9", "produce.p999_ms", ".1f"),
    ("max", "produce.max_ms", ".0f"),
    ("end to end p50", "end_to_end.p50_ms", ".1f"), ("p99", "end_to_end.p99_ms", ".1f"),
    ("p99.9", "end_to_end.p999_ms", ".1f"),
    ("data objects/GiB", "data_puts_per_gib", ".0f"),
    ("journal objects/GiB", "journal_puts_per_gib", ".0f"), ("GETs", "gets", ".0f"),
    ("$/GiB of requests", "dollars_per_gib", ".4f"),
    ("topics s", "topics_s", ".2f"), ("connect s", "connect_s", ".2f"),
    ("replay MB/s", "replayed_mb_s", ".1f"), ("failed", "failed", ".0f"),
    ("load average", "load_average", ".1f"),
)


def write_table(what, found):
    """Markdown; a column that nobody has a figure for is left out, times are in ms."""
    for rounds in found.values():
        for told in rounds:
            add_requests(told)
            for name in ("topics", "connect"):
                if f"{name}_ms" in told:
                    told[f"{name}_s"] = told[f"{name}_ms"] / 1000
    used = [c for c in COLUMNS
            if any(median(rounds, c[1]) for rounds in found.values())]
    print(f"\n{what}: medians of {ROUNDS} rounds of {SECONDS} s; {platform.machine()}, "
          f"{os.cpu_count()} cores, kernel {platform.release()}, "
          f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC\n")
    print("| load | broker | " + " | ".join(c[0] for c in used) + " |")
    print("|---|---|" + "---|" * len(used))
    for (row, broker), rounds in found.items():
        cells = [median(rounds, c[1]) for c in used]
        why = next((told["why"] for told in rounds if "why" in told), "")
        print(f"| {row} | {broker} | " +
              " | ".join("" if v is None else format(v, c[2]) for v, c in zip(cells, used)) +
              " |" + (f" {why}" if why else ""))
    common.SCRATCH.mkdir(parents=True, exist_ok=True)
    (common.SCRATCH / f"compare-{what}.json").write_text(json.dumps(
        {"what": what, "seconds": SECONDS, "cores": os.cpu_count(), "rounds": [
            {"load": row, "broker": broker, "told": rounds}
            for (row, broker), rounds in found.items()]}, indent=1) + "\n")


def main():
    if len(sys.argv) < 3 or any(what not in WHATS for what in sys.argv[3:]):
        sys.exit(__doc__)
    program, programs = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    os.environ["HANSE_TEST_FAULTS"] = "1"
    common.SCRATCH.mkdir(parents=True, exist_ok=True)
    for what in sys.argv[3:] or ["rate", "max"]:
        names, rows = WHATS[what]
        rows = [(row, load) for row, load in rows if not ROWS or row.startswith(ROWS)]
        memory = far_store.place()
        with tempfile.TemporaryDirectory(prefix="compare-", dir=PLACE) as directory:
            try:
                chosen = brokers(program, Path(directory), memory, names)
                write_table(what, run_rounds(programs, chosen, rows))
            finally:
                shutil.rmtree(memory, ignore_errors=True)


if __name__ == "__main__":
    main()
