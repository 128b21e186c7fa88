"""kcat as a consumer that goes on and on, read line by line."""

import signal
import threading
from collections import defaultdict

from scenario import wait_until


class Reader:
    """rows: [(partition, offset, value)] in the order kcat wrote them; notes: what else it said."""

    def __init__(self, scenario, *words):
        self.rows, self.notes = [], []
        self.process = scenario.spawn("kcat", "-u", "-E", "-m", "60", "-f", "%p\t%o\t%s\n", *words,
                                      stdout=-1, stderr=-1)
        for pipe, take in ((self.process.stdout, self.take_row),
                           (self.process.stderr, lambda line: self.notes.append(line.decode()))):
            threading.Thread(target=lambda p=pipe, t=take: [t(line) for line in p],
                             daemon=True).start()

    def take_row(self, line):
        if not line.endswith(b"\n"):
            return  # it was killed while it wrote
        partition, offset, value = line.rstrip(b"\n").split(b"\t")
        self.rows.append((int(partition), int(offset), value))

    def values(self):
        return {row[2] for row in list(self.rows)}


class Tail(Reader):
    """Reads a topic from its beginning, through whatever happens to its brokers."""

    def __init__(self, scenario, brokers, topic, *words):
        # "error": if an offset it has reached is not there, it must not begin again in silence.
        super().__init__(scenario, "-b", brokers, "-C", "-t", topic, "-o", "beginning",
                         "-X", "topic.auto.offset.reset=error", "-X", "reconnect.backoff.ms=20",
                         "-X", "reconnect.backoff.max.ms=200",
                         "-X", "topic.metadata.refresh.interval.ms=1000", *words)

    def check_saw(self, records, timeout_s=40):
        """It sees each of these, as kcat.records() gives them, once, in order, where it is; what
        is behind them in their partitions does not matter."""
        try:
            wait_until(lambda: self.process.poll() is not None or self.saw_as_many(records),
                       timeout_s, "the reader has seen as many records as there are")
        finally:
            for partition, wanted in by_partition(records).items():
                seen = self.seen(partition)[:len(wanted)]
                assert seen == wanted, f"partition {partition}: {difference(seen, wanted)}; " \
                    f"kcat said {self.notes[-5:]}"

    def check_saw_only(self, records):
        """The same, and nothing else."""
        self.check_saw(records)
        assert len(self.rows) == len(records), \
            f"{len(self.rows)} records were read, there are {len(records)}"

    def seen(self, partition):
        return [(offset, value) for at, offset, value in self.rows if at == partition]

    def saw_as_many(self, records):
        return len(self.rows) >= len(records) and all(
            len(self.seen(partition)) >= len(wanted)
            for partition, wanted in by_partition(records).items())


def by_partition(records):
    found = defaultdict(list)
    for partition, offset, _, value in records:
        found[partition].append((offset, value))
    return found


def difference(seen, wanted):
    for number, (one, other) in enumerate(zip(seen, wanted)):
        if one != other:
            return f"record {number} was read as {one}, it is {other}"
    return f"{len(seen)} records were read, there are {len(wanted)}"


class Member(Reader):
    """A member of a consumer group; `brokers`: addresses, or a node."""

    def __init__(self, scenario, brokers, group, topic, session_ms, *words):
        super().__init__(scenario, "-b", getattr(brokers, "address", brokers), "-G", group,
                         "-X", "auto.offset.reset=earliest",
                         "-X", f"session.timeout.ms={session_ms}",
                         "-X", "heartbeat.interval.ms=500",
                         "-X", "auto.commit.interval.ms=200", *words, topic)

    def partitions(self):
        """What kcat says it was given last."""
        for note in reversed(self.notes):
            if "rebalanced" in note and "assigned:" in note:
                listed = note.split("assigned:")[1]
                return {int(part.split("[")[1].split("]")[0])
                        for part in listed.split(",") if "[" in part}
            if "rebalanced" in note and "revoked" in note:
                return set()
        return set()

    def leave(self):
        """As ^C does: commits and says goodbye."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
