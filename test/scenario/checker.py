"""What may not happen to records, whoever serves them: the list of anomalies that testers of logs
look for, over everything that clients saw.

    history = History()
    history.add("a tail", rows)           # [(topic, partition, offset, value)]: seen there, once
    check_writer(history, writer, final)  # final: [(partition, offset, key, value)] of its topic

Each check raises an AssertionError that says what was found."""

from collections import defaultdict

EXAMPLES = 5


class Anomaly(AssertionError):
    pass


def refuse(found, what):
    if found:
        raise Anomaly(f"{len(found)} {what}, such as {found[:EXAMPLES]}")


class History:
    """inconsistent offsets: one offset that two observers saw as two values."""

    def __init__(self):
        self.values = {}  # (topic, partition, offset): (value, who saw it first)

    def add(self, who, rows):
        found = []
        for topic, partition, offset, value in rows:
            place = (topic, partition, offset)
            before, first = self.values.setdefault(place, (value, who))
            if before != value:
                found.append((place, first, before, who, value))
        refuse(found, "offsets have two values")


def check_polls(who, rows):
    """nonmonotonic polls, skips: who reads without a group sees every offset once, in order.
    `rows`: [(partition, offset, value)] in the order in which they were read."""
    following = {}
    found = []
    for partition, offset, _ in rows:
        wanted = following.get(partition, offset)
        if offset != wanted:
            found.append((who, partition, f"offset {offset} after {wanted - 1}"))
        following[partition] = offset + 1
    refuse(found, "polls go back or skip")


def check_offsets(acknowledged):
    """spurious offsets: below zero, or one that two records were told.
    `acknowledged`: {value: (partition, offset)}."""
    refuse([(value, place) for value, place in acknowledged.items() if place[1] < 0],
           "acknowledged records have no offset")
    told = defaultdict(list)
    for value, place in acknowledged.items():
        told[place].append(value)
    refuse([item for item in told.items() if len(item[1]) > 1],
           "offsets were told to several records")


def check_written(acknowledged, final, is_numbered):
    """lost, moved, duplicated and disordered records, and gaps.
    `final`: [(partition, offset, key, value)] of the whole topic.  Producers that number their
    batches (idempotent ones) get no duplicates and keep their order."""
    values = {(partition, offset): value for partition, offset, _, value in final}
    places = defaultdict(list)
    for partition, offset, _, value in final:
        places[value].append((partition, offset))
    refuse([value for value in acknowledged if value not in places],
           "acknowledged records are lost")
    refuse([(value, place, values.get(place)) for value, place in acknowledged.items()
            if values.get(place) != value], "records are not where they were said to be")
    last = {}
    for partition, offset in sorted(values):
        if offset != last.get(partition, -1) + 1:
            raise Anomaly(f"partition {partition} has a gap before {offset}")
        last[partition] = offset
    if not is_numbered:
        return
    refuse([item for item in places.items() if len(item[1]) > 1], "records are there twice")
    numbers = defaultdict(list)
    for place in sorted(values):
        numbers[place[0]].append(int(values[place].split(b" ")[0]))
    for partition, found in numbers.items():
        if found != sorted(found):
            raise Anomaly(f"partition {partition} is out of order")


def check_seen(who, seen, final):
    """unseen: `seen`, the values that the members of a group read together, are all of them."""
    refuse([(partition, offset, value) for partition, offset, _, value in final
            if value not in seen], f"records were never seen by {who}")


def check_only(who, seen, final):
    """aborted reads: `seen` has nothing that is not in `final`."""
    known = {value for _, _, _, value in final}
    refuse([value for value in seen if value not in known],
           f"records were seen by {who} that are not there")


def check_writer(history, topic, acknowledged, final, is_numbered):
    """Everything about one writer's topic."""
    check_offsets(acknowledged)
    history.add("its producer", ((topic, partition, offset, value)
                                 for value, (partition, offset) in acknowledged.items()))
    history.add("the last reader", ((topic, partition, offset, value)
                                    for partition, offset, _, value in final))
    check_written(acknowledged, final, is_numbered)


def check_itself():
    """Each anomaly is found when it is there, and nothing when it is not."""
    final = [(0, 0, b"", b"0"), (0, 1, b"", b"2"), (1, 0, b"", b"1")]
    sound = {b"0": (0, 0), b"1": (1, 0), b"2": (0, 1)}
    check_writer(History(), "t", sound, final, True)
    check_polls("r", [(0, 0, b"0"), (1, 0, b"1"), (0, 1, b"2")])
    check_seen("g", {b"0", b"1", b"2"}, final)
    check_only("g", {b"0", b"1"}, final)
    swapped = [(0, 0, b"", b"2"), (0, 1, b"", b"0"), (1, 0, b"", b"1")]
    twice = final + [(0, 2, b"", b"2")]

    def two_values():
        history = History()
        history.add("one", [("t", 0, 0, b"x")])
        history.add("other", [("t", 0, 0, b"y")])

    broken = {
        "inconsistent offset": two_values,
        "poll that goes back": lambda: check_polls("r", [(0, 1, b""), (0, 0, b"")]),
        "poll that skips": lambda: check_polls("r", [(0, 0, b""), (0, 2, b"")]),
        "poll twice": lambda: check_polls("r", [(0, 0, b""), (0, 0, b"")]),
        "no offset": lambda: check_offsets({b"0": (0, -1)}),
        "offset of another": lambda: check_offsets({b"0": (0, 0), b"1": (0, 0)}),
        "lost": lambda: check_written({**sound, b"3": (0, 2)}, final, True),
        "moved": lambda: check_written({**sound, b"0": (1, 0)}, final, True),
        "gap": lambda: check_written({}, [(0, 1, b"", b"0")], False),
        "duplicate": lambda: check_written(sound, twice, True),
        "disorder": lambda: check_written({}, swapped, True),
        "seen though aborted": lambda: check_only("g", {b"0", b"9"}, final),
        "unseen": lambda: check_seen("g", {b"0", b"1"}, final),
    }
    for name, check in broken.items():
        try:
            check()
        except Anomaly:
            continue
        raise AssertionError(f"the checker does not find: {name}")
    check_written(sound, twice, False)  # what others may do
