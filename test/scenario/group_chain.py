#!/usr/bin/env python3
"""K4: three groups in a chain, each of which copies with exactly-once what the one before it wrote,
while their members come and go all the time, and fail when their offsets are sent already: each
record arrives once at every stage, in order.

SEED=n repeats the choices.  timeout: 600 s; runs beside others"""

import time

import kcat
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, say, wait_until
from transactor import Worker

PARTITIONS = 4
STORM_S = 6
MEMBERS = 2
PATIENCE_S = 60
FAIL_EACH = 5
TOPICS = ["first", "second", "third", "fourth"]
# Not cooperative-sticky: leaving members of librdkafka 2.0 fail an assertion of its own with it.
STRATEGIES = ["range,roundrobin", "range", "roundrobin"]


class Stage:
    """One group.  former: members that went, as programs that are stopped do."""

    def __init__(self, brokers, number):
        self.brokers, self.number = brokers, number
        self.group, self.strategy = f"stage-{number}", STRATEGIES[number]
        self.count, self.former = 0, []
        self.members = [self.new_member() for _ in range(MEMBERS)]

    def new_member(self):
        self.count += 1
        worker = Worker(self.brokers, self.group, TOPICS[self.number], TOPICS[self.number + 1],
                        f"{self.group}-{self.count}", fail_each=FAIL_EACH,
                        partition_assignment_strategy=self.strategy)
        worker.start()
        return worker

    def replace_one(self, random):
        """It is told to go, and is not waited for: the others rebalance twice."""
        at = random.randrange(len(self.members))
        self.members[at].is_stopping.set()
        self.former.append(self.members[at])
        self.members[at] = self.new_member()

    def all(self):
        return self.former + self.members

    def stop(self):
        for member in self.members:
            member.is_stopping.set()
        for member in self.all():
            member.stop()


def check_copied(source, copies, topic):
    """Every record once, and those of a partition in the order they had."""
    for partition in range(PARTITIONS):
        wanted = [value for at, _, _, value in source if at == partition]
        found = [value for at, _, _, value in copies if at == partition]
        assert len(set(found)) == len(found), \
            f"{topic}: {len(found) - len(set(found))} records of {partition} are there twice"
        assert found == wanted, f"{topic}: {len(found)} of {len(wanted)} records of {partition}"


with Scenario() as s:
    random = s.seed()
    node = s.node(options=["--default-partitions", PARTITIONS])
    node.start()
    writer = NumberedWriter(node.address, TOPICS[0], PARTITIONS, 200)
    writer.start()
    for topic in TOPICS:
        kcat.kcat(node.address, "-L", "-t", topic)
    stages = [Stage(node.address, number) for number in range(len(STRATEGIES))]

    with s.test("members come and go in three groups of a chain, and all of them go on"):
        wait_until(lambda: all(sum(member.count for member in stage.all()) for stage in stages),
                   PATIENCE_S, "each stage has copied something")
        end = time.monotonic() + STORM_S
        while time.monotonic() < end:
            random.choice(stages).replace_one(random)
            time.sleep(random.uniform(0.1, 0.8))
        before = [sum(member.count for member in stage.members) for stage in stages]
        wait_until(lambda: all(sum(member.count for member in stage.members) > count
                               for stage, count in zip(stages, before)),
                   PATIENCE_S, "each stage goes on")
        wait_until(lambda: all(sum(member.failed for member in stage.all()) for stage in stages),
                   PATIENCE_S, "each stage has failed and gone on")
        say(f"{sum(stage.count for stage in stages)} members, "
            f"{sum(member.lives for stage in stages for member in stage.all())} lives, "
            f"{sum(member.failed for stage in stages for member in stage.all())} failures")
    writer.stop()

    # K4
    with s.test("each record is at the end of the chain once, in order, and none is missing"):
        source = kcat.records(node.address, TOPICS[0])
        check_exactly_once(writer, source)

        def arrived():
            found = kcat.records(node.address, TOPICS[-1])
            return found if len(found) >= len(source) else None
        wait_until(arrived, PATIENCE_S, "all of it has arrived")
        for stage in stages:
            stage.stop()
        for topic in TOPICS[1:]:
            check_copied(source, kcat.records(node.address, topic), topic)
        say(f"{len(source)} records")
