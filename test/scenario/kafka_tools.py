#!/usr/bin/env python3
"""Apache Kafka's own command line tools, which speak its newest protocol through the Java client.

Skipped by name where Java is missing, or Maven to fetch them.
timeout: 900 s; runs beside others
"""

import json

import apache_kafka
from scenario import Scenario, say, skip_all

RECORDS = 20000

why = apache_kafka.why_not()
if why:
    skip_all(f"Apache Kafka's tools: {why}")


def events(text):
    """What a verifiable client reported, a JSON object a line."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


with Scenario() as s:
    node = s.node(options=["--auto-create-topics", "no"])
    node.start()

    def tool(name, *words, **settings):
        said = apache_kafka.run(name, "--bootstrap-server", node.address, *words, **settings)
        for line in said.splitlines()[-6:]:
            say(line[:160])
        return said

    with s.test("topics: one is created, altered and described, and an unknown one is not made"):
        tool("topics", "--create", "--topic", "t", "--partitions", 2, "--replication-factor", 1)
        tool("topics", "--alter", "--topic", "t", "--partitions", 3)
        said = tool("topics", "--describe")
        assert "PartitionCount: 3" in said and said.count("Leader: 1") == 3, said
        said = tool("console-producer", "--topic", "unknown", "--command-property",
                    "max.block.ms=500", "--command-property", "retries=0", text="x\n")
        assert "not present in metadata" in said, said

    with s.test("producer-perf: every record is sent"):
        said = tool("producer-perf", "--topic", "t", "--num-records", RECORDS, "--record-size",
                    100, "--throughput", -1, "--command-property", "acks=all")
        assert f"{RECORDS} records sent" in said, said

    with s.test("verifiable-producer: every record is acknowledged"):
        said = tool("verifiable-producer", "--topic", "t", "--max-messages", 100)
        assert events(said)[-1]["acked"] == 100, said

    with s.test("verifiable-consumer: a group reads from the beginning and commits"):
        said = tool("verifiable-consumer", "--topic", "t", "--group-id", "g", "--max-messages",
                    RECORDS, "--reset-policy", "earliest")
        read = sum(event["count"] for event in events(said)
                   if event["name"] == "records_consumed")
        assert read >= RECORDS, said
        assert any(event["name"] == "offsets_committed" and event["success"]
                   for event in events(said)), said

    with s.test("consumer-groups: offsets are shown, reset, and gone with the group"):
        said = tool("consumer-groups", "--describe", "--group", "g")
        ends = sum(int(line.split()[4]) for line in said.splitlines() if line.startswith("g "))
        assert ends == RECORDS + 100, said
        said = tool("consumer-groups", "--group", "g", "--reset-offsets", "--to-offset", 5,
                    "--topic", "t:1", "--execute")
        assert [line.split()[1:] for line in said.splitlines() if line.startswith("g ")] == \
            [["t", "1", "5"]], said
        tool("consumer-groups", "--delete", "--group", "g")
        assert "g" not in tool("consumer-groups", "--list").split()

    with s.test("configs: a setting of a topic is changed and shown"):
        words = ["--entity-type", "topics", "--entity-name", "t"]
        tool("configs", "--alter", *words, "--add-config", "retention.ms=3600000")
        assert "retention.ms=3600000" in tool("configs", "--describe", *words)

    with s.test("acls: one is added and listed"):
        tool("acls", "--add", "--deny-principal", "User:nobody", "--operation", "Read", "--topic",
             "guarded")
        said = tool("acls", "--list", "--topic", "guarded")
        assert "principal=User:nobody" in said and "permissionType=DENY" in said, said

    with s.test("transactions: one is made by producer-perf, and shown"):
        tool("producer-perf", "--topic", "t", "--num-records", 100, "--record-size", 10,
             "--throughput", -1, "--transactional-id", "perf")
        said = tool("transactions", "list")
        assert "perf" in said and "CompleteCommit" in said, said
        said = tool("transactions", "describe-producers", "--topic", "t", "--partition", 0)
        assert len(said.splitlines()) > 1, said

    with s.test("topics: one is deleted"):
        tool("topics", "--delete", "--topic", "t")
        assert tool("topics", "--list").split() == []
