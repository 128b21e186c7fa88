"""A member of a consumer group: kcat -G, read line by line."""

import signal
import threading


class Member:
    """kcat -G, read line by line."""

    def __init__(self, scenario, node, group, topic, session_ms):
        self.rows, self.notes = [], []
        self.process = scenario.spawn(
            "kcat", "-b", node.address, "-G", group, "-u", "-E",
            "-X", "auto.offset.reset=earliest", "-X", f"session.timeout.ms={session_ms}",
            "-X", "heartbeat.interval.ms=500", "-X", "auto.commit.interval.ms=200",
            "-f", "%p\t%o\t%s\n", topic, stdout=-1, stderr=-1)
        for pipe, take in ((self.process.stdout, self.take_row),
                           (self.process.stderr, lambda line: self.notes.append(line.decode()))):
            threading.Thread(target=lambda p=pipe, t=take: [t(line) for line in p],
                             daemon=True).start()

    def take_row(self, line):
        partition, offset, value = line.rstrip(b"\n").split(b"\t")
        self.rows.append((int(partition), int(offset), value))

    def values(self):
        return {row[2] for row in self.rows}

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
        self.process.wait(20)
