"""The brokers that suites of others run against: three agents of one node's control."""

import shlex
import shutil
import threading

import apache_kafka
from node import Node

AGENTS = 3
PARTITIONS = 4  # what librdkafka's tests expect of a topic that is made by being written to


class Setup:
    """Where the brokers are, and what a client has to be told."""

    def __init__(self, brokers, configuration=(), environment=None, kafka_path=None):
        self.brokers, self.configuration = brokers, list(configuration)
        self.environment, self.kafka_path = environment or {}, kafka_path


class Cluster:
    def __init__(self, program, scratch, say):
        self.program, self.scratch, self.say = program, scratch, say
        self.nodes, self.setups = [], {}
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in reversed(self.nodes):
            node.kill()

    def start(self, name, options=()):
        """Three agents, each in a site that is called RACK and its broker id."""
        home = self.scratch / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        begun = []
        for number in range(1, AGENTS + 1):
            own = ["--site", f"RACK{number}", "--default-partitions", PARTITIONS, *options]
            if number > 1:
                own += ["--roles", "streams",
                        "--control", f"unix:{begun[0].run_dir}/control-{begun[0].port}.sock"]
            node = Node(home, f"agent{number}", options=own, program=str(self.program))
            self.nodes.append(node)
            begun.append(node)
            node.start()
        self.say(f"{name}: brokers {', '.join(node.address for node in begun)}, logs in {home}")
        return begun

    def kafka_path(self):
        """A directory with the shell scripts of Apache Kafka that the tests call, or None."""
        why = apache_kafka.why_not()
        if why:
            self.say(f"without Apache Kafka's scripts: {why}")
            return None
        path = self.scratch / "kafka"
        (path / "bin").mkdir(parents=True, exist_ok=True)
        for name in ("topics", "acls", "configs"):
            script = path / f"bin/kafka-{name}.sh"
            script.write_text(f'#!/bin/sh\nexec {shlex.join(apache_kafka.command(name))} "$@"\n')
            script.chmod(0o755)
        return path

    def setup_for(self, number, scenario, scripts=True):
        """The brokers for the tests with this number; started when they are first asked for."""
        del number
        kind = "noautocreate" if scenario == "noautocreate" else "plain"
        options = ["--auto-create-topics", "no"] if kind == "noautocreate" else []
        with self.lock:
            if kind not in self.setups:
                nodes = self.start(kind, options)
                self.setups[kind] = Setup(",".join(node.address for node in nodes),
                                          kafka_path=self.kafka_path() if scripts else None)
            return self.setups[kind]
