"""A consumer of librdkafka in a process of its own, so that it can be killed.

usage: group_member.py LIBRARY TOPIC... -- NAME=VALUE...

Prints a line for each change of its assignment, "assigned TOPIC:PARTITION ...", and for each
record, "record TOPIC PARTITION OFFSET VALUE"; "error TEXT" for what goes wrong.  Ends in an orderly
way at SIGTERM, and commits what it read.
"""

import ctypes
import signal
import sys
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p

CONSUMER = 1
TEXT_BYTES = 512
POLL_MS = 50


class Message(Structure):
    _fields_ = [("error", c_int), ("topic", c_void_p), ("partition", c_int32),
                ("payload", c_void_p), ("size", c_size_t), ("key", c_void_p),
                ("key_size", c_size_t), ("offset", c_int64), ("private", c_void_p)]


class Place(Structure):
    _fields_ = [("topic", c_char_p), ("partition", c_int32), ("offset", c_int64),
                ("metadata", c_void_p), ("metadata_size", c_size_t), ("opaque", c_void_p),
                ("error", c_int), ("private", c_void_p)]


class Places(Structure):
    _fields_ = [("count", c_int), ("size", c_int), ("items", POINTER(Place))]


def load(path):
    library = ctypes.CDLL(path)
    for name, result in (("conf_new", c_void_p), ("new", c_void_p), ("topic_name", c_char_p),
                         ("err2str", c_char_p), ("topic_partition_list_new", POINTER(Places)),
                         ("topic_partition_list_add", c_void_p),
                         ("topic_partition_list_destroy", None), ("message_destroy", None),
                         ("consumer_poll", POINTER(Message)), ("destroy", None)):
        getattr(library, "rd_kafka_" + name).restype = result
    return library


def say(*words):
    print(*words, flush=True)


class Member:
    def __init__(self, library, topics, settings):
        self.lib, self.told = load(library), None
        conf = c_void_p(self.lib.rd_kafka_conf_new())
        text = ctypes.create_string_buffer(TEXT_BYTES)
        for line in settings:
            name, value = line.split("=", 1)
            if self.lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), text, TEXT_BYTES):
                raise ValueError(text.value.decode())
        self.handle = c_void_p(self.lib.rd_kafka_new(CONSUMER, conf, text, TEXT_BYTES))
        if not self.handle:
            raise ValueError(text.value.decode())
        self.lib.rd_kafka_poll_set_consumer(self.handle)
        wanted = self.lib.rd_kafka_topic_partition_list_new(len(topics))
        for topic in topics:
            self.lib.rd_kafka_topic_partition_list_add(wanted, topic.encode(), c_int32(-1))
        error = self.lib.rd_kafka_subscribe(self.handle, wanted)
        if error:
            raise ValueError(self.text(error))
        self.lib.rd_kafka_topic_partition_list_destroy(wanted)

    def text(self, error):
        return self.lib.rd_kafka_err2str(error).decode()

    def tell_assignment(self):
        found = POINTER(Places)()
        if self.lib.rd_kafka_assignment(self.handle, ctypes.byref(found)):
            return
        items = found.contents
        now = sorted(f"{items.items[i].topic.decode()}:{items.items[i].partition}"
                     for i in range(items.count))
        self.lib.rd_kafka_topic_partition_list_destroy(found)
        if now != self.told:
            say("assigned", *now)
        self.told = now

    def step(self):
        message = self.lib.rd_kafka_consumer_poll(self.handle, POLL_MS)
        self.tell_assignment()
        if not message:
            return
        m = message.contents
        if m.error:
            say("error", self.text(m.error))
        else:
            topic = self.lib.rd_kafka_topic_name(c_void_p(m.topic)).decode()
            say("record", topic, m.partition, m.offset,
                ctypes.string_at(m.payload, m.size).decode())
        self.lib.rd_kafka_message_destroy(message)

    def close(self):
        self.lib.rd_kafka_consumer_close(self.handle)
        self.lib.rd_kafka_destroy(self.handle)


def main():
    library, *words = sys.argv[1:]
    at = words.index("--")
    stop = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    member = Member(library, words[:at], words[at + 1:])
    while not stop:
        member.step()
    member.close()
    say("assigned")


if __name__ == "__main__":
    main()
