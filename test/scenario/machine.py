"""A machine of the mesh: `hanse up` with its state, on a host of lab.py or, without a device, on
this one.

    first = Machine(s, "first", where=host, options=["--address", host.private])
    first.start()                     # until it says what to run on the next machine
    other = Machine(s, "other", where=another, join=first.key)
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from node import children_of, free_port, program, words_of
from scenario import Ended, wait_until

START_S = 20
STOP_S = 60


class Machine:
    def __init__(self, scenario, name, where=None, join=None, options=()):
        self.name, self.where, self.join = name, where, join
        self.options = [str(option) for option in options]
        self.state = Path(scenario.scratch) / f"state-{name}"
        self.run_dir = Path(scenario.scratch) / f"run-{name}"
        self.hosts = Path(scenario.scratch) / f"hosts-{name}"
        self.log_path = Path(scenario.scratch) / f"{name}.log"
        for directory in [self.state, self.run_dir]:
            directory.mkdir(mode=0o700, exist_ok=True)
        self.hosts.write_text("127.0.0.1 localhost\n")
        # Its options come as flags only.
        self.environment = {word: value for word, value in os.environ.items()
                            if not word.startswith("HANSE_")}
        self.process = None
        scenario.nodes.append(self)  # its log is looked through, and it is killed at the end

    # --- the program ------------------------------------------------------------------------------

    def command(self):
        join = ["--join", self.join] if self.join else []
        return [program(), "up", "--state", str(self.state), "--run-dir", str(self.run_dir),
                "--name", self.name, "--hosts", str(self.hosts), *join, *self.options]

    def launch(self):
        """Start it and do not wait for anything."""
        self.log_begin = len(self.log())
        with open(self.log_path, "ab") as log:
            settings = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log,
                        "env": self.environment}
            if self.where:
                self.process = self.where.spawn(*self.command(), **settings)
            else:
                self.process = subprocess.Popen(self.command(), **settings)

    def start(self, timeout_s=START_S):
        self.launch()
        self.wait_for(r"This machine is|Hanse is up", timeout_s)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_S)
        self.process = None
        return status

    def kill(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
        self.process = None

    # --- what it says -----------------------------------------------------------------------------

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_lines(self):
        return self.log().splitlines()

    def wait_for(self, pattern, timeout_s=START_S):
        """What the program said since its last start, as a match."""
        def said():
            found = re.search(pattern, self.log()[self.log_begin:])
            if not found and self.process.poll() is not None:
                raise Ended(f"{self.name} ended: {self.log()[-2000:]}")
            return found
        return wait_until(said, timeout_s, f"{self.name} says {pattern}")

    @property
    def key(self):
        """For `hanse up --join` on the next machine."""
        return self.wait_for(r"hanse up --join (\S+)")[1]

    @property
    def official_words(self):
        """What the official client is told: where control is, and a key."""
        found = self.wait_for(r"tailscale up --login-server (\S+) --auth-key (\S+)")
        return found[1], found[2]

    def roles(self):
        """Its processes, by role."""
        found = {}
        for pid in children_of(self.process.pid):
            words = words_of(pid)  # none when it has just ended
            if len(words) > 1 and words[1].startswith("role:"):
                found[words[1].removeprefix("role:")] = pid
        return found

    # --- its commands -----------------------------------------------------------------------------

    def run(self, *command, check=True, **settings):
        """`hanse COMMAND` for this machine; its output is stdout as text, with stderr in it."""
        words = [program(), *map(str, command), "--run-dir", str(self.run_dir)]
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True,
                    "timeout": 120, "env": self.environment, **settings}
        if self.where:
            return self.where.run(*words, check=check, **settings)
        done = subprocess.run(words, **settings)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: hanse {' '.join(map(str, command))}: "
                                 f"{done.returncode}\n{done.stdout}")
        return done

    def json(self, *command):
        return json.loads(self.run(*command, "--json").stdout)

    # --- control ----------------------------------------------------------------------------------

    def ask(self, method, path, body=None, status=200):
        """The admin API of control, which only this machine's users reach."""
        connection = UnixConnection(self.run_dir / "realm.sock")
        connection.request(method, "/v1/" + path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == status, f"{method} {path}: {answer.status} {text}"
        return json.loads(text)

    def known(self, name):
        """A machine as control lists it, or None."""
        return next((machine for machine in self.ask("GET", "machines")["machines"]
                     if machine["name"] == name), None)

    def new_key(self, **wishes):
        """(for ours, for the official client)"""
        key = self.ask("POST", "keys", wishes)
        return key["key"], key["secret"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def control_options(host="127.0.0.1", realm=None, relay=None, stun=None):
    """Control and a relay on this machine, at ports nobody has."""
    realm, relay, stun = realm or free_port(), relay or free_port(), stun or free_udp_port()
    return ["--roles", "realm,relay", "--address", host, "--realm", f"{host}:{realm}",
            "--relay", f"{host}:{relay}", "--stun", f"{host}:{stun}"]


def free_udp_port():
    return free_port(socket.SOCK_DGRAM)
