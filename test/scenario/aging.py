"""Topics whose records go while everything else goes on: one by age, one by key.

    aging = Aging(node, brokers, partitions)
    aging.start()
    ...
    aging.stop()
    aging.check(history)"""

import subprocess
import time

import kcat
from checker import refuse
from kafka import BROKER_RESOURCE, alter_configs
from rdkafka import NumberedWriter
from scenario import say, wait_until

KEYS = 30  # a multiple of the partitions: each is in one of them
RECORDS_PER_S = 60
RETENTION_S = 30
YOUNG_S = 15  # what was acknowledged this long before it is read has not gone
GONE_S = 120
PADDING = b" " + b"x" * 500


def key_of(number):
    return b"key-%d" % (number % KEYS)


def places(acknowledged):
    """{(partition, offset): value} of those that were told where they are."""
    return {place: value for value, place in acknowledged.items() if place[1] >= 0}


def records(brokers, topic):
    return kcat.records(brokers, topic, "-X", "auto.offset.reset=earliest")


class Aging:
    def __init__(self, node, brokers, partitions, **settings):
        self.brokers, self.partitions = brokers, partitions

        def create(topic, *configs):
            for words in (["create", topic, "--partitions", str(partitions)],
                          ["config", topic, *configs]):
                subprocess.run([node.program, "topic", *words, "--kafka", node.address],
                               check=True, capture_output=True, timeout=60)

        alter_configs(node.port, BROKER_RESOURCE, "", {"log.retention.check.interval.ms": 1000})
        create("short", f"retention.ms={RETENTION_S * 1000}")
        create("latest", "cleanup.policy=compact", "min.cleanable.dirty.ratio=0")
        self.short = NumberedWriter(brokers, "short", partitions, RECORDS_PER_S, PADDING,
                                    **settings)
        self.latest = NumberedWriter(brokers, "latest", partitions, RECORDS_PER_S, PADDING,
                                     key_of=key_of, **settings)
        self.writers = [self.short, self.latest]

    def start(self):
        for writer in self.writers:
            writer.start()

    def stop(self):
        for writer in self.writers:
            writer.is_stopping.set()
        self.young = set()
        before = set(self.short.acknowledged)
        self.young_at = time.monotonic()
        for writer in self.writers:
            writer.stop()
            assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        self.young = set(self.short.acknowledged) - before

    def check(self, history):
        self.check_short(history)
        self.check_latest(history)

    def check_short(self, history):
        """What is left is where it was said to be, without gaps up to the end, and goes as well."""
        said = places(self.short.acknowledged)
        found = records(self.brokers, "short")
        history.add("its producer", (("short", *place, value) for place, value in said.items()))
        history.add("the last reader", (("short", p, o, value) for p, o, _, value in found))
        for partition in range(self.partitions):
            offsets = [offset for at, offset, _, _ in found if at == partition]
            first = offsets[0] if offsets else None
            assert offsets == list(range(first or 0, (first or 0) + len(offsets))), \
                f"short: partition {partition} has gaps"
            refuse([place for place in said if place[0] == partition and first is not None and
                    place[1] > offsets[-1]], "acknowledged records are lost")
        if time.monotonic() - self.young_at < YOUNG_S:
            values = {value for *_, value in found}
            refuse([value for value in self.young if value not in values],
                   "acknowledged records are lost, which were young")
        say(f"short: {len(found)} of {len(said)} records had not gone yet")
        wait_until(lambda: not records(self.brokers, "short"), GONE_S, "all that is old has gone")

    def check_latest(self, history):
        """Of each key the last record is there, and soon no other."""
        acknowledged = self.latest.acknowledged
        history.add("its producer", (("latest", *place, value)
                                     for place, value in places(acknowledged).items()))
        last = {}
        for value in acknowledged:
            number = int(value.split(b" ")[0])
            last[key_of(number)] = max(last.get(key_of(number), -1), number)

        def is_compacted():
            found = records(self.brokers, "latest")
            history.add("the last reader", (("latest", p, o, value) for p, o, _, value in found))
            shown = {key: int(value.split(b" ")[0]) for _, _, key, value in found}
            refuse([(key, number, shown.get(key)) for key, number in last.items()
                    if shown.get(key) != number], "acknowledged records are lost, the last of keys")
            return len(found) == len(last)
        wait_until(is_compacted, GONE_S, "one record is left of each key")
        say(f"latest: {len(last)} of {len(acknowledged)} records are left")
