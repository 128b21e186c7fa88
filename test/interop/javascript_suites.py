"""The tests of two clients written in JavaScript: where they come from, how they are run.

The packages in npm lack them, so they are taken out of a git repository, which is found in
$HANSE_KAFKAJS or $HANSE_PLATFORMATIC, or below the cache; the pinned hash of a tree is the checksum
of all that is taken.  What the tests need beside it comes through npm.  Nothing is edited.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from suite import cache

HERE = Path(__file__).resolve().parent
INSTALL_S = 900
FILE_S = 600


class Result:
    def __init__(self, file, name, verdict, seconds=0.0, why=""):
        self.file, self.name, self.verdict = file, name, verdict
        self.seconds, self.why = seconds, why


class Suite:
    """What both have in common."""
    name = version = tree = origin = variable = ""
    packages = ()
    is_one_batch = True  # its files of tests may share their brokers
    node_min = (20, 19, 4)

    def repository(self):
        return Path(os.environ.get(self.variable) or cache() / f"{self.name}.git")

    def directory(self):
        return cache() / f"{self.name}-{self.version}"

    def missing(self):
        """Why it can be neither found nor made here, or None."""
        for program in ("node", "npm", "git"):
            if not shutil.which(program):
                return f"{self.name}'s tests: {program} is not installed"
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        if tuple(map(int, told.stdout.strip().lstrip("v").split("."))) < self.node_min:
            return f"{self.name}'s tests need Node {'.'.join(map(str, self.node_min))}"
        if (self.directory() / "complete").exists():
            return None
        found = subprocess.run(["git", "-C", self.repository(), "cat-file", "-t", self.tree],
                               capture_output=True, text=True, check=False)
        if found.stdout.strip() != "tree":
            return (f"{self.name}'s tests are not in {self.repository()}; git clone --bare --depth "
                    f"1 --branch v{self.version} {self.origin} {self.repository()}")
        return None

    def prepare(self, say):
        """Its directory; raises CalledProcessError where it cannot be made."""
        cache().mkdir(parents=True, exist_ok=True)
        home = self.directory()
        with open(cache() / f"{self.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (home / "complete").exists():
                return home
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            with tempfile.NamedTemporaryFile(dir=cache(), suffix=".tar") as archive:
                subprocess.run(["git", "-C", self.repository(), "archive", "-o", archive.name,
                                self.tree], check=True)
                subprocess.run(["tar", "xf", archive.name, "-C", home], check=True)
            say(f"{self.name} {self.version}: fetching {len(self.packages)} packages through npm")
            with tempfile.TemporaryDirectory(dir=cache()) as scratch:
                subprocess.run(["npm", "install", "--no-save", "--no-audit", "--no-fund",
                                "--ignore-scripts", "--silent", *self.packages], cwd=scratch,
                               check=True, stdin=subprocess.DEVNULL, timeout=INSTALL_S)
                (Path(scratch) / "node_modules").rename(home / "node_modules")
            (home / "complete").touch()
            return home

    def run(self, command, environment, log_path, limit_s):
        with open(log_path, "w") as log:
            process = subprocess.Popen(command, cwd=self.directory(), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True,
                                       env={**os.environ, **environment})
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()


class KafkaJS(Suite):
    name, version, variable = "kafkajs", "2.2.4", "HANSE_KAFKAJS"
    tree = "3a088fb26ce4a49b6cc91c144059677f5c4a8d0e"
    origin = "https://github.com/tulios/kafkajs"
    packages = ("execa@2.0.3", "glob@7.1.4", "ip@1.1.5", "jest@25.5.4", "jest-circus@25.5.4",
                "jest-extended@0.11.5", "jsonwebtoken@9.0.0", "mockdate@2.0.5", "semver@6.3.0",
                "uuid@3.4.0")
    # Who calls one of these needs a broker.
    helpers = ("createTopic", "createCluster", "onnectionOpts", "ConnectionPool", "rokers(",
               "createConnectionBuilder")

    def files(self):
        home = self.directory()
        return sorted(str(path.relative_to(home)) for path in home.glob("src/**/*.spec.js")
                      if any(word in path.read_text() for word in self.helpers))

    def run_files(self, files, scratch, environment):
        """Runs these, two at a time, and returns a result of each test."""
        report, results = scratch / "report.json", []
        report.unlink(missing_ok=True)
        begin = time.monotonic()
        self.run(["node", "node_modules/jest/bin/jest.js", "--ci", "--forceExit",
                  f"--maxWorkers={min(2, len(files))}", "--reporters=default", "--json",
                  f"--outputFile={report}", "--runTestsByPath", *files],
                 {"NODE_ENV": "test", "KAFKA_VERSION": "2.4", **environment},
                 scratch / f"{len(files)}.log", FILE_S + FILE_S // 10 * len(files))
        told = {}
        if report.exists():
            told = {str(Path(file["name"]).relative_to(self.directory().resolve())): file
                    for file in json.loads(report.read_text())["testResults"]}
        for file in files:
            tests = told[file]["assertionResults"] if file in told else []
            if not tests:
                why = told[file]["message"] if file in told else "did not come to its end"
                results.append(Result(file, "", "fail", time.monotonic() - begin, why[:400]))
                continue
            took = (told[file]["endTime"] - told[file]["startTime"]) / 1000
            for test in tests:
                verdict = {"passed": "pass", "failed": "fail"}.get(test["status"], "skip")
                why = " ".join("".join(test["failureMessages"])[:600].split())
                results.append(Result(file, test["fullName"], verdict, took / len(tests), why))
        return results


class Platformatic(Suite):
    is_one_batch = False  # one makes access lists, after which a stranger may nothing
    name, version, variable = "platformatic-kafka", "1.34.0", "HANSE_PLATFORMATIC"
    tree = "015696af45d20ae6522bfc71f7c7e876f8635f95"
    origin = "https://github.com/platformatic/kafka"
    packages = ("@platformatic/dynamic-buffer@0.3.1", "@platformatic/wasm-utils@0.2.1",
                "@node-rs/crc32@1.10.6", "@swc-node/register@1.11.1", "@watchable/unpromise@1.0.2",
                "ajv@8.17.1", "avsc@5.7.9", "debug@4.4.3", "fast-jwt@6.0.2", "fastq@1.19.1",
                "lz4-napi@2.9.0", "mnemonist@0.40.3", "prom-client@15.1.3", "protobufjs@8.0.0",
                "scule@1.3.0", "semver@7.7.2", "snappy@7.3.3", "typescript@5.9.2")

    def files(self):
        """Without those that need a server of schemas."""
        home = self.directory()
        return sorted(str(path.relative_to(home)) for path in home.glob("test/**/*.test.ts")
                      if path.parent.name != "registries"
                      and re.search("helpers.ts'|fixtures/create-users", path.read_text()))

    def run_files(self, files, scratch, environment):
        results = []
        for file in files:
            report = scratch / (file.replace("/", "+") + ".jsonl")
            report.unlink(missing_ok=True)
            begin = time.monotonic()
            self.run(["node", "--import", "@swc-node/register/esm-register", "--test",
                      f"--test-reporter={HERE / 'report.mjs'}",
                      f"--test-reporter-destination={report}", "--test-timeout=500000", file],
                     {"KAFKA_VERSION": "8.0.0", **environment}, report.with_suffix(".log"), FILE_S)
            lines = report.read_text().splitlines() if report.exists() else []
            for line in lines:
                test = json.loads(line)
                why = " ".join(test["why"][:600].split())
                results.append(Result(file, test["name"], test["verdict"], test["seconds"], why))
            if not lines:
                took = time.monotonic() - begin
                results.append(Result(file, "", "fail", took, "did not come to its end"))
        return results


SUITES = {suite.name: suite for suite in (KafkaJS(), Platformatic())}
