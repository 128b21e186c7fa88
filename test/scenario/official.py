"""The official Tailscale client, built from its source, as it comes.

    official = find()                       # or skip_all(why_not())
    phone = official.machine(scratch, "phone", where=host)
    phone.start()
    phone.up("http://10.99.0.2:8641", key)
    phone.run("ping", "-c1", "laptop")

The programs are looked for in $HANSE_TAILSCALE, then in the cache, where they are built once by Go
1.26 or newer; that takes some minutes the first time.  $HANSE_TAILSCALE_OLD is where an old version
is.  Without a host a machine runs on this one, with no rights and no network device of its own.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from scenario import Deadline, Ended, wait_until

VERSION = "1.102.3"
OLD_VERSION = "1.80.3"
PROGRAMS = ["tailscale", "tailscaled", "tsp", "derpprobe", "derper", "stunc", "testcontrol"]
OLD_PROGRAMS = ["tailscale", "tailscaled"]
GO_VERSION_MIN = (1, 26)
BUILD_S = 1200

ENVIRONMENT = {
    "TS_ASSUME_NETWORK_UP_FOR_TEST": "1",
    "TS_PANIC_IF_HIT_MAIN_CONTROL": "1",
    "TS_NO_LOGS_NO_SUPPORT": "true",
    "TS_DEBUG_FIREWALL_MODE": "nftables",
    "TS_DISABLE_UPNP": "1",
    # whatever it wants from the rest of the world leads nowhere
    "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.0/8,10.0.0.0/8,100.64.0.0/10,203.0.113.0/24,localhost",
}


def find_go():
    """Go that is new enough, or None."""
    for go in [shutil.which("go"), "/usr/local/go/bin/go"]:
        if not go or not os.path.exists(go):
            continue
        words = subprocess.run([go, "version"], capture_output=True, text=True).stdout
        found = re.search(r"go(\d+)\.(\d+)", words)
        if found and (int(found[1]), int(found[2])) >= GO_VERSION_MIN:
            return go
    return None


def has_programs(directory, programs):
    return directory and all(os.access(Path(directory) / name, os.X_OK) for name in programs)


def directory(version, programs, variable):
    """Where the programs of a version are, built if need be; or None, and why not."""
    given = os.environ.get(variable)
    if given:
        return (given, None) if has_programs(given, programs) else (
            None, f"${variable} has no {', '.join(programs)}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "hanse" / f"tailscale-v{version}"
    if has_programs(place, programs):
        return str(place), None
    go = find_go()
    if not go:
        return None, (f"the official client is not there: set {variable}, or install "
                      f"Go {GO_VERSION_MIN[0]}.{GO_VERSION_MIN[1]}")
    place.mkdir(parents=True, exist_ok=True)
    with open(place.with_name(place.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who waits finds them built
        if has_programs(place, programs):
            return str(place), None
        return build(go, place, version, programs)


def build(go, place, version, programs):
    built = subprocess.run([go, "install", *[f"tailscale.com/cmd/{name}@v{version}"
                                             for name in programs]],
                           env=dict(os.environ, GOBIN=str(place), GOTOOLCHAIN="local"),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=BUILD_S)
    if built.returncode or not has_programs(place, programs):
        return None, f"the official client cannot be built: {built.stdout[-200:]}"
    return str(place), None


class Official:
    """The programs of one version."""

    def __init__(self, place, version):
        self.place, self.version = Path(place), version

    def program(self, name):
        return self.place / name

    def machine(self, scratch, name, **settings):
        return Machine(self, scratch, name, **settings)


def find():
    place, why = directory(VERSION, PROGRAMS, "HANSE_TAILSCALE")
    return Official(place, VERSION) if place else None


def find_old():
    place, why = directory(OLD_VERSION, OLD_PROGRAMS, "HANSE_TAILSCALE_OLD")
    return Official(place, OLD_VERSION) if place else None


def why_not():
    return directory(VERSION, PROGRAMS, "HANSE_TAILSCALE")[1]


def why_not_old():
    return directory(OLD_VERSION, OLD_PROGRAMS, "HANSE_TAILSCALE_OLD")[1]


class Machine:
    """One tailscaled with its state.  `where`: a host of lab.py; `has_device`: with a TUN."""

    def __init__(self, official, scratch, name, where=None, has_device=False, **environment):
        self.official, self.name, self.where = official, name, where
        self.has_device = has_device
        self.directory = Path(scratch) / f"official-{name}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.socket = self.directory / "s.sock"
        self.log_path = self.directory / "log"
        self.inbox = self.directory / "inbox"
        self.inbox.mkdir(exist_ok=True)
        self.resolver = self.directory / "resolv.conf"
        self.resolver.write_text("")
        self.environment = {**ENVIRONMENT, **environment}
        self.process = None

    # --- the daemon -------------------------------------------------------------------------------

    def command(self, is_ephemeral=False):
        state = ["--state=mem:"] if is_ephemeral else []
        device = "tailscale0" if self.has_device else "userspace-networking"
        return [self.official.program("tailscaled"), f"--tun={device}",
                f"--statedir={self.directory}", f"--socket={self.socket}", "--port=0",
                "--no-logs-no-support", "--verbose=1", *state]

    def start(self, is_ephemeral=False):
        words = [str(word) for word in self.command(is_ephemeral)]
        settings = {"stdin": subprocess.DEVNULL,
                    "env": dict(os.environ, HOME=str(self.directory), **self.environment)}
        with open(self.log_path, "ab") as log:
            settings["stdout"] = settings["stderr"] = log
            if self.where:
                files = {"/etc/resolv.conf": self.resolver} if self.has_device else None
                self.process = self.where.spawn(*words, files=files, **settings)
            else:
                self.process = subprocess.Popen(words, **settings)
        wait_until(self.answers, 20, f"{self.name}: tailscaled answers")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise Ended(f"{self.name} ended: {self.log_tail()}")
        return self.socket.exists() and self.run("status", check=False, timeout=60).returncode in (
            0, 1)

    def stop(self):
        """In order, as a service manager would."""
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        self.process = None

    def kill(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
        self.process = None

    # --- its command ------------------------------------------------------------------------------

    def words(self, *command):
        return [str(self.official.program("tailscale")), f"--socket={self.socket}",
                *[str(word) for word in command]]

    def settings(self, more):
        return {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True,
                "stdin": subprocess.DEVNULL, "timeout": 60,
                "env": dict(os.environ, HOME=str(self.directory), **self.environment), **more}

    def run(self, *command, check=True, **more):
        """`tailscale COMMAND`; its output is stdout as text, with stderr in it."""
        words, settings = self.words(*command), self.settings(more)
        if self.where:
            return self.where.run(*words, check=check, **settings)
        done = subprocess.run(words, **settings)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: tailscale {' '.join(map(str, command))}: "
                                 f"{done.returncode}\n{done.stdout}")
        return done

    def spawn(self, *command, **more):
        """`tailscale COMMAND` as a process."""
        words, settings = self.words(*command), self.settings(more)
        settings.pop("timeout")
        return (self.where.spawn(*words, **settings) if self.where
                else subprocess.Popen(words, **settings))

    def up(self, server, key=None, *more, timeout_s=100):
        """Join; back when it is Running."""
        words = [f"--login-server={server}", f"--hostname={self.name}",
                 f"--accept-dns={'true' if self.has_device else 'false'}",
                 f"--timeout={timeout_s}s", *([f"--auth-key={key}"] if key else []), *more]
        return self.run("up", *words, timeout=timeout_s + 10).stdout

    def begin_up(self, server, *more):
        """Join without a key; the link that a person has to open, and the process that waits."""
        waiting = self.spawn("up", f"--login-server={server}", f"--hostname={self.name}",
                             "--accept-dns=false", "--timeout=60s", *more)
        link = wait_until(lambda: self.status().get("AuthURL"), 20, f"{self.name} gets a link")
        return link, waiting

    # --- what it says -----------------------------------------------------------------------------

    def status(self):
        done = self.run("status", "--json", check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {}

    @property
    def state(self):
        return self.status().get("BackendState")

    def wait_state(self, state, timeout_s=20):
        wait_until(lambda: self.state == state, timeout_s,
                   f"{self.name} is {state} (it is {self.state})")

    @property
    def addresses(self):
        return self.status()["Self"]["TailscaleIPs"]

    @property
    def ip4(self):
        return next(address for address in self.addresses if ":" not in address)

    def peers(self):
        """By the first label of their names."""
        found = (self.status().get("Peer") or {}).values()
        return {peer["DNSName"].split(".")[0]: peer for peer in found}

    def wait_peer(self, name, condition=lambda peer: True, timeout_s=15, what="is there"):
        return wait_until(lambda: (peer := self.peers().get(name)) and condition(peer) and peer,
                          timeout_s, f"{self.name}: {name} {what}")

    def ping(self, name, *more, timeout_s=10):
        """What the ping said, once one came back."""
        def answered():
            said = self.run("ping", "--c=1", "--timeout=2s", *more, name, check=False).stdout
            return said if "pong from" in said else None
        return wait_until(answered, timeout_s, f"{self.name} pings {name}")

    def ping_until(self, name, word, timeout_s=20):
        """Until the answer comes in this way, which the ping has a word for; "" is any direct one,
        by whichever address of the machine they met."""
        last = ""
        try:
            def arrived():
                nonlocal last
                last = self.run("ping", "--c=1", "--timeout=2s", "--until-direct=false", name,
                                check=False).stdout
                is_there = word in last if word else re.search(r" via [0-9\[][^ ]*:\d+ in", last)
                return last if is_there else None
            return wait_until(arrived, timeout_s, word or "a direct way")
        except Deadline as error:
            raise Deadline(f"{self.name} pings {name} {error}; last: {last}") from error

    def log_tail(self, lines=15):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
