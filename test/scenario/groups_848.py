#!/usr/bin/env python3
"""Groups of the consumer protocol (KIP-848) with real clients: sharing, leaving, dying, patterns,
migration from and to the classic protocol, and a control that is killed under them.

librdkafka 2.15 is built once below the cache, as for librdkafka.py; skipped by name without it.
timeout: 900 s; runs beside others
"""

import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import apache_kafka
from kafka import GROUP_RESOURCE, alter_configs
from kcat import produce
from scenario import Scenario, Skip, say, skip_all, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import suite  # noqa: E402

PARTITIONS = 4
PATIENCE_S = 60
# As short as they may be: a heartbeat is when members hear of anything.
PROMPT = {"consumer.heartbeat.interval.ms": "1000"}
MORTAL = {**PROMPT, "consumer.session.timeout.ms": "6000"}

why = suite.missing()
if why:
    skip_all(why)
try:
    LIBRARY = suite.build(say) / "src/librdkafka.so.1"
except (subprocess.SubprocessError, OSError) as error:
    skip_all(f"librdkafka cannot be built here: {error}")


class Member:
    """records: [(topic, partition, offset, value)]; places: what it has now, {"topic:partition"};
    changes: how often that changed."""

    def __init__(self, scenario, brokers, group, *topics, protocol="consumer", **settings):
        words = {"bootstrap.servers": brokers, "group.id": group, "group.protocol": protocol,
                 "auto.offset.reset": "earliest", "auto.commit.interval.ms": "200",
                 "reconnect.backoff.ms": "20", "reconnect.backoff.max.ms": "200",
                 "topic.metadata.refresh.interval.ms": "1000", "log_level": "2", **settings}
        if protocol == "classic":
            words |= {"heartbeat.interval.ms": "500"}
        self.records, self.places, self.changes, self.errors = [], set(), 0, []
        self.process = scenario.spawn(
            sys.executable, Path(__file__).with_name("group_member.py"), LIBRARY, *topics, "--",
            *[f"{name.replace('_', '.') if name != 'log_level' else name}={value}"
              for name, value in words.items()], stdout=-1, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "record":
                self.records.append((rest[0], int(rest[1]), int(rest[2]), rest[3]))
            elif word == "assigned":
                self.places = set(rest)
                self.changes += 1
            else:
                self.errors.append(" ".join(rest))

    def values(self):
        return {value for _, _, _, value in self.records}

    def leave(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def places(topic, count=PARTITIONS):
    return {f"{topic}:{partition}" for partition in range(count)}


def share(members, wanted, each=None):
    """Together they have all of it, none twice."""
    counts = Counter(place for member in members for place in member.places)
    return set(counts) == wanted and set(counts.values()) <= {1} and \
        (each is None or sorted(len(member.places) for member in members) == each)


def await_share(members, wanted, each=None):
    wait_until(lambda: share(members, wanted, each), PATIENCE_S,
               f"{wanted} shared as {each}, not {[member.places for member in members]}")


class Writer:
    """Numbers on and on, to all partitions of a topic."""

    def __init__(self, node, topic):
        self.node, self.topic, self.count = node, topic, 0

    def write(self, count=40):
        """What was written, as values."""
        first, self.count = self.count, self.count + count
        for partition in range(PARTITIONS):
            numbers = [i for i in range(first, self.count) if i % PARTITIONS == partition]
            produce(self.node.address, self.topic, b"".join(b"%d\n" % i for i in numbers), "-p",
                    partition)
        return {str(i) for i in range(first, self.count)}


def await_values(members, wanted, what="the new records"):
    wait_until(lambda: wanted <= set().union(*[member.values() for member in members]),
               PATIENCE_S, what)


def read_twice(members):
    counts = Counter(record for member in members for record in member.records)
    return [record for record, count in counts.items() if count > 1]


with Scenario() as s:
    options = ["--default-partitions", PARTITIONS]
    node, other = (s.node(name, options=options) for name in "ab")
    node.start()
    other.launch()
    brokers = f"{node.address},{other.address}"
    alter_configs(node.port, GROUP_RESOURCE, "g", MORTAL)
    for group in ("static", "pattern", "mixed", "lasting"):
        alter_configs(node.port, GROUP_RESOURCE, group, PROMPT)
    writer = Writer(node, "t")
    everything = writer.write()

    with s.test("the only member gets all partitions and every record once"):
        first = Member(s, brokers, "g", "t")
        await_share([first], places("t"))
        await_values([first], everything)

    with s.test("a second member gets half of them, and no record is read twice"):
        second = Member(s, brokers, "g", "t")
        await_share([first, second], places("t"), [2, 2])
        everything |= writer.write()
        await_values([first, second], everything)
        assert not read_twice([first, second]), read_twice([first, second])

    with s.test("Kafka's Java client is a third one, and its tool describes them"):
        why = apache_kafka.why_not()
        if why:
            raise Skip(why)
        java = s.spawn(*apache_kafka.command(
            "console-consumer", "--bootstrap-server", node.address, "--topic", "t", "--group", "g",
            "--command-property", "group.protocol=consumer"), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_until(lambda: sorted(len(m.places) for m in (first, second)) in ([1, 2], [1, 1]), 90,
                   "the third one has a part")
        said = apache_kafka.run("consumer-groups", "--bootstrap-server", node.address,
                                "--describe", "--group", "g", "--state")
        assert "uniform" in said and " 3" in said, said
        java.terminate()
        await_share([first, second], places("t"), [2, 2])

    with s.test("who leaves gives everything to the others, who goes on where it was"):
        second.leave()
        await_share([first], places("t"))
        new = writer.write()
        everything |= new
        await_values([first], new)

    with s.test("who is killed is out after its session"):
        third = Member(s, brokers, "g", "t")
        await_share([first, third], places("t"), [2, 2])
        third.process.send_signal(signal.SIGKILL)
        await_share([first], places("t"))
        new = writer.write()
        everything |= new
        await_values([first], new)

    with s.test("an instance that comes back in time has what it had, and nobody else notices"):
        stays = Member(s, brokers, "static", "t", group_instance_id="one")
        goes = Member(s, brokers, "static", "t", group_instance_id="two")
        await_share([stays, goes], places("t"), [2, 2])
        had, changes = goes.places, stays.changes
        goes.leave()
        goes = Member(s, brokers, "static", "t", group_instance_id="two")
        wait_until(lambda: goes.places == had, PATIENCE_S, f"{had} again")
        assert stays.changes == changes
        goes.leave()
        stays.leave()

    with s.test("a pattern means topics that come later too"):
        pattern = Member(s, brokers, "pattern", "^log-[ab]")
        produce(node.address, "log-a", b"x\n", "-p", 0)
        await_share([pattern], places("log-a"))
        produce(node.address, "log-b", b"y\n", "-p", 0)
        produce(node.address, "log-c", b"z\n", "-p", 0)
        await_share([pattern], places("log-a") | places("log-b"))
        await_values([pattern], {"x", "y"})
        assert "z" not in pattern.values()
        pattern.leave()

    with s.test("a classic group goes on while members of the new protocol come in"):
        old = [Member(s, brokers, "mixed", "t", protocol="classic",
                      partition_assignment_strategy="cooperative-sticky") for _ in range(2)]
        await_share(old, places("t"), [2, 2])
        new = writer.write()
        await_values(old, new)
        newer = Member(s, brokers, "mixed", "t")
        await_share([*old, newer], places("t"), [1, 1, 2])
        new = writer.write()
        await_values([*old, newer], new)

    with s.test("and is a classic one again when the last of these leaves"):
        newer.leave()
        await_share(old, places("t"), [2, 2])
        new = writer.write()
        await_values(old, new)
        for member in old:
            member.leave()

    with s.test("members of both protocols stay when control is killed, and lose nothing"):
        first.leave()
        lasting = [Member(s, brokers, "lasting", "t", protocol=protocol)
                   for protocol in ("consumer", "classic", "consumer")]
        await_share(lasting, places("t"), [1, 1, 2])
        await_values(lasting, set(map(str, range(writer.count))), "all records")
        changes = [member.changes for member in lasting]
        node.kill()
        wait_until(other.is_serving, PATIENCE_S, "the other node serves")
        writer.node = other
        new = writer.write()
        await_values(lasting, new)
        assert [member.changes for member in lasting] == changes, "they were sent away"
        again = [record for record in read_twice(lasting) if record[3] in new]
        assert not again, f"read twice: {again}"
        for member in lasting:
            member.leave()
