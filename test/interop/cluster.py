"""The brokers that suites of others run against, set up as each test wants them."""

import os
import shlex
import shutil
import subprocess
import tempfile
import threading

import apache_kafka
import certificates
from node import Node

PARTITIONS = 4  # what librdkafka's tests expect of a topic that is made by being written to
USER, PASSWORD = "rdkafka", "a password for tests"
MEMORY = "/dev/shm"

SIGNED_IN = {"user": USER, "configuration": [
    "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", f"sasl.username={USER}",
    f"sasl.password={PASSWORD}"]}

# Agents, options of each, what a client is told.  Each agent is in a site called RACK and its id.
KINDS = {
    "plain": {"agents": 3},
    "noautocreate": {"agents": 3, "options": ["--auto-create-topics", "no"]},
    "quick": {"agents": 1, "bucket": MEMORY},
    "ssl": {"agents": 1, "has_certificates": True},
    "sasl": {"agents": 3, "options": ["--kafka-reauth-ms", 10000], **SIGNED_IN},
    "admin": {"agents": 1, "has_certificates": True, "user": "CN=client"},
}
KIND_OF = {
    "0055": "quick",  # allows a request 5 ms
    "0081": "admin",  # chooses replicas where there is a choice, and makes the first user
    "0097": "ssl", "0135": "sasl", "0142": "sasl",
}


class Setup:
    """Where the brokers are, and what a client has to be told."""

    def __init__(self, brokers, configuration=(), environment=None):
        self.brokers, self.configuration = brokers, list(configuration)
        self.environment, self.kafka_path = environment or {}, None


class Cluster:
    def __init__(self, program, scratch, say):
        self.program, self.scratch, self.say = program, scratch, say
        self.nodes, self.setups, self.in_memory = [], {}, []
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in reversed(self.nodes):
            node.kill()
        for place in self.in_memory:
            shutil.rmtree(place, ignore_errors=True)

    def bucket(self, home, where):
        if not where or not os.access(where, os.W_OK):
            return f"file:{home}/bucket"
        self.in_memory.append(tempfile.mkdtemp(prefix="hanse-interop-", dir=where))
        return f"file:{self.in_memory[-1]}/bucket"

    def start(self, name, agents, options=(), user=None, bucket=None, configuration=(),
              has_certificates=False):
        home = self.scratch / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        begun, place, environment = [], self.bucket(home, bucket), {}
        if has_certificates:
            options, configuration, environment = certificates.make(home / "certificates")
        for number in range(1, agents + 1):
            own = ["--site", f"RACK{number}", "--default-partitions", PARTITIONS, *options]
            if number > 1:
                own += ["--roles", "streams",
                        "--control", f"unix:{begun[0].run_dir}/control-{begun[0].port}.sock"]
            node = Node(home, f"agent{number}", bucket=place, options=own,
                        program=str(self.program))
            self.nodes.append(node)
            begun.append(node)
            node.start()
        if user:
            known_by = ["--no-password"] if has_certificates else []
            subprocess.run([self.program, "user", "add", "--admin", *known_by, user, "--kafka",
                            begun[0].address, "--run-dir", begun[0].run_dir], check=True,
                           input=PASSWORD, text=True, stdout=subprocess.DEVNULL, timeout=30)
        self.say(f"{name}: brokers {', '.join(node.address for node in begun)}, logs in {home}")
        return Setup(",".join(node.address for node in begun), configuration, environment)

    def kafka_path(self):
        """A directory with what the tests call of Apache Kafka's distribution, or None."""
        why = apache_kafka.why_not()
        if why:
            self.say(f"without Apache Kafka's scripts: {why}")
            return None
        path = self.scratch / "kafka"
        (path / "bin").mkdir(parents=True, exist_ok=True)
        if not (path / "libs").exists():
            (path / "libs").symlink_to(apache_kafka.directory() / "libs")
        scripts = {name: shlex.join(apache_kafka.command(name))
                   for name in ("topics", "acls", "configs")}
        scripts["run-class"] = f'java -cp "$CLASSPATH:{path}/libs/*"'
        for name, command in scripts.items():
            script = path / f"bin/kafka-{name}.sh"
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)
        return path

    def setup_for(self, number, scenario, scripts=True):
        """The brokers for the tests with this number; started when they are first asked for."""
        kind = "noautocreate" if scenario == "noautocreate" else KIND_OF.get(number, "plain")
        with self.lock:
            if kind not in self.setups:
                self.setups[kind] = self.start(kind, **KINDS[kind])
                self.setups[kind].kafka_path = self.kafka_path() if scripts else None
            return self.setups[kind]
