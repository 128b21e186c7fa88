#!/usr/bin/env python3
"""hanse-up.service under systemd itself, which is the first process of namespaces of its own: what
it may, what is started again, and what is not.  runs beside others"""

import os
import re
import subprocess
from pathlib import Path

import lab
from node import ROOT, children_of, release_program
from scenario import Scenario, skip_all, wait_until

SYSTEMD = "/lib/systemd/systemd"
# chown, dac_override, fowner, net_bind_service, net_admin, sys_ptrace
WANTED_CAPS = sum(1 << capability for capability in [0, 1, 3, 10, 12, 19])
# A root over this one, where everything that is written is forgotten.
SETUP = r"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/up /mnt/work /mnt/root
R=/mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work $R
mount -t proc proc $R/proc
mount -t sysfs sysfs $R/sys
mount -t tmpfs tmpfs $R/sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none $R/sys/fs/cgroup
mkdir $R/sys/fs/cgroup/probe && rmdir $R/sys/fs/cgroup/probe
mount -t tmpfs tmpfs $R/run
mount -t tmpfs tmpfs $R/tmp
mount -t tmpfs tmpfs $R/dev -o mode=755
for d in null zero full random urandom tty; do
	touch $R/dev/$d; mount --bind /dev/$d $R/dev/$d
done
mkdir -p $R/dev/net $R/dev/pts $R/dev/shm
touch $R/dev/net/tun; mount --bind /dev/net/tun $R/dev/net/tun
[ "$1" != probe ] || exit 0
cp "$1" $R/usr/local/bin/hanse
cp "$2" $R/etc/systemd/system/hanse-up.service
rm -rf $R/etc/systemd/system/*.wants $R/var/lib/hanse
mkdir -p $R/etc/hanse
printf 'roles = realm,relay,mesh,names,drop\naddress = 127.0.0.1\n' > $R/etc/hanse/hanse.conf
printf '127.0.0.1 localhost\n' > $R/etc/hosts
printf '[Unit]\nRequires=hanse-up.service\nAfter=hanse-up.service\n' \
	> $R/etc/systemd/system/try.target
: > $R/etc/machine-id
ip link set lo up
exec chroot $R /usr/bin/env -i container=test PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=try.target --show-status=no
"""
UNSHARE = ["unshare", "--fork", "--kill-child", "-pmuiCn"]


def why_not():
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed"
    if lab.why_not() or not os.path.exists("/dev/net/tun"):
        return lab.why_not() or "there is no /dev/net/tun"
    done = subprocess.run([*UNSHARE, "sh", "-c", SETUP, "setup", "probe"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30)
    return f"no namespaces for systemd: {done.stdout.strip()[-100:]}" if done.returncode else None


class System:
    def __init__(self, s):
        self.outer = s.spawn(*UNSHARE, "sh", "-c", SETUP, "setup", release_program(),
                             ROOT / "packaging/hanse-up.service", stdin=subprocess.DEVNULL)
        s.at_end.callback(self.outer.kill)  # and with it, by the kernel, all there is inside
        (self.init,) = wait_until(lambda: children_of(self.outer.pid), 10, "the first process")

    def run(self, *command, check=True):
        done = subprocess.run(["nsenter", "--target", str(self.init), "--all", "--root", "--wd=/",
                               *map(str, command)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def state(self):
        said = self.run("systemctl", "show", "hanse-up", "-p", "ActiveState,MainPID,NRestarts",
                        check=False)
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def is_active(self, restarts=0):
        state = self.state()
        return state.get("ActiveState") == "active" and state["NRestarts"] == str(restarts)

    def has_mesh(self):
        return '"state": "up"' in self.run("hanse", "status", "--json", check=False)


why = why_not()
if why:
    skip_all(f"systemd.py: {why}")

with Scenario() as s:
    system = System(s)

    with s.test("systemd starts it, and it is a mesh with all that is taken from it"):
        wait_until(system.is_active, 30, "the service is active")
        wait_until(system.has_mesh, 30, "the machine is in its mesh")
        assert "hanse0" in system.run("ip", "-o", "link")
        wait_until(lambda: "# kept by hanse" in system.run("cat", "/etc/hosts"), 10,
                   "names are known")

    with s.test("it has the privileges that it needs, and no others"):
        status = system.run("cat", f"/proc/{system.state()['MainPID']}/status")
        assert int(re.search(r"CapBnd:\s*(\w+)", status)[1], 16) == WANTED_CAPS, status
        assert re.search(r"NoNewPrivs:\s*1", status) and re.search(r"Seccomp:\s*2", status)

    with s.test("no key is in the journal"):
        wait_until(lambda: "hanse key create" in system.run("journalctl", "-u", "hanse-up"), 10,
                   "it says how to get one")
        said = system.run("journalctl", "--no-pager")
        assert "hanse-join-1-" not in said and "--auth-key" not in said
        assert "hanse-join-1-" in system.run("hanse", "key", "create")

    with s.test("killed, it is started again, with what it was"):
        address = system.run("ip", "-o", "-4", "addr", "show", "dev", "hanse0")
        system.run("systemctl", "kill", "-s", "KILL", "hanse-up")
        wait_until(lambda: system.is_active(restarts=1), 30, "it is started again")
        wait_until(system.has_mesh, 30, "the machine is in its mesh")
        assert re.findall(r"inet \S+", address) == re.findall(
            r"inet \S+", system.run("ip", "-o", "-4", "addr", "show", "dev", "hanse0"))

    with s.test("after hanse down it stays down, and the machine is as it was"):
        system.run("hanse", "down")
        wait_until(lambda: system.state()["ActiveState"] == "inactive", 30, "it is inactive")
        assert system.state()["NRestarts"] == "1"
        assert "hanse0" not in system.run("ip", "-o", "link")
        assert system.run("cat", "/etc/hosts") == "127.0.0.1 localhost\n"
        assert not re.search(r"^5\d\d\d:", system.run("ip", "rule"), re.M)

    with s.test("started and stopped by systemctl, too"):
        system.run("systemctl", "start", "hanse-up")
        wait_until(system.has_mesh, 30, "the machine is in its mesh")
        system.run("systemctl", "stop", "hanse-up")
        assert system.state()["ActiveState"] == "inactive"
        assert "hanse0" not in system.run("ip", "-o", "link")
