"""librdkafka's own tests: fetched through npm, built once below the cache, run by number.

They lie in ${XDG_CACHE_HOME:-~/.cache}/hanse/librdkafka-2.15.1; nothing of them is in this
repository.  They are built without optimisation: what is judged is the broker.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

VERSION = "2.15.1"
PACKAGE = "@confluentinc/kafka-javascript@1.10.1"  # it ships that version with its tests
BROKER_VERSION = "4.1.0"  # what the tests take the broker for: 4.2 has share groups
# What a mode adds to the command, the environment and the client's configuration.
MODES = {
    "default": {},
    "idempotent": {"flags": ["-P"]},
    "consumer": {"environment": {"TEST_CONSUMER_GROUP_PROTOCOL": "consumer"},
                 "configuration": ["group.protocol=consumer"]},
}
SERVED = ("default", "idempotent")  # the modes in which every client should find its way
LIMIT_S = 600
LIMITS_S = {"0113": 1200}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SAID = re.compile(r"^### Test \"([0-9]{4}_\w+)[^\n]* failed at ([^ ]+) at .*###\n(.*)$", re.M)
ROW = re.compile(r"^\| *([0-9]{4}_\S+) *\| *([A-Z]+) *\| *([0-9.]+)s *\|? *(.*)$")
ENTRY = re.compile(r"_TEST\(\s*([0-9]{4}_\w+),(.*?)(?=_TEST\(|\Z)", re.S)
NEEDED = ("npm", "gcc", "g++", "make", "stdbuf")


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hanse"


def directory():
    return cache() / f"librdkafka-{VERSION}"


def missing():
    """Why it can be neither found nor built here, or None."""
    if (directory() / "tests/test-runner").exists():
        return None
    absent = [name for name in NEEDED if not shutil.which(name)]
    return f"librdkafka's tests are not built, and without {absent[0]}" if absent else None


def build(say):
    """Fetches and builds unless that was done; raises CalledProcessError where it cannot be."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "librdkafka.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = directory()
        if (home / "tests/test-runner").exists():
            return home
        shutil.rmtree(home, ignore_errors=True)
        say(f"fetching {PACKAGE}")
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=scratch, check=True,
                           stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=300)
            archive = next(Path(scratch).glob("*.tgz"))
            inside = "package/deps/librdkafka"
            subprocess.run(["tar", "xzf", archive.name, inside], cwd=scratch, check=True)
            (Path(scratch) / inside).rename(home)
        say(f"building it (a minute or two; log: {home}/build.log)")
        begin = time.monotonic()
        with open(home / "build.log", "w") as log:
            for command in (["bash", "./configure", "--disable-curl", "--disable-gssapi",
                             "--disable-optimization", "--disable-debug-symbols"],
                            ["make", "-j2", "libs"],
                            ["make", "-j2", "-C", "tests", "interceptor_test", "test-runner"]):
                if command[0] == "make":
                    (home / "lds-gen.py").chmod(0o755)
                subprocess.run(command, cwd=home, check=True, stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log)
        say(f"built in {time.monotonic() - begin:.0f} s")
        return home


def broker_tests():
    """{name: scenario} of the tests that need a broker, no person, and no share groups."""
    text = (directory() / "tests/test.c").read_text()
    table = re.search(r"^struct test tests\[\].*?^};", text, re.S | re.M)[0]
    found = {}
    for name, rest in ENTRY.findall(table):
        if "TEST_F_LOCAL" in rest or "TEST_F_MANUAL" in rest or "_share_consumer_" in name:
            continue
        scenario = re.search(r'\.scenario = "(\w+)', rest)
        found[name] = scenario[1] if scenario else "default"
    return found


class Result:
    def __init__(self, name, verdict, seconds, why=""):
        self.name, self.verdict, self.seconds, self.why = name, verdict, seconds, why


def read_log(text, wanted, seconds):
    """The results in what the runner printed; who was running when it ended has failed."""
    found, running = {}, None
    text = COLOUR.sub("", text)
    said = {name: f"{where}: {why}" for name, where, why in reversed(SAID.findall(text))}
    for line in text.splitlines():
        begun = re.search(r"Running test ([0-9]{4}_\S+)", line)
        row = ROW.match(line)
        if begun:
            running = begun[1]
        elif row and row[1] in wanted:
            verdict = {"PASSED": "pass", "SKIPPED": "skip"}.get(row[2], "fail")
            found[row[1]] = Result(row[1], verdict, float(row[3]), row[4].strip(" |"))
            running = None if running == row[1] else running
    for name in wanted:
        if name not in found:
            why = "was still running" if name == running else "was not reported"
            found[name] = Result(name, "fail", seconds, why)
        if name in said and found[name].verdict == "fail":
            found[name].why = said[name]
    return list(found.values())


def complaints(text):
    """The lines of a log to look at when something failed."""
    lines = COLOUR.sub("", text).splitlines()
    striking = [line for line in lines if re.search("FAIL|WARN|###|[Aa]ssert", line)]
    return striking[-40:] + lines[-20:]


def run(numbers, scenario, wanted, mode, brokers, log_path, configuration=(), environment=None,
        kafka_path=None, at_a_time=1):
    """Runs the tests with these numbers that are in `wanted`, and returns their results."""
    tests = directory() / "tests"
    settings = MODES[mode]
    conf = log_path.with_suffix(".conf")
    conf.write_text("".join(f"{line}\n" for line in [
        f"bootstrap.servers={brokers}", "test.topic.random=true", "test.timeout.multiplier=2",
        *configuration, *settings.get("configuration", [])]))
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    # By the line, or the report of a runner that aborts afterwards is lost.
    command = ["stdbuf", "-oL", "./test-runner", f"-p{at_a_time}", "-L", "-s", scenario,
               *settings.get("flags", [])]
    begin = time.monotonic()
    with open(log_path, "w") as log:
        process = subprocess.Popen(
            command, cwd=tests, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
            env={**inherited, "TESTS": numbers, "TEST_KAFKA_VERSION": BROKER_VERSION,
                 "LD_LIBRARY_PATH": "../src:../src-cpp", "RDKAFKA_TEST_CONF": str(conf),
                 "BROKERS": brokers, **({"KAFKA_PATH": str(kafka_path)} if kafka_path else {}),
                 **settings.get("environment", {}), **(environment or {})})
        try:
            process.wait(LIMITS_S.get(numbers, LIMIT_S))
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    return read_log(log_path.read_text(errors="replace"), wanted, time.monotonic() - begin)
