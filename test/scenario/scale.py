#!/usr/bin/env python3
"""Agents of several sites on one control, which are added, drained, killed, frozen and removed
every few seconds while clients produce and consume through all of them: the clients see nothing but
retries.  Then control itself is killed and another node takes over.

SEED=n repeats the choices, SECONDS=n makes it longer.  DELAY_MS=n: every request to the bucket of
records takes up to so long, as if it were far away; KEYS=1 (or 0): control is behind TCP and TLS.
Without them the seed decides.  Never skipped.  timeout: 600 s"""

import json
import os
import re
import resource
import signal
import struct
import subprocess
import threading
import time
from collections import Counter

import checker
import kcat
from kafka import Client
from kcat_reader import Member, Tail
from node import program
from rdkafka import NumberedWriter
from scenario import Scenario, say, wait_until

SECONDS = int(os.environ.get("SECONDS", "40"))
SITES = ["north", "south", "north", "south", "west"]
PARTITIONS = 4
RECORDS_PER_S = 150
LIVE_MIN, LIVE_MAX = 2, 4
LEASE_S = 10  # a frozen agent is not named any more
STOP_S = 20   # a drain takes its time to move clients, and no more
STUCK_S = 60
SICK_S = 15   # an agent whose bucket fails is not named any more
FILES_FEW = 3 # so that nothing can be opened
SESSION_MS = 10000
REFRESH_MS = 2000  # of metadata
# What a client library may say: connections come and go, and brokers are asked again.
HARMLESS = re.compile(
    r"transport failure|timed out|brokers are down|Connection refused|Connection reset|"
    r"Disconnected|Connect to|Receive failed|Send failed|Connection closed|"
    r"Not coordinator|Coordinator not available|Coordinator load in progress|"
    r"rebalance in progress|Reached end|Group .* rebalanced|Local: Broker handle destroyed|"
    r"Leader not available|NOT_LEADER|Broker: Not leader")


# --- the machines -------------------------------------------------------------------------------

class Setting:
    """What the seed decides, or the environment."""

    def __init__(self, s, random):
        self.bucket = f"file:{s.scratch}/bucket"
        self.delay_ms = int(os.environ.get("DELAY_MS", random.choice([0, 0, 150])))
        self.has_keys = os.environ.get("KEYS", random.choice("01")) == "1"
        self.options = []
        if self.has_keys:
            path = s.scratch / "hanse.key"
            subprocess.run([program(), "key", "new", "--key-file", path], check=True,
                           capture_output=True)
            self.options = ["--key-file", path]
        say(f"DELAY_MS={self.delay_ms} KEYS={int(self.has_keys)}")

    def far_bucket(self):
        return f"fault:{self.bucket}?fault_delay_ms={self.delay_ms}" if self.delay_ms \
            else self.bucket

    def place_of(self, control):
        """Where agents find it."""
        if self.has_keys:
            return f"127.0.0.1:{control.peer_port}"
        return f"unix:{control.run_dir}/control-{control.port}.sock"

    def start_control(self, s, name):
        node = s.node(name, bucket=self.bucket,
                      options=["--roles", "control", "--journal", self.bucket,
                               "--default-partitions", PARTITIONS, *self.options])
        node.launch()
        return node


def brokers(port):
    """{port: site} of the brokers that Metadata names there."""
    with Client(port, 5) as client:
        answer = client.metadata([])
    count, = struct.unpack(">i", answer[:4])
    found, at = {}, 4
    for _ in range(count):
        at += 4
        size, = struct.unpack(">h", answer[at:at + 2])
        at += 2 + size
        port, size = struct.unpack(">ih", answer[at:at + 6])
        at += 6
        found[port] = answer[at:at + max(size, 0)].decode()
        at += max(size, 0)
    return found


class Fleet:
    """Agents, some of which run."""

    def __init__(self, s, random, setting, controls):
        self.random = random
        places = ",".join(map(setting.place_of, controls))
        self.agents = [
            s.node(f"agent-{i}", bucket=setting.far_bucket(),
                   environment={"HANSE_TEST_FAULTS": "1"},
                   options=["--roles", "streams", "--control", places, "--site", site,
                            *setting.options])
            for i, site in enumerate(SITES)]
        self.frozen = {}  # agent: when it goes on
        self.bootstrap = ",".join(agent.address for agent in self.agents)
        self.counts = {}

    def running(self):
        return [agent for agent in self.agents if agent.process]

    def healthy(self):
        return [agent for agent in self.running() if agent not in self.frozen]

    def thaw(self, everybody=False):
        for agent, until in list(self.frozen.items()):
            if everybody or time.monotonic() >= until:
                agent.signal(signal.SIGCONT, "streams")
                del self.frozen[agent]

    # Each is one stroke of the nemesis; False: not now.

    def add(self):
        idle = [agent for agent in self.agents if not agent.process]
        if not idle or len(self.running()) >= LIVE_MAX:
            return False
        self.random.choice(idle).start()
        return True

    def drain(self):
        if len(self.healthy()) <= LIVE_MIN:
            return False
        agent = self.random.choice(self.healthy())
        begin = time.monotonic()
        status = agent.terminate(STOP_S + 10)
        took_s = time.monotonic() - begin
        assert status == 0, f"a drained agent exits with {status}"
        assert took_s < STOP_S, f"a drain takes {took_s:.1f} s"
        return True

    def kill(self):
        if len(self.healthy()) <= LIVE_MIN:
            return False
        self.random.choice(self.healthy()).kill()
        return True

    def kill_and_start(self):
        agent = self.random.choice(self.healthy())
        agent.kill()
        agent.start()
        return True

    def freeze(self):
        if len(self.healthy()) <= LIVE_MIN - 1:
            return False
        agent = self.random.choice(self.healthy())
        agent.signal(signal.SIGSTOP, "streams")
        self.frozen[agent] = time.monotonic() + self.random.uniform(0.5, 12)
        return True

    def remove_frozen(self):
        if not self.frozen:
            return False
        agent = self.random.choice(list(self.frozen))
        del self.frozen[agent]
        agent.kill()
        return True

    def strike(self):
        strokes = [self.add, self.add, self.drain, self.kill, self.kill_and_start, self.freeze,
                   self.remove_frozen]
        while True:
            stroke = self.random.choice(strokes)
            if stroke():
                self.counts[stroke.__name__] = self.counts.get(stroke.__name__, 0) + 1
                return stroke.__name__


# --- the clients ---------------------------------------------------------------------------------

class Load:
    """Producers, each with its own topic and place; readers that follow; a group."""

    def __init__(self, s, bootstrap):
        self.bootstrap = bootstrap
        patient = {"socket_timeout_ms": 3000, "topic_metadata_refresh_interval_ms": REFRESH_MS,
                   "request_timeout_ms": 10000}
        self.writers = {
            topic: NumberedWriter(bootstrap, topic, PARTITIONS, RECORDS_PER_S,
                                  client_id=client_id, enable_idempotence=numbered, **patient)
            for topic, client_id, numbered in (
                ("numbered-north", "orders,hanse_site=north", "true"),
                ("numbered-any", "orders", "true"),
                ("plain-south", "ws_az=south,clicks", "false"))}
        for writer in self.writers.values():
            writer.start()
        wait_until(lambda: all(writer.acknowledged for writer in self.writers.values()), 30,
                   "the topics")
        quick = ["-X", "socket.timeout.ms=3000", "-X", "fetch.wait.max.ms=300"]
        self.tails = {
            "numbered-north": Tail(s, bootstrap, "numbered-north", *quick,
                                   "-X", "client.id=tail,az=south"),
            "numbered-any": Tail(s, bootstrap, "numbered-any", *quick, "-X", "client.rack=north"),
            "plain-south": Tail(s, bootstrap, "plain-south", *quick, "-X", "client.rack=west")}
        self.members = [Member(s, bootstrap, "workers", "numbered-any", SESSION_MS, *quick,
                               "-X", f"client.id=worker-{i},zone={site}")
                        for i, site in enumerate(("north", "south", "nowhere"))]

        self.longest_s = {topic: 0.0 for topic in self.writers}
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        """For how long a producer got no answer at most."""
        seen = {topic: (0, time.monotonic()) for topic in self.writers}
        while True:
            time.sleep(0.02)
            for topic, writer in self.writers.items():
                count, now = len(writer.acknowledged), time.monotonic()
                if count != seen[topic][0]:
                    self.longest_s[topic] = max(self.longest_s[topic], now - seen[topic][1])
                    seen[topic] = (count, now)

    def longest(self):
        """Since the last call, for people to read."""
        text = " ".join(f"{seconds:.1f}" for seconds in self.longest_s.values())
        self.longest_s = {topic: 0.0 for topic in self.writers}
        return f"producers had no answer for at most {text} s"

    def acknowledged(self):
        return sum(len(writer.acknowledged) for writer in self.writers.values())

    def check_running(self):
        for topic, writer in self.writers.items():
            assert writer.error is None, f"{topic}: {writer.error}"
            assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        for reader in [*self.tails.values(), *self.members]:
            assert reader.process.poll() is None, f"a reader ended: {reader.notes[-3:]}"

    def progress(self, what, timeout_s=STUCK_S):
        """Every producer goes on."""
        before = {topic: len(writer.acknowledged) for topic, writer in self.writers.items()}
        wait_until(lambda: all(len(writer.acknowledged) > before[topic] + 20
                               for topic, writer in self.writers.items()),
                   timeout_s, f"every producer goes on {what}")
        self.check_running()

    def complaints(self):
        """What the libraries told their applications that is no retry."""
        said = [line for writer in self.writers.values() for line in writer.producer.errors]
        said += [line.strip() for reader in [*self.tails.values(), *self.members]
                 for line in reader.notes if "ERROR" in line or "FATAL" in line]
        kinds = Counter(found.group(0) for found in map(HARMLESS.search, said) if found)
        say(" ".join(f"{kind}: {count}" for kind, count in kinds.most_common()))
        return [line for line in said if not HARMLESS.search(line)]


def check_everything(load, history, broker):
    """The end: what there is, against all that anybody was told."""
    for topic, writer in load.writers.items():
        final = kcat.records(broker, topic)
        checker.check_writer(history, topic, writer.acknowledged, final,
                             topic.startswith("numbered"))
        tail = load.tails[topic]
        tail.check_saw(final, STUCK_S)
        checker.check_polls(f"the tail of {topic}", tail.rows)
        history.add("a tail", [(topic, *row) for row in tail.rows])
        say(f"{topic}: {len(final)} records, {len(writer.acknowledged)} acknowledged")
    final = kcat.records(broker, "numbered-any")
    wait_until(lambda: len(set().union(*(member.values() for member in load.members)))
               >= len(final), STUCK_S, "the group has seen everything")
    for member in load.members:
        history.add("a member", [("numbered-any", *row) for row in member.rows])
    checker.check_seen("the group", set().union(*(member.values() for member in load.members)),
                       final)


# --- the scenes ----------------------------------------------------------------------------------

def test_status(s, fleet, controls):
    with s.test("hanse status of the leading node shows every agent"):
        leader = controls[0]
        said = subprocess.run([program(), "status", "--json", "--run-dir", leader.run_dir,
                               "--kafka", leader.address], check=True, capture_output=True)
        agents = json.loads(said.stdout)["agents"]
        wanted = [{"address": agent.address, "site": site, "condition": "serves", "told": True}
                  for agent, site in zip(fleet.agents, SITES) if agent.process]
        assert sorted(agents, key=str) == sorted(wanted, key=str), agents


def test_sites(s, fleet):
    with s.test("Metadata names every agent with its site, at every agent"):
        wanted = {agent.port: site for agent, site in zip(fleet.agents, SITES) if agent.process}
        for agent in fleet.running():
            wait_until(lambda: brokers(agent.port) == wanted, 10,
                       f"{wanted}, not {brokers(agent.port)}")


def test_freeze(s, fleet, load):
    agent, other = fleet.running()[:2]
    with s.test(f"a frozen agent is not named after {LEASE_S} s, and is again when it goes on"):
        begin = time.monotonic()
        agent.signal(signal.SIGSTOP, "streams")
        wait_until(lambda: agent.port not in brokers(other.port), LEASE_S, "it is not named")
        say(f"not named after {time.monotonic() - begin:.1f} s")
        load.progress("without it")
        agent.signal(signal.SIGCONT, "streams")
        begin = time.monotonic()
        wait_until(lambda: agent.port in brokers(other.port), LEASE_S, "it is named again")
        say(f"named again after {time.monotonic() - begin:.1f} s")
        load.progress("with it")


def test_drain(s, fleet, load):
    with s.test("a drained agent sends its clients away and loses nothing"):
        load.longest()
        for agent in list(fleet.running())[:2]:
            begin = time.monotonic()
            status = agent.terminate(STOP_S + 10)
            took_s = time.monotonic() - begin
            say(f"drained in {took_s:.1f} s")
            assert status == 0 and took_s < STOP_S
            assert "left; clients go to" in agent.log()
            other = fleet.running()[0]
            assert agent.port not in brokers(other.port)
            load.progress("elsewhere")
            say(load.longest())
            agent.start()


def test_sickness(s, fleet, load):
    agent, other = fleet.agents[1], fleet.agents[0]  # the only one in the south
    with s.test(f"an agent that cannot use its bucket is not named after {SICK_S} s, until it can"):
        wait_until(lambda: agent.port in brokers(other.port), 10, "it is named")
        time.sleep(REFRESH_MS / 1000 + 1)  # now the producer of the south has come back to it
        load.progress("with it")
        pid = agent.role_pid("streams")
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        begin = time.monotonic()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES_FEW, before[1]))
        wait_until(lambda: agent.port not in brokers(other.port), SICK_S, "it is not named")
        say(f"not named after {time.monotonic() - begin:.1f} s")
        load.progress("without it")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        begin = time.monotonic()
        wait_until(lambda: agent.port in brokers(other.port), SICK_S, "it is named again")
        say(f"named again after {time.monotonic() - begin:.1f} s")
        load.progress("with it")


def test_nemesis(s, fleet, load, random):
    with s.test(f"{SECONDS} s of adding, draining, killing, freezing and removing agents"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(random.uniform(0.5, 4))
            fleet.thaw()
            before = load.acknowledged()
            say(f"{fleet.strike()}: {len(fleet.healthy())} of {len(fleet.running())} agents are "
                f"well, {before} acknowledged")
            load.check_running()
        say(" ".join(f"{name}: {count}" for name, count in sorted(fleet.counts.items())))
        say(load.longest())
    with s.test("nobody is stuck when it is over"):
        fleet.thaw(everybody=True)
        while len(fleet.running()) < 3:
            fleet.add()
        load.progress("after all")
        load.longest()


def test_takeover(s, fleet, load, controls):
    with s.test("control is killed, then stopped: another takes over, agents and clients stay"):
        pids = {agent: agent.role_pid("streams") for agent in fleet.running()}
        for number, stroke in enumerate((signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL)):
            leader, other = controls[number % 2], controls[1 - number % 2]
            wait_until(lambda: "stands by" in other.log().split("leads the journal")[-1], 20,
                       "the other stands by")
            begin = time.monotonic()
            if stroke == signal.SIGKILL:
                leader.kill()
            else:
                leader.signal(stroke, "control")
            load.progress("with the other control")
            say(f"every producer went on within {time.monotonic() - begin:.1f} s "
                f"after {stroke.name}")
            if stroke == signal.SIGKILL:
                leader.launch()
            else:
                leader.signal(signal.SIGCONT, "control")
        say(load.longest())
        assert pids == {agent: agent.role_pid("streams") for agent in fleet.running()}
        wanted = sorted(agent.port for agent in fleet.running())
        for agent in fleet.running():
            wait_until(lambda: sorted(brokers(agent.port)) == wanted, 10, "all agents are named")


with Scenario() as s:
    random = s.seed()
    with s.test("the checker finds what it looks for"):
        checker.check_itself()

    setting = Setting(s, random)
    controls = [setting.start_control(s, "control-a")]
    wait_until(lambda: "leads the journal" in controls[0].log(), 30, "control leads")
    controls.append(setting.start_control(s, "control-b"))
    fleet = Fleet(s, random, setting, controls)
    for agent in fleet.agents[:3]:
        agent.start()
    load = Load(s, fleet.bootstrap)
    history = checker.History()

    test_sites(s, fleet)
    test_status(s, fleet, controls)
    test_freeze(s, fleet, load)
    test_drain(s, fleet, load)
    test_sickness(s, fleet, load)
    test_nemesis(s, fleet, load, random)
    test_takeover(s, fleet, load, controls)

    with s.test("every record is acknowledged in the end"):
        for writer in load.writers.values():
            writer.stop(STUCK_S)
            assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
            assert len(writer.acknowledged) == writer.count > 0

    with s.test("nothing is lost, moved, out of order, twice for numbered producers, or unseen"):
        check_everything(load, history, fleet.running()[0].address)

    with s.test("clients were told of nothing but retries"):
        complaints = load.complaints()
        assert not complaints, f"{len(complaints)}: {complaints[:10]}"
