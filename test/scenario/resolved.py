#!/usr/bin/env python3
"""Names by systemd-resolved: the mesh's interface is told to it and taken back, and nothing else of
the machine changes.  runs beside others, in namespaces of its own, with a D-Bus of its own.

The package must not be installed for this, since it takes the machine's resolver over:
`apt-get download systemd-resolved && dpkg -x systemd-resolved_*.deb DIR`, HANSE_RESOLVED=DIR."""

import os
import shutil
import subprocess
from pathlib import Path

import lab as labs
from mesh_socket import MeshSocket, machine
from node import program
from scenario import Scenario, skip_all, wait_until

ROOT = Path(os.environ.get("HANSE_RESOLVED") or "/")
RESOLVED = ROOT / "lib/systemd/systemd-resolved"
POLICIES = Path("/usr/share/dbus-1/system.d")
POLICY = ROOT / "usr/share/dbus-1/system.d/org.freedesktop.resolve1.conf"
USER = "systemd-resolve:x:64990:64990::/:/usr/sbin/nologin\n"
HOSTS = "127.0.0.1 localhost\n"
# Its own /run, and what it needs there; the shell stays, so that programs can be run beside it.
SETUP = """
mount -t tmpfs none /run && mkdir -p /run/dbus /run/systemd &&
mount --bind {dir}/policies {policies} || exit 1
dbus-daemon --system --nofork --nopidfile &
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S /run/dbus/system_bus_socket ] || sleep 0.1; done
while :; do {resolved}; sleep 0.3; done
"""


class Machine:
    """A network and a view of files with systemd-resolved in it."""

    def __init__(self, s):
        self.dir = s.scratch
        os.chmod(self.dir, 0o755)
        self.space = labs.Namespace()
        s.at_end.callback(self.space.close)
        self.space.ip("link add hanse0 type veth peer name other0",
                      "addr add 100.64.0.1/32 dev hanse0",
                      "addr add 100.100.100.100/32 dev hanse0", "link set hanse0 up",
                      "link set other0 up")
        self.space.settle()
        for name, text in [("passwd", Path("/etc/passwd").read_text() + USER), ("hosts", HOSTS),
                           ("group", Path("/etc/group").read_text() + "systemd-resolve:x:64990:\n"),
                           ("resolv.conf", "nameserver 127.0.0.53\n")]:
            (self.dir / name).write_text(text)
        shutil.copytree(POLICIES, self.dir / "policies")
        shutil.copy(POLICY, self.dir / "policies")
        (self.dir / "state").mkdir(mode=0o700)
        self.mesh = MeshSocket(self.dir / "mesh.sock", self=machine("laptop", "100.64.0.1"),
                               peers=[machine("phone", "100.64.0.2")])
        self.log = open(self.dir / "log", "ab")
        files = {f"/etc/{name}": self.dir / name
                 for name in ["passwd", "group", "hosts", "resolv.conf"]}
        self.holder = self.space.spawn("sh", "-c", SETUP.format(
            dir=self.dir, policies=POLICIES, resolved=RESOLVED), files=files, stdout=self.log,
            stderr=self.log)

    def inside(self, *words):
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--net",
                f"--wd={self.dir}", "env", f"PATH={ROOT}/usr/bin:{os.environ['PATH']}", *words]

    def run(self, *words):
        done = subprocess.run([str(word) for word in self.inside(*words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        return done.stdout

    def start(self):
        words = self.inside(program(), "role:names", f"--state={self.dir}/state",
                            f"--run-dir={self.dir}", "--log-level=debug")
        return subprocess.Popen([str(word) for word in words], stderr=self.log)


def why_not():
    if labs.why_not():
        return labs.why_not()
    if labs.files_why_not():
        return labs.files_why_not()
    if not os.access(RESOLVED, os.X_OK):
        return "systemd-resolved is not there: set HANSE_RESOLVED"
    for tool in ["dbus-daemon", "nsenter"]:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def main():
    why = why_not()
    if why:
        skip_all(why)
    with Scenario() as s:
        m = Machine(s)
        wait_until(lambda: "Global" in m.run("resolvectl", "status"), 10, "systemd-resolved")
        names = m.start()
        s.processes.append(names)

        with s.test("programs find the names of the mesh, and addresses have names"):
            wait_until(lambda: "100.64.0.2" in m.run("resolvectl", "query", "phone.home.example"),
                       10, "the name")
            assert "100.64.0.1" in m.run("resolvectl", "query", "laptop")
            assert "phone.home.example" in m.run("resolvectl", "query", "100.64.0.2")
            assert "100.64.0.2" in m.run("getent", "ahostsv4", "phone.home.example")

        with s.test("the link has its domain, and is no way for other names"):
            said = m.run("resolvectl", "status", "hanse0")
            assert "home.example" in said and "-DefaultRoute" in said, said
            assert (m.dir / "hosts").read_text() == HOSTS
            assert (m.dir / "resolv.conf").read_text() == "nameserver 127.0.0.53\n"

        with s.test("a new name is found"):
            m.mesh.change(peers=[machine("tablet", "100.64.0.2")])
            wait_until(lambda: "100.64.0.2" in m.run("resolvectl", "query", "tablet.home.example"),
                       5, "the new name")

        with s.test("systemd-resolved that was started again is told again"):
            m.run("pkill", "-x", "-P", str(m.holder.pid), "systemd-resolve")
            wait_until(lambda: "home.example" not in m.run("resolvectl", "status", "hanse0"), 5,
                       "it has forgotten")
            wait_until(lambda: "home.example" in m.run("resolvectl", "status", "hanse0"), 15,
                       "it is told")

        with s.test("stopped, it takes everything back"):
            names.terminate()
            assert names.wait(60) == 0
            said = m.run("resolvectl", "status", "hanse0")
            assert "home.example" not in said, said + (m.dir / "log").read_text()[-3000:]
            assert (m.dir / "hosts").read_text() == HOSTS
        m.mesh.stop()


if __name__ == "__main__":
    main()
