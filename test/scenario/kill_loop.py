#!/usr/bin/env python3
"""kill -9 any process at any moment: every acknowledged record is there, exactly once, where it was
said to be, and a consumer that follows sees just that.  Then everything but the bucket is deleted,
and it is all still there.

SEED=n repeats the choices, ROUNDS=n makes it longer.  Never skipped.  timeout: 600 s"""
# one run only: nothing acknowledged may depend on luck

import os
import shutil
import signal
import time

import kcat
from kafka import Client
from kcat_reader import Tail
from node import IS_ASAN, ROLES
from rdkafka import NumberedWriter, check_exactly_once, check_prefix
from scenario import Scenario, say, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "24"))
PARTITIONS = 4
TOPIC = "ledger"
RECORDS_PER_S = 600
ROLE_KILLS_MAX = 3  # the supervisor's pauses grow with each; a new supervisor begins anew
START_LIMIT_S = 5.0 if IS_ASAN else 1.0


class Killer:
    def __init__(self, node, random):
        self.node, self.random = node, random
        self.role_kills = {role: 0 for role in ROLES}
        self.starts, self.recoveries = [], []

    def choose(self):
        targets = ["all", "supervisor", *ROLES]
        return self.random.choice([target for target in targets
                                   if self.role_kills.get(target, 0) < ROLE_KILLS_MAX])

    def strike(self):
        target = self.choose()
        if target in ROLES:
            self.role_kills[target] += 1
            # Clients are served for some seconds while control is away: it may not be back yet.
            wait_until(lambda: self.node.role_pid(target), 10, f"a {target} process")
            begin = time.monotonic()
            assert self.node.signal(signal.SIGKILL, target), f"no {target} process"
            # The old process may still be seen to serve for a moment.
            time.sleep(0.02)
            self.node.wait_serving()
            self.recoveries.append(time.monotonic() - begin)
            return target
        if target == "supervisor":
            pids = self.node.pids()
            self.node.process.kill()
            self.node.process.wait()
            self.node.process = None
            self.node.wait_gone(pids)  # its roles go with it
        else:
            self.node.kill()
        self.role_kills = {role: 0 for role in ROLES}
        # Sometimes it is killed while it starts.
        if self.random.random() < 0.3:
            self.node.launch()
            time.sleep(self.random.uniform(0, 0.15))
            self.node.kill()
        self.starts.append(self.node.start())
        return target


def rounds(s, node, tail, random):
    writer = NumberedWriter(node.address, TOPIC, PARTITIONS, RECORDS_PER_S)
    writer.start()
    killer, seen = Killer(node, random), []
    with s.test(f"{ROUNDS} rounds of kill -9 change nothing that was read before"):
        for number in range(ROUNDS):
            time.sleep(random.uniform(0.05, 1.2))
            target = killer.strike()
            if number % 4 == 3:
                with writer.paused():
                    now = kcat.records(node.address, TOPIC)
                check_prefix(seen, now)
                tail.check_saw(now)
                seen = now
            say(f"round {number}: killed {target}; {len(writer.acknowledged)} of {writer.count} "
                "acknowledged")
            assert writer.error is None, writer.error
    with s.test("every record is acknowledged in the end"):
        writer.stop()
        assert not writer.producer.failed, list(writer.producer.failed.items())[:5]
        assert len(writer.acknowledged) == writer.count > 0
        say(f"{writer.count} records")
    return writer, killer, seen


with Scenario() as s:
    random = s.seed()
    node = s.node(options=["--default-partitions", PARTITIONS])
    other = s.node("other", bucket=node.bucket)
    node.start()
    with Client(node.port) as client:
        client.metadata([TOPIC])
    tail = Tail(s, f"{node.address},{other.address}", TOPIC)
    writer, killer, seen = rounds(s, node, tail, random)

    # C5
    with s.test("every acknowledged record is there exactly once, in order, where it was said"):
        final = kcat.records(node.address, TOPIC)
        check_exactly_once(writer, final)
        check_prefix(seen, final)

    with s.test("a consumer that was there all the time saw each record once, in order"):
        tail.check_saw_only(final)

    with s.test(f"a killed node serves again within {START_LIMIT_S} s of its start"):
        say("started in " + " ".join(f"{seconds:.2f}" for seconds in killer.starts) + " s")
        say("after a role died it served again in "
            + " ".join(f"{seconds:.2f}" for seconds in killer.recoveries) + " s")
        assert not killer.starts or max(killer.starts) < START_LIMIT_S

    with s.test("with nothing left but the bucket, another node serves the same bytes"):
        node.kill()
        shutil.rmtree(node.run_dir)
        took_s = other.start()
        say(f"started in {took_s:.2f} s")
        # partitions come interleaved as they like; each record says where it is
        assert sorted(kcat.records(other.address, TOPIC)) == sorted(final)

    with s.test("the consumer goes on there as if nothing had happened"):
        for partition in range(PARTITIONS):
            kcat.produce(other.address, TOPIC, b"written to the other node\n", "-p", partition)
        after = kcat.records(other.address, TOPIC)
        assert len(after) == len(final) + PARTITIONS
        tail.check_saw_only(after)
