#!/usr/bin/env python3
"""The quick ones of librdkafka's own tests, against three agents; test/interop has all of them.

Skipped by name where they can be neither found nor built.
timeout: 900 s
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import suite  # noqa: E402
from cluster import Cluster  # noqa: E402
from node import program  # noqa: E402
from scenario import Scenario, say, skip_all  # noqa: E402

# Seconds each, and one of nearly everything: what they take together is what CI has for them.
QUICK = ("0002", "0003", "0005", "0007", "0008", "0012", "0013", "0022", "0029", "0031", "0034",
         "0036", "0039", "0048", "0054", "0057", "0060", "0063", "0064", "0065", "0070", "0073",
         "0085", "0099", "0101", "0112", "0130", "0140")
AT_A_TIME = 3

why = suite.missing()
if why:
    skip_all(why)
try:
    suite.build(say)
except (subprocess.SubprocessError, OSError) as error:
    skip_all(f"librdkafka's tests cannot be built here: {error}")


def run(mode, setup, names, at_a_time):
    numbers = sorted({name[:4] for name in names})
    log = s.scratch / f"{mode}.log"
    results = suite.run(",".join(numbers), "default", names, mode, setup.brokers, log,
                        at_a_time=at_a_time)
    if any(result.verdict != "pass" for result in results):
        for line in suite.complaints(log.read_text(errors="replace")):
            say(line)
    return {result.name: result for result in results}


with Scenario() as s:
    everything = suite.broker_tests()
    wanted = [name for name, scenario in everything.items()
              if name[:4] in QUICK and scenario == "default"]
    with Cluster(Path(program()), s.scratch, say) as cluster:
        setup = cluster.setup_for("", "default", scripts=False)
        s.nodes += cluster.nodes
        for mode in suite.SERVED:
            results = run(mode, setup, wanted, AT_A_TIME)
            # Some allow a second for what takes longer where the machine does other things too.
            for name in [name for name in wanted if results[name].verdict != "pass"]:
                say(f"{name} once more, alone")
                results.update(run(mode, setup, [name], 1))
            for name in wanted:
                with s.test(f"librdkafka's {name} passes ({mode})"):
                    assert results[name].verdict == "pass", results[name].why
