"""A member of a group of the consumer protocol, through librdkafka 2.15, that goes on and on."""

import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

import suite  # noqa: E402

LIBRARY = suite.directory() / "src/librdkafka.so.1"


class GroupReader:
    """rows: [(partition, offset, value)]; places: what it has now, {"topic:partition"}; errors:
    what else it said."""

    def __init__(self, scenario, brokers, group, topic, protocol="consumer", **settings):
        words = {"bootstrap.servers": brokers, "group.id": group, "group.protocol": protocol,
                 "auto.offset.reset": "earliest", "reconnect.backoff.ms": "20",
                 "reconnect.backoff.max.ms": "200", "topic.metadata.refresh.interval.ms": "1000",
                 **{name.replace("_", "."): str(value) for name, value in settings.items()},
                 "log_level": "2"}
        self.rows, self.places, self.errors = [], set(), []
        self.process = scenario.spawn(
            sys.executable, HERE / "group_member.py", LIBRARY, topic, "--",
            *[f"{name}={value}" for name, value in words.items()], stdout=-1)
        threading.Thread(target=self.listen, daemon=True).start()

    @staticmethod
    def missing():
        """Why it cannot be used here, or None."""
        return None if LIBRARY.exists() else \
            "no group of the consumer protocol: librdkafka 2.15 is not built"

    def listen(self):
        for line in self.process.stdout:
            word, *rest = line.split(maxsplit=4)
            if word == b"record" and line.endswith(b"\n"):
                self.rows.append((int(rest[1]), int(rest[2]), rest[3].rstrip(b"\n")))
            elif word == b"assigned":
                self.places = {place.decode() for place in line.split()[1:]}
            else:
                self.errors.append(line.decode(errors="replace"))

    def values(self):
        return {row[2] for row in list(self.rows)}
