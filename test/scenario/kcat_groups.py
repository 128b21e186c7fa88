#!/usr/bin/env python3
# runs beside others
"""Consumer groups as kcat uses them: sharing, commits that survive, members that leave."""

from kcat import produce
from kcat_reader import Member
from scenario import Scenario, wait_until

PARTITIONS = 4
TOPIC = "tasks"
SESSION_MS = 6000


def write(node, first, count):
    for partition in range(PARTITIONS):
        data = b"".join(b"%d\n" % i for i in range(first, first + count)
                        if i % PARTITIONS == partition)
        produce(node.address, TOPIC, data, "-p", partition)
    return {b"%d" % i for i in range(first, first + count)}


with Scenario() as s:
    node = s.node(options=["--default-partitions", PARTITIONS])
    node.start()
    everything = write(node, 0, 1000)

    with s.test("the only member of a group gets every record once"):
        first = Member(s, node, "workers", TOPIC, SESSION_MS)
        wait_until(lambda: first.values() == everything, 30, "all records")
        assert len(first.rows) == 1000
        assert first.partitions() == set(range(PARTITIONS))

    with s.test("two members share the partitions, and each record goes to one of them"):
        second = Member(s, node, "workers", TOPIC, SESSION_MS)
        wait_until(lambda: len(second.partitions()) == 2 and len(first.partitions()) == 2, 30,
                   "both have two partitions")
        assert first.partitions() | second.partitions() == set(range(PARTITIONS))
        before = len(first.rows)
        more = write(node, 1000, 1000)
        wait_until(lambda: more <= first.values() | second.values(), 30, "all new records")
        new = first.rows[before:] + second.rows
        assert len(new) == 1000, f"{len(new)} records for 1000"
        assert not second.values() & everything, "the group began again"

    with s.test("when one leaves, the other takes over its partitions"):
        second.leave()
        wait_until(lambda: len(first.partitions()) == PARTITIONS, 30, "all partitions")
        more = write(node, 2000, 400)
        wait_until(lambda: more <= first.values(), 30, "all new records")

    with s.test("when one is killed, the other takes over after the session timeout"):
        third = Member(s, node, "workers", TOPIC, SESSION_MS)
        wait_until(lambda: len(third.partitions()) == 2 and len(first.partitions()) == 2, 30,
                   "both have two partitions")
        third.process.kill()
        wait_until(lambda: len(first.partitions()) == PARTITIONS, 30, "all partitions")
        more = write(node, 3000, 400)
        wait_until(lambda: more <= first.values(), 30, "all new records")
        first.leave()

    with s.test("another group reads everything for itself"):
        other = Member(s, node, "auditors", TOPIC, SESSION_MS)
        wait_until(lambda: len(other.values()) == 2800, 30, "all records")
        other.leave()

    with s.test("committed offsets survive kill -9 of everything"):
        node.kill()
        node.start()
        more = write(node, 4000, 40)
        again = Member(s, node, "workers", TOPIC, SESSION_MS)
        wait_until(lambda: more <= again.values(), 30, "the new records")
        assert again.values() == more, "records were delivered again"

    with s.test("a member goes on when the node is killed and started under it"):
        node.kill()
        node.start()
        more = write(node, 5000, 40)
        wait_until(lambda: more <= again.values(), 40, "the records after the restart")
        again.leave()
