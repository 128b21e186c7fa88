"""Apache Kafka itself, of its published jars: its command line tools, its clients, a broker.

Maven copies the jars to ${XDG_CACHE_HOME:-~/.cache}/hanse/kafka-4.2.0 the first time.  Scenarios
that want them are skipped by name where Java or Maven is missing, or where Maven reaches nothing.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "4.2.0"
PACKAGES = (("org.apache.kafka", "kafka_2.13", VERSION),
            ("org.apache.kafka", "kafka-tools", VERSION),
            ("org.apache.kafka", "kafka-streams", VERSION),
            ("org.apache.kafka", "connect-mirror", VERSION),
            ("org.slf4j", "slf4j-simple", "1.7.36"))
MAVEN_S = 600
TOOL_S = 90
CLUSTER_ID = "aGFuc2UtaW50ZXJvcC0tLQ"
# Small and quick to start: what is judged is the broker.
JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
TOOLS = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf": "org.apache.kafka.tools.ConsumerPerformance",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "mirror-maker": "org.apache.kafka.connect.mirror.MirrorMaker",
    "console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "producer-perf": "org.apache.kafka.tools.ProducerPerformance",
    "share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "storage": "kafka.tools.StorageTool",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "broker": "kafka.Kafka",
}


def directory():
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hanse" / f"kafka-{VERSION}"


def pom():
    wanted = "".join(f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
                     f"<version>{version}</version></dependency>"
                     for group, name, version in PACKAGES)
    return ("<project><modelVersion>4.0.0</modelVersion><groupId>hanse</groupId>"
            "<artifactId>tools</artifactId><version>1</version>"
            f"<dependencies>{wanted}</dependencies></project>\n")


def why_not():
    """Fetches the jars unless they are there; why they cannot be had here, or None."""
    if not shutil.which("java"):
        return "java is not installed"
    if (directory() / "libs").exists():
        return None
    if not shutil.which("mvn"):
        return "mvn is not installed"
    directory().parent.mkdir(parents=True, exist_ok=True)
    with open(directory().with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return None if (directory() / "libs").exists() else fetch()


def fetch():
    with tempfile.TemporaryDirectory(dir=directory().parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(pom())
        try:
            done = subprocess.run(
                ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
                 f"-DoutputDirectory={scratch}/libs"], cwd=scratch, timeout=MAVEN_S,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return "mvn takes too long to fetch Apache Kafka"
        if done.returncode:
            return "mvn cannot fetch Apache Kafka"
        directory().mkdir(exist_ok=True)
        (Path(scratch) / "libs").rename(directory() / "libs")
    return None


def command(tool, *words, properties=()):
    """What starts a tool, as `kafka-TOOL.sh` of the distribution would."""
    return [*JAVA, *[f"-D{line}" for line in properties], "-cp", f"{directory()}/libs/*",
            TOOLS.get(tool, tool), *[str(word) for word in words]]


def run(tool, *words, timeout_s=TOOL_S, text="", fails=False):
    """What a tool printed, which must have succeeded, or failed where `fails`."""
    done = subprocess.run(command(tool, *words), input=text, capture_output=True, text=True,
                          timeout=timeout_s)
    said = done.stdout + done.stderr
    assert bool(done.returncode) == fails, f"{tool} ended with {done.returncode}: {said[-2000:]}"
    return said


def settings(home, address, controller):
    """Of a broker with a controller of its own, that keeps everything below `home`."""
    return {
        "process.roles": "broker,controller", "node.id": 1,
        "controller.quorum.bootstrap.servers": controller,
        "listeners": f"PLAINTEXT://{address},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{address},CONTROLLER://{controller}",
        "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": home / "log", "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1,
        **{f"{name}.replication.factor": 1 for name in
           ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")},
        "transaction.state.log.min.isr": 1, "share.coordinator.state.topic.min.isr": 1}


class Broker:
    """A broker of Apache Kafka with a controller of its own, on free ports of this machine."""

    START_S = 90

    def __init__(self, s, free_port):
        self.home = s.scratch / "apache"
        self.home.mkdir()
        self.address, controller = (f"127.0.0.1:{free_port()}" for _ in range(2))
        path = self.home / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in
                                settings(self.home, self.address, controller).items()))
        run("storage", "format", "--standalone", "-t", CLUSTER_ID, "-c", path)
        with open(self.home / "broker.log", "w") as log:
            self.process = s.spawn(*command("broker", path), stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)

    def log(self):
        return (self.home / "broker.log").read_text(errors="replace")
