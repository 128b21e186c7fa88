#!/usr/bin/env python3
"""What librdkafka's tests need of Apache Kafka's kafka-topics.sh, spoken to any broker.

usage: kafka-topics.sh --bootstrap-server HOST:PORT --topic NAME (--delete | --alter --partitions N)
"""

import argparse
import socket
import struct
import sys

DELETE_TOPICS, CREATE_PARTITIONS = 20, 37
TIMEOUT_MS = 10000


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def ask(server, api_key, version, body):
    """The body of the answer."""
    host, port = server.rsplit(":", 1)
    request = struct.pack(">hhih", api_key, version, 1, -1) + body
    with socket.create_connection((host, int(port)), timeout=2 * TIMEOUT_MS / 1000) as s:
        s.sendall(struct.pack(">i", len(request)) + request)
        stream = s.makefile("rb")
        size, = struct.unpack(">i", stream.read(4))
        return stream.read(size)[4:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--delete", action="store_true")
    action.add_argument("--alter", action="store_true")
    o = parser.parse_args()
    if o.delete:
        answer = ask(o.bootstrap_server, DELETE_TOPICS, 1,
                     struct.pack(">i", 1) + string(o.topic) + struct.pack(">i", TIMEOUT_MS))
    else:
        answer = ask(o.bootstrap_server, CREATE_PARTITIONS, 0,
                     struct.pack(">i", 1) + string(o.topic) +
                     struct.pack(">iii?", o.partitions, -1, TIMEOUT_MS, False))
    # throttle time, one result: name, error code
    code, = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(o.topic.encode()))
    if code:
        sys.exit(f"{o.topic}: error code {code}")


if __name__ == "__main__":
    main()
