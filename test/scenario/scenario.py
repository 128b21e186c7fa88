"""What scenarios are made of: TAP, a scratch directory, and an end that leaves nothing behind.

    with Scenario() as s:
        node = s.node()
        node.start()
        with s.test("what was written can be read"):
            assert ...

A test is a sentence and a block; whatever the block raises makes it fail, and the scenario goes on.
When the scenario ends, everything it started is killed, and one more test looks for sanitizer
reports and failed assertions in what the nodes said.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from node import Node

ROOT = Path(__file__).resolve().parent.parent.parent
LOG_LINES_SHOWN = 40
PATIENCE = 4  # times what something takes at most, on a machine with others on it
# What a node must never say.
BROKEN = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|[Aa]ssertion.*failed|SUMMARY: ")


class Skip(Exception):
    """Raised in a test: it cannot run here, and the text says why."""


class Ended(Exception):
    """A process is no more, and waiting for it is in vain."""


class Deadline(AssertionError):
    """Something did not happen in time."""


def wait_until(condition, timeout_s, what):
    """The first true value of condition(), which is not true yet when a command or a connection
    in it fails.  timeout_s is what it takes at most where nothing else runs, and PATIENCE times
    that is what it gets: no test is about the difference.  What must be quick is measured."""
    timeout_s *= PATIENCE
    end = time.monotonic() + timeout_s
    why = ""
    while True:
        try:
            value = condition()
            if value:
                return value
            why = ""
        except (AssertionError, LookupError, OSError, subprocess.TimeoutExpired) as error:
            why = f": {error}"
        if time.monotonic() > end:
            raise Deadline(f"not within {timeout_s} s: {what}{why}")
        time.sleep(0.02)


def say(text):
    print(f"# {text}", flush=True)


class Scenario:
    def __init__(self, checks_logs=True):
        self.scratch = Path(tempfile.mkdtemp(prefix="s-"))
        self.count = 0
        self.failures = 0
        self.nodes = []
        self.processes = []
        self.checks_logs = checks_logs
        self.at_end = contextlib.ExitStack()

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        return self

    # --- tests ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def test(self, sentence):
        begin = time.monotonic()
        word, rest = "ok", ""
        try:
            yield
        except Skip as why:
            rest = f" # SKIP {why}"
        except Exception:
            word = "not ok"
            self.failures += 1
            for line in traceback.format_exc().rstrip().splitlines():
                say(line)
        self.count += 1
        print(f"{word} {self.count} - {sentence}{rest}", flush=True)
        say(f"{time.monotonic() - begin:.1f} s")

    def seed(self):
        """A seed that is printed, and can be given again as SEED."""
        seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
        say(f"SEED={seed}")
        return random.Random(seed)

    # --- what it starts --------------------------------------------------------------------------

    def node(self, name="a", **settings):
        node = Node(self.scratch, name, **settings)
        self.nodes.append(node)
        return node

    def spawn(self, *command, **settings):
        """A process that ends with the scenario."""
        process = subprocess.Popen([str(word) for word in command], **settings)
        self.processes.append(process)
        return process

    # --- the end ---------------------------------------------------------------------------------

    def check_logs(self):
        with self.test("no process reported a bug of its own"):
            found = []
            for node in self.nodes:
                found += [f"{node.name}: {line}" for line in node.log_lines()
                          if BROKEN.search(line)]
            assert not found, "\n".join(found[:20])

    def show_logs(self):
        for node in self.nodes:
            say(f"the last lines of node {node.name}:")
            for line in node.log_lines()[-LOG_LINES_SHOWN:]:
                say(f"  {line}")

    def __exit__(self, kind, error, trace):
        for node in self.nodes:
            node.kill()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.at_end.close()
        if kind is None and self.checks_logs:
            self.check_logs()
        if kind is not None and issubclass(kind, Exception):
            for line in traceback.format_exception(kind, error, trace):
                say(line.rstrip().replace("\n", "\n# "))
            print(f"Bail out! {error}", flush=True)
            self.failures += 1
        if self.failures:
            self.show_logs()
        print(f"1..{self.count}", flush=True)
        if not (self.failures and os.environ.get("KEEP")):
            shutil.rmtree(self.scratch, ignore_errors=True)
        if kind is None or issubclass(kind, Exception):
            os._exit(1 if self.failures else 0)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)
