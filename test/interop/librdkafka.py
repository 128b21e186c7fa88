#!/usr/bin/env python3
"""librdkafka's own tests against a cluster of three agents, and the list of what they say.

usage: librdkafka.py HANSE SCRATCH [--mode MODE]... [--jobs N] [--keep-list] [NNNN...]

Without numbers all of them run, in all modes, and librdkafka.md beside this file is written again,
unless something does not pass which it says passes: then the new one is left in SCRATCH.  Fails in
that case, and when a test does not pass and librdkafka.reasons does not say why.
"""

import argparse
import queue
import re
import shutil
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))

import suite  # noqa: E402
from cluster import Cluster  # noqa: E402

LIST = HERE / "librdkafka.md"
REASONS = HERE / "librdkafka.reasons"
TITLES = {"default": "default", "idempotent": "`-P`", "consumer": "KIP-848"}
INTRODUCTION = """# What librdkafka's own tests say

`make interop` runs the tests of librdkafka {version} that need a broker and are not about share
groups against `hanse serve` with three agents on an empty bucket, and writes this file: as they
are, with idempotence (`-P`), and with the consumer groups of KIP-848. What did not pass beside
another test was run again alone.

{counts}

"""


def say(text):
    print(f"interop: {text}", file=sys.stderr, flush=True)


# --- running ------------------------------------------------------------------------------------

class Runner:
    def __init__(self, cluster, logs, jobs):
        self.cluster, self.logs, self.jobs = cluster, logs, jobs
        self.all = suite.broker_tests()

    def run_one(self, mode, number, scenario):
        wanted = [name for name, where in self.all.items()
                  if name.startswith(number) and where == scenario]
        log = self.logs / f"{mode}-{number}-{scenario}.log"
        setup = self.cluster.setup_for(number, scenario)
        return suite.run(number, scenario, wanted, mode, setup.brokers, log, setup.configuration,
                         setup.environment, setup.kafka_path)

    def run_many(self, mode, tasks, jobs):
        todo, results = queue.Queue(), {}
        for task in tasks:
            todo.put(task)

        def work():
            while True:
                try:
                    number, scenario = todo.get_nowait()
                except queue.Empty:
                    return
                for result in self.run_one(mode, number, scenario):
                    results[result.name] = result
                    say(f"{mode:10} {result.name:46} {result.verdict} {result.seconds:5.0f} s "
                        f"{result.why[:120] if result.verdict != 'pass' else ''}")

        threads = [threading.Thread(target=work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def run_mode(self, mode, numbers):
        tasks = sorted({(name[:4], scenario) for name, scenario in self.all.items()
                        if not numbers or name[:4] in numbers})
        # The longest first, so that nobody waits for it at the end.
        tasks.sort(key=lambda task: task[0] != "0113")
        results = self.run_many(mode, tasks, self.jobs)
        again = sorted({(name[:4], self.all[name]) for name, result in results.items()
                        if result.verdict == "fail"})
        if self.jobs > 1 and again:
            say(f"{mode}: {len(again)} once more, alone")
            results.update(self.run_many(mode, again, 1))
        return results


# --- the list -----------------------------------------------------------------------------------

def read_list():
    """{(name, mode): verdict} as the list says."""
    said = {}
    modes = []
    for line in LIST.read_text().splitlines() if LIST.exists() else []:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "test":
            modes = [mode for title in cells for mode in TITLES if TITLES[mode] == title]
        elif re.match(r"[0-9]{4}_", cells[0]):
            said.update({(cells[0], mode): verdict
                         for mode, verdict in zip(modes, cells[1:1 + len(modes)])})
    return said


def read_reasons():
    """{name or number, with :mode or without: sentence}"""
    lines = [line.split(None, 1) for line in REASONS.read_text().splitlines()
             if line.strip() and not line.startswith("#")]
    return {key: sentence for key, sentence in lines}


def reason(reasons, name, mode):
    for key in (f"{name}:{mode}", f"{name[:4]}:{mode}", name, name[:4]):
        if key in reasons:
            return reasons[key]
    return ""


def write_list(path, verdicts, modes):
    """`verdicts`: {(name, mode): verdict}"""
    reasons = read_reasons()
    names = sorted({name for name, _ in verdicts})
    counts = []
    for mode in modes:
        here = [verdicts.get((name, mode)) for name in names]
        counts.append(f"- {TITLES[mode]}: {here.count('pass')} of {len(names)} passed, "
                      f"{here.count('fail')} failed, {here.count('skip')} skipped")
    with open(path, "w") as out:
        out.write(INTRODUCTION.format(version=suite.VERSION, counts="\n".join(counts)))
        out.write(f"| test | {' | '.join(TITLES[mode] for mode in modes)} | why |\n")
        out.write("|---" * (len(modes) + 2) + "|\n")
        for name in names:
            row = [verdicts.get((name, mode), "") for mode in modes]
            why = {reason(reasons, name, mode): mode for mode, verdict in zip(modes, row)
                   if verdict not in ("pass", "")}
            out.write(f"| {name} | {' | '.join(row)} | {'; '.join(w for w in why if w)} |\n")


def judge(results, said):
    """What is worse than the list says, and what nobody explains, as sentences."""
    reasons = read_reasons()
    complaints = []
    for (name, mode), result in sorted(results.items()):
        if result.verdict == "pass":
            continue
        if said.get((name, mode)) == "pass":
            complaints.append(f"{name} does not pass any more ({mode}): {result.why}")
        elif not reason(reasons, name, mode):
            complaints.append(f"{name} does not pass ({mode}), and nobody says why: {result.why}")
    return complaints


# --------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hanse", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--mode", action="append", choices=suite.MODES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep-list", action="store_true")
    parser.add_argument("numbers", nargs="*")
    o = parser.parse_intermixed_args()
    modes = o.mode or list(suite.MODES)
    suite.build(say)
    logs = o.scratch.resolve() / "log"
    logs.mkdir(parents=True, exist_ok=True)
    results = {}
    with Cluster(o.hanse.resolve(), o.scratch.resolve(), say) as cluster:
        for mode in modes:
            found = Runner(cluster, logs, o.jobs).run_mode(mode, o.numbers)
            results.update({(name, mode): result for name, result in found.items()})
    said = read_list()
    verdicts = {} if not o.numbers and not o.mode else dict(said)
    verdicts.update({key: result.verdict for key, result in results.items()})
    new = o.scratch / "librdkafka.md"
    write_list(new, verdicts, list(suite.MODES))
    complaints = judge(results, said)
    for complaint in complaints:
        say(complaint)
    passed = sum(result.verdict == "pass" for result in results.values())
    say(f"{passed} of {len(results)} passed")
    if o.keep_list or any(" any more " in complaint for complaint in complaints):
        say(f"{LIST} is left as it is, the new one is {new}")
    else:
        shutil.copy(new, LIST)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
