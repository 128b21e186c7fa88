#!/usr/bin/env python3
"""Names of the mesh: asked by dig and by ping, shown in /etc/hosts, and gone without a trace.
runs beside others: a network namespace of its own."""

import os
import random
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import lab as labs
from mesh_socket import MeshSocket, machine
from node import program
from scenario import Scenario, Skip, skip_all, wait_until

ORDINARY = b"127.0.0.1\tlocalhost\n# \xff not ours\r\n192.0.2.9 keep-me"
SERVICE = "100.100.100.100"


class Names:
    """The process `names` in a namespace, with a file of hosts of its own."""

    def __init__(self, scratch, *options):
        self.space = labs.Namespace()
        self.space.ip("addr add 100.64.0.1/32 dev lo", "addr add 100.64.0.2/32 dev lo",
                      "addr add 100.100.100.100/32 dev lo",
                      "addr add fd7a:115c:a1e0::53/128 dev lo nodad")
        self.outside = labs.Namespace()
        self.space.ip(f"link add lan type veth peer name lan netns {self.outside.path}",
                      "addr add 192.0.2.1/24 dev lan", "link set lan up")
        self.space.settle()
        self.outside.ip("addr add 192.0.2.2/24 dev lan", "link set lan up",
                        "route add 100.100.100.100 via 192.0.2.1")
        self.outside.settle()
        self.hosts = scratch / "hosts"
        self.hosts.write_bytes(ORDINARY)
        self.resolv = scratch / "resolv.conf"
        self.resolv.write_text("nameserver 127.0.0.77\n")
        self.files = {"/etc/hosts": self.hosts, "/etc/resolv.conf": self.resolv}
        self.scratch, self.options = scratch, options
        (scratch / "state").mkdir()
        os.chmod(scratch / "state", 0o700)
        self.mesh = MeshSocket(scratch / "mesh.sock",
                               self=machine("laptop", "100.64.0.1"),
                               peers=[machine("phone", "100.64.0.2", "fd7a:115c:a1e0::2")])
        self.log = open(scratch / "names.log", "ab")
        self.process = None

    def start(self, *options):
        self.process = self.space.spawn(
            program(), "role:names", f"--state={self.scratch}/state", f"--run-dir={self.scratch}",
            "--log-level=debug", *self.options, *options, files=self.files, stderr=self.log)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)

    def run(self, *command, **settings):
        return self.space.run(*command, files=self.files, **settings)

    def dig(self, *words):
        return self.run("dig", "+time=10", "+tries=3", *words, check=False).stdout

    def short(self, *words):
        said = self.dig("+short", *words).splitlines()
        return [line for line in said if not line.startswith(";")]

    def close(self):
        if self.mesh.server:
            self.mesh.stop()
        self.space.close()
        self.outside.close()
        self.log.close()


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not installed")


def in_hosts(n, text):
    return text.encode() in n.hosts.read_bytes()


def answer_anything(space):
    """Somebody else's resolver: every name has one address."""
    with space.socket() as server:
        server.bind(("127.0.0.77", 53))
        while True:
            query, asker = server.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes([203, 0, 113, 7])
            server.sendto(query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + query[12:end] + record,
                          asker)


def main():
    why = labs.why_not() or labs.files_why_not()
    if why:
        skip_all(why)
    with Scenario() as s:
        n = Names(s.scratch)
        s.at_end.callback(n.close)
        n.start()

        with s.test("names are found by every program, and nothing else of the machine changed"):
            wait_until(lambda: in_hosts(n, "phone.home.example phone"), 10, "names in hosts")
            assert n.hosts.read_bytes().startswith(ORDINARY + b"\n")
            for name in ["laptop", "phone", "phone.home.example"]:
                found = n.run("getent", "ahostsv4", name).stdout
                assert "100.64.0." in found, found
            assert n.resolv.read_text() == "nameserver 127.0.0.77\n"

        with s.test("ping laptop"):
            need("ping")
            n.run("ping", "-c1", "-W20", "laptop")
            n.run("ping", "-c1", "-W20", "phone.home.example")

        with s.test("dig is answered over UDP and TCP, on both addresses"):
            need("dig")
            for server in [SERVICE, "fd7a:115c:a1e0::53"]:
                for way in ["+notcp", "+tcp"]:
                    assert n.short(way, f"@{server}", "phone.home.example") == ["100.64.0.2"]
                    assert n.short(way, f"@{server}", "laptop") == ["100.64.0.1"]
            assert n.short(f"@{SERVICE}", "AAAA", "PHONE.home.example") == ["fd7a:115c:a1e0::2"]
            assert n.short(f"@{SERVICE}", "-x", "100.64.0.2") == ["phone.home.example."]
            assert n.short(f"@{SERVICE}", "-x", "fd7a:115c:a1e0::2") == ["phone.home.example."]

        with s.test("what is not there is said not to be there, with authority and a short life"):
            need("dig")
            nobody = n.dig(f"@{SERVICE}", "nobody.home.example")
            assert "status: NXDOMAIN" in nobody and "flags: qr aa rd" in nobody, nobody
            assert "10\tIN\tSOA" in nobody.replace(" ", "\t"), nobody
            none = n.dig(f"@{SERVICE}", "MX", "phone.home.example")
            assert "status: NOERROR" in none and "ANSWER: 0" in none, none
            assert "status: REFUSED" in n.dig(f"@{SERVICE}", "example.org")
            assert "status: BADVERS" in n.dig("+edns=5", "+noednsneg", f"@{SERVICE}", "laptop")
            answer = n.dig(f"@{SERVICE}", "phone.home.example").split("ANSWER SECTION:")[1]
            assert answer.split()[1] == "5", answer

        with s.test("neighbours in the network hear nothing"):
            need("dig")
            for way in ["+notcp", "+tcp"]:
                said = n.outside.run("dig", way, "+time=1", "+tries=1", f"@{SERVICE}", "laptop",
                                     check=False).stdout
                assert "100.64.0.1" not in said and "status:" not in said, said
            assert n.short("-b", "192.0.2.1", f"@{SERVICE}", "laptop") == ["100.64.0.1"]

        with s.test("garbage costs nothing, and it has given up what it does not need"):
            noise = random.Random(5)
            with n.space.socket() as udp:
                for _ in range(300):
                    udp.sendto(noise.randbytes(noise.randrange(0, 1400)), (SERVICE, 53))
            for _ in range(20):
                with n.space.socket(socket.SOCK_STREAM) as tcp:
                    tcp.connect((SERVICE, 53))
                    tcp.sendall(noise.randbytes(noise.randrange(1, 3000)))
            assert n.process.poll() is None
            assert n.run("getent", "ahostsv4", "laptop").stdout
            status = Path(f"/proc/{n.process.pid}/status").read_text()
            assert int(status.split("CapEff:")[1].split()[0], 16) & 1 << 21 == 0  # SYS_ADMIN

        with s.test("a new machine and a new name are there at once"):
            n.mesh.change(peers=[machine("telephone", "100.64.0.2"),
                                 machine("printer", "100.64.0.3")],
                          records=[{"name": "db.home.example", "type": "A",
                                    "value": "10.9.8.7"}])
            wait_until(lambda: in_hosts(n, "printer"), 2, "the new machine in hosts")
            assert not in_hosts(n, "phone.home.example phone")
            if shutil.which("dig"):
                assert n.short(f"@{SERVICE}", "telephone") == ["100.64.0.2"]
                assert n.short(f"@{SERVICE}", "db.home.example") == ["10.9.8.7"]
                assert "NXDOMAIN" in n.dig(f"@{SERVICE}", "phone.home.example")

        with s.test("what another program wrote over is there again soon"):
            n.hosts.write_bytes(ORDINARY)
            wait_until(lambda: in_hosts(n, "printer"), 15, "the names again")
            assert n.hosts.read_bytes().startswith(ORDINARY + b"\n")

        with s.test("an empty netmap and a dead mesh process take no name away"):
            need("dig")
            before = n.hosts.read_bytes()
            n.mesh.change(peers=[], self=None)
            time.sleep(0.5)
            assert n.short(f"@{SERVICE}", "printer") == ["100.64.0.3"]
            n.mesh.stop()
            time.sleep(0.5)
            assert n.short(f"@{SERVICE}", "printer") == ["100.64.0.3"]
            assert n.hosts.read_bytes() == before

        with s.test("killed, and started without a mesh process: it answers what it knew"):
            n.stop(signal.SIGKILL)
            assert in_hosts(n, "printer")
            with open(n.hosts, "ab") as file:
                file.write(b"192.0.2.10 by-hand\n")
            n.start()
            if shutil.which("dig"):
                wait_until(lambda: "100.64.0.3" in n.short(f"@{SERVICE}", "printer"), 5,
                           "an answer")
            wait_until(lambda: n.hosts.read_bytes().endswith(b"# kept by hanse\n"), 5,
                       "the block at the end")
            assert n.hosts.read_bytes().count(b"printer.home") == 1

        with s.test("stopped, it leaves the file of hosts as people wrote it, byte for byte"):
            assert n.stop() == 0
            assert n.hosts.read_bytes() == ORDINARY + b"\n192.0.2.10 by-hand\n"

        with s.test("told not to show names, it removes what a killed one left"):
            with open(n.hosts, "ab") as file:
                file.write(b"100.64.0.3\tprinter\t# kept by hanse\n")
            n.start("--accept-dns=no")
            wait_until(lambda: not in_hosts(n, "printer"), 5, "the line removed")
            n.stop()
            assert n.hosts.read_bytes() == ORDINARY + b"\n192.0.2.10 by-hand\n"

        with s.test("a file of hosts that belongs to another network is left alone"):
            before = Path("/etc/hosts").read_bytes()
            del n.files["/etc/hosts"]
            n.mesh.netmap["self"] = machine("laptop", "100.64.0.1")
            n.mesh.change(domain="elsewhere.example")
            n.mesh.start()
            n.start()
            if shutil.which("dig"):
                wait_until(lambda: n.short(f"@{SERVICE}", "laptop.elsewhere.example"), 5,
                           "an answer")
            time.sleep(0.5)
            after = Path("/etc/hosts").read_bytes()
            assert n.stop() == 0
            assert after == before

        with s.test("asked to, it asks the machine's own resolvers for other names"):
            need("dig")
            threading.Thread(target=answer_anything, args=[n.space], daemon=True).start()
            n.start("--forward-dns=yes")
            wait_until(lambda: n.short(f"@{SERVICE}", "laptop.elsewhere.example"), 5, "an answer")
            found = n.dig(f"@{SERVICE}", "www.example.org")
            assert "203.0.113.7" in found, found
            assert "NXDOMAIN" in n.dig(f"@{SERVICE}", "nobody.elsewhere.example")
            assert n.stop() == 0

        with s.test("no process reported a bug of its own (names)"):
            log = (s.scratch / "names.log").read_text(errors="replace")
            assert "Sanitizer" not in log and "runtime error" not in log, log[-3000:]


if __name__ == "__main__":
    main()
