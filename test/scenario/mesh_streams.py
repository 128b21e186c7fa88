#!/usr/bin/env python3
"""Kafka on the mesh: a broker at home, behind its router, serves the machines of its mesh and
nobody else; stock kcat in an office finds it by name."""

# Its hosts are in namespaces of its own, so it runs beside others.

import os
import re
import shutil
import subprocess
from pathlib import Path

import lab
from machine import Machine
from node import program
from scenario import Scenario, skip_all, wait_until

LINES = 20000

why = lab.why_not() or lab.files_why_not()
if why or not os.path.exists("/dev/net/tun"):
    skip_all(why or "there is no /dev/net/tun")
if not shutil.which("kcat"):
    skip_all("kcat is not installed")


class Broker:
    """`hanse serve` beside the `hanse up` of a machine."""

    def __init__(self, scenario, machine, *options):
        self.name, self.machine = f"broker-{machine.name}", machine
        self.log_path = Path(scenario.scratch) / f"{self.name}.log"
        self.bucket = Path(scenario.scratch) / f"bucket-{machine.name}"
        self.options = options
        scenario.nodes.append(self)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = self.machine.where.spawn(
                program(), "serve", "--bucket", f"file:{self.bucket}", "--run-dir",
                self.machine.run_dir, *self.options, stdout=log, stderr=log,
                env=self.machine.environment)

    def log_lines(self):
        return self.log_path.read_text(errors="replace").splitlines()

    def kill(self):
        self.process.kill()
        self.process.wait()


def kcat(machine, *words, **settings):
    """On that machine, with the names it knows."""
    check = settings.pop("check", True)
    done = machine.where.run("kcat", *words, files={"/etc/hosts": machine.hosts}, check=False,
                             stderr=subprocess.PIPE, **settings)
    assert done.returncode == 0 or not check, f"kcat {words}: {done.stderr[-1000:]}"
    return done.stdout


with Scenario() as s, lab.Lab(s.scratch) as net:
    server = net.server("cloud")
    cloud = Machine(s, "cloud", where=server, options=["--address", server.ip4]).start()
    home = Machine(s, "home", where=net.host("home", "apdf"), join=cloud.key)
    office = Machine(s, "office", where=net.host("office", "sym"), join=cloud.key).start()
    broker = Broker(s, home, "--kafka", "mesh:9092")

    with s.test("a broker waits for the mesh, and serves on the address of its machine there"):
        broker.start()
        wait_until(lambda: "waiting for the address" in broker.log_path.read_text(), 10,
                   "it waits")
        home.start()
        address = home.json("status")["mesh"]["self"]["addresses"][0]
        wait_until(lambda: f"serves Kafka on {address}:9092" in broker.log_path.read_text(), 20,
                   "it serves")
        listens = home.where.run("ss", "-Hltn").stdout
        assert f"{address}:9092" in listens and "0.0.0.0:9092" not in listens, listens

    with s.test("kcat in the office produces to it by its name, and reads it back"):
        wait_until(lambda: re.search(r"\bhome\b", office.hosts.read_text()), 10, "the name")
        lines = "".join(f"line {i}\n" for i in range(LINES))
        kcat(office, "-b", "home:9092", "-t", "greetings", "-P", input=lines)
        said = kcat(office, "-b", "home:9092", "-t", "greetings", "-C", "-o", "beginning", "-e",
                    "-q")
        assert said == lines, f"{len(said.splitlines())} of {LINES} lines"
        assert f"{address}:9092" in kcat(office, "-b", "home:9092", "-L")

    with s.test("the machine it runs on reaches it there too"):
        assert len(kcat(home, "-b", f"{address}:9092", "-t", "greetings", "-C", "-e", "-q", "-o",
                        "beginning").splitlines()) == LINES

    with s.test("it goes on when the mesh process of its machine was killed"):
        os.kill(home.roles()["mesh"], 9)
        wait_until(lambda: home.where.run("ping", "-c1", "-W1", address, check=False).returncode
                   == 0, 20, "the address is back")
        said = wait_until(lambda: kcat(office, "-b", "home:9092", "-t", "greetings", "-C", "-o",
                                       "-1", "-e", "-q", check=False), 20, "it answers")
        assert said == f"line {LINES - 1}\n"
