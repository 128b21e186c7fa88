#!/usr/bin/env python3
"""Transactions of librdkafka: what is read, worked on and written with exactly-once is there once,
whatever dies meanwhile; what is aborted is never read, and a reader comes to the end all the same.
timeout: 300 s"""
# one run only: nothing acknowledged may depend on luck

import signal

import kcat
from scenario import Scenario, say, wait_until
from transactor import COMMITTED, KafkaError, TransactionalProducer, Transactor, Worker

PARTITIONS = 2
RECORDS = 3000
UNCOMMITTED = ("-X", "isolation.level=read_uncommitted")


def numbers(count):
    return b"".join(b"%d\n" % number for number in range(count))


def progress(worker, what):
    count = worker.count
    wait_until(lambda: worker.count > count + 50 or worker.error, 90, f"the worker goes on {what}")
    assert worker.error is None, worker.error


def check_once(rows, count):
    """Each of 0 to count - 1, exactly once."""
    values = sorted(int(value) for _, _, _, value in rows)
    assert values == list(range(count)), \
        f"{len(values)} results, {len(set(values))} different ones, of {count}"


with Scenario() as s:
    options = ["--default-partitions", PARTITIONS]
    node = s.node("a", options=options)
    node.start()

    with s.test("what is committed is read once, what is aborted never"):
        writer = Transactor(node.address, "ledger", PARTITIONS, "ledger", pause_s=0.002)
        writer.start()
        wait_until(lambda: len(writer.outcomes) > 25, 60, "transactions")
        writer.stop()
        writer.check(kcat.records(node.address, "ledger"))
        count = sum(outcome == COMMITTED for outcome in writer.outcomes.values())
        everything = kcat.records(node.address, "ledger", *UNCOMMITTED)
        assert len(everything) > count * writer.size, "what was aborted is not in the log"
        say(f"{count} of {len(writer.outcomes)} transactions were committed")

    # T5
    with s.test("a reader comes to the end of a partition in which everything was aborted"):
        producer = TransactionalProducer(node.address, "only-aborts")
        producer.begin_life()
        for turn in range(3):
            producer.begin()
            for number in range(20):
                producer.send("nothing", b"%d-%d" % (turn, number), partition=0)
            assert producer.flush(30)
            producer.abort()
        assert kcat.records(node.address, "nothing", timeout_s=30) == []  # kcat -e: to the end
        assert len(kcat.records(node.address, "nothing", *UNCOMMITTED)) == 60

    # T9
    with s.test("a second instance with the same transactional id fences the first"):
        producer.begin()
        producer.send("nothing", b"zombie", partition=0)
        assert producer.flush(30)
        second = TransactionalProducer(node.address, "only-aborts")
        second.begin_life()
        second.begin()
        second.send("nothing", b"alive", partition=0)
        try:
            producer.commit()
            raise AssertionError("the zombie committed")
        except KafkaError as error:
            assert error.is_fatal, error
        second.commit()
        assert [row[3] for row in kcat.records(node.address, "nothing")] == [b"alive"]
        producer.close()
        second.close()

    with s.test("exactly-once lives through kill -9 of the agent and of control"):
        kcat.produce(node.address, "source", numbers(RECORDS))
        worker = Worker(node.address, "workers", "source", "target", "worker")
        worker.start()
        progress(worker, "at all")
        for role in ("streams", "control", "streams"):
            assert node.signal(signal.SIGKILL, role)
            progress(worker, f"after {role} was killed")
        wait_until(lambda: worker.count >= RECORDS or worker.error, 120, "all of the source")
        worker.stop()
        check_once(kcat.records(node.address, "target"), RECORDS)
        say(f"{worker.lives} lives of the worker: {worker.why}")

    with s.test("another node that takes over keeps transactions that are under way"):
        producer = TransactionalProducer(node.address, "survivor")
        producer.begin_life()
        producer.begin()
        producer.send("survivors", b"before", partition=0)
        assert producer.flush(30)
        node.kill()
        node.start()
        assert kcat.records(node.address, "survivors") == []  # not decided yet
        producer.send("survivors", b"after", partition=0)
        producer.commit()
        assert [row[3] for row in kcat.records(node.address, "survivors")] == [b"before", b"after"]
        producer.close()

    with s.test("the node stops in an orderly way"):
        assert node.terminate() == 0
