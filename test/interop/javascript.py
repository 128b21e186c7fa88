#!/usr/bin/env python3
"""The tests of kafkajs and of @platformatic/kafka that need a broker, and lists of what they say.

usage: javascript.py HANSE SCRATCH [--suite SUITE]... [--keep-list] [FILE...]

FILE: only the files of tests in whose path one of these is.  Without, all of them run, and SUITE.md
beside this file is written again, unless something does not pass which it says passes: then the new
one is left in SCRATCH.  Fails in that case, and when a test does not pass and SUITE.reasons does
not say why.  A suite that is not to be had here is skipped, which is said.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))

import fixed_ports  # noqa: E402
from javascript_suites import SUITES, Result  # noqa: E402

INTRODUCTION = """# What the tests of {name} {version} say

`make interop-javascript` runs those of its tests that need a broker against `hanse serve`, and
writes this file. What failed and is not explained was run a second time.

{passed} of {all} passed, {failed} failed, {skipped} skipped.

| file | passed | failed | skipped |
|---|---|---|---|
{files}
{others}"""
OTHERS = """
## What did not pass

| test | | why |
|---|---|---|
"""


def say(text):
    print(f"interop: {text}", file=sys.stderr, flush=True)


def list_of(suite):
    return HERE / f"{suite.name}.md"


def read_reasons(suite):
    """[(file, words of the name, sentence)]"""
    path = HERE / f"{suite.name}.reasons"
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"] \
        if path.exists() else []
    return [tuple(part.strip() for part in line.split("|", 2)) for line in lines]


def reason(reasons, result):
    for file, words, sentence in reasons:
        if file in result.file and words in result.name:
            return sentence
    return ""


def unexplained(suite, results):
    reasons = read_reasons(suite)
    return [result for result in results
            if result.verdict != "pass" and not reason(reasons, result)]


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def title(result):
    return f"{result.file}: {result.name}" if result.name else result.file


def read_list(suite):
    """{file: number that passed}"""
    path, said = list_of(suite), {}
    for line in path.read_text().splitlines() if path.exists() else []:
        cells = [part.strip() for part in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].isdigit():
            said[cells[0]] = int(cells[1])
    return said


def count(results, verdict):
    return sum(result.verdict == verdict for result in results)


def write_list(suite, path, by_file):
    reasons = read_reasons(suite)
    results = [result for found in by_file.values() for result in found]
    files = [f"| {file} | {count(found, 'pass')} | {count(found, 'fail')} | "
             f"{count(found, 'skip')} |" for file, found in sorted(by_file.items())]
    others = [f"| {cell(title(result))} | {result.verdict} | {reason(reasons, result)} |"
              for result in results if result.verdict != "pass"]
    path.write_text(INTRODUCTION.format(
        name=suite.name, version=suite.version, passed=count(results, "pass"), all=len(results),
        failed=count(results, "fail"), skipped=count(results, "skip"), files="\n".join(files),
        others=OTHERS + "\n".join(others) + "\n" if others else ""))


def judge(suite, by_file):
    """What is worse than the list says, and what nobody explains, as sentences."""
    said, complaints = read_list(suite), []
    for file, found in by_file.items():
        if count(found, "pass") < said.get(file, 0):
            complaints.append(f"{file}: {count(found, 'pass')} passed, and not {said[file]} any "
                              "more")
        complaints += [f"{title(result)}: {result.verdict}, and nobody says why: "
                       f"{result.why[:300]}" for result in unexplained(suite, found)]
    return complaints


def keep(path, by_file, is_all):
    """Writes the results down, and returns them with those of other files from earlier runs."""
    earlier = json.loads(path.read_text()) if path.exists() and not is_all else {}
    rows = {file: [vars(result) for result in found] for file, found in by_file.items()}
    path.write_text(json.dumps({**earlier, **rows}))
    return {file: [Result(**row) for row in told] for file, told in {**earlier, **rows}.items()}


def tell(by_file):
    for file, found in by_file.items():
        say(f"{file:62} {count(found, 'pass'):3} passed, {count(found, 'fail'):2} failed, "
            f"{count(found, 'skip'):2} skipped, {sum(r.seconds for r in found):4.0f} s")
        for result in found:
            if result.verdict == "fail":
                say(f"    {result.name}: {result.why[:200]}")


def run_batch(suite, files, brokers, scratch):
    """What these say, against these brokers."""
    environment, by_file = brokers.begin(suite), {}
    for result in suite.run_files(files, scratch, environment):
        by_file.setdefault(result.file, []).append(result)
    tell(by_file)
    for file in files:
        if not count(unexplained(suite, by_file[file]), "fail"):
            continue
        again = suite.run_files([file], scratch, environment)
        if count(again, "fail") < count(by_file[file], "fail"):
            by_file[file] = again
            tell({file: again})
    return by_file


def run(suite, o):
    """Complaints about it."""
    scratch = o.scratch.resolve() / suite.name
    scratch.mkdir(parents=True, exist_ok=True)
    by_file = {}
    files = [file for file in suite.files()
             if not o.files or any(word in file for word in o.files)]
    if not files:
        return []
    batches = [files] if suite.is_one_batch else [[file] for file in files]
    for batch in batches:
        with fixed_ports.Brokers(o.hanse.resolve(), scratch, say) as brokers:
            by_file.update(run_batch(suite, batch, brokers, scratch))
    by_file = keep(scratch / "results.json", by_file, len(files) == len(suite.files()))
    complaints = judge(suite, {file: by_file[file] for file in files})
    new = scratch.parent / list_of(suite).name
    write_list(suite, new, by_file)
    is_part = len(files) < len(suite.files())
    if is_part or o.keep_list or any(" any more" in complaint for complaint in complaints):
        say(f"{list_of(suite)} is left as it is, the new one is {new}")
    else:
        shutil.copy(new, list_of(suite))
    return complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hanse", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument("--keep-list", action="store_true")
    parser.add_argument("files", nargs="*")
    o = parser.parse_intermixed_args()
    wanted = [SUITES[name] for name in o.suite or SUITES]
    if not fixed_ports.may_enter():
        say("skipped: unshare(1) may not make a network namespace here")
        return 0
    found = []
    for suite in wanted:
        why = suite.missing()
        try:
            if not why:
                suite.prepare(say)
                found.append(suite)
        except (subprocess.SubprocessError, OSError) as error:
            why = f"{suite.name}'s tests cannot be made ready: {error}"
        if why:
            say(f"skipped: {why}")
    fixed_ports.enter()
    complaints = [complaint for suite in found for complaint in run(suite, o)]
    for complaint in complaints:
        say(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
