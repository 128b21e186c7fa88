"""As much of Kafka's protocol as is needed to send what no client library would."""

import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, CREATE_TOPICS = 10, 11, 12, 19
INCREMENTAL_ALTER_CONFIGS = 44
TOPIC_RESOURCE, BROKER_RESOURCE, GROUP_RESOURCE, SET = 2, 4, 32, 0
FRAME_BYTES_MAX = 100 << 20


# --- CRC-32C --------------------------------------------------------------------------------------

def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# --- encoding -------------------------------------------------------------------------------------

def text(value):
    if value is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(value)) + value.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(value):
    value = value << 1 ^ value >> 63
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def record(delta, value, key=None):
    body = b"\0" + varint(0) + varint(delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(values, producer=(-1, -1, -1), timestamp_ms=1700000000000):
    records = b"".join(record(i, value) for i, value in enumerate(values))
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp_ms, timestamp_ms, *producer,
                       len(values)) + records
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def frame(key, version, body, correlation=1, client="scenario"):
    request = struct.pack(">hhi", key, version, correlation) + text(client) + body
    return struct.pack(">i", len(request)) + request


def produce_body(topic, partition, batches, acks=-1, timeout_ms=10000):
    """Versions 3 to 8."""
    data = struct.pack(">ii", partition, len(batches)) + batches
    return text(None) + struct.pack(">hi", acks, timeout_ms) + \
        array([text(topic) + array([data])])


def fetch_body(topic, partition, offset, wait_ms=0, min_bytes=1):
    """Version 4."""
    part = struct.pack(">iqi", partition, offset, 1 << 20)
    return struct.pack(">iiiib", -1, wait_ms, min_bytes, 50 << 20, 0) + \
        array([text(topic) + array([part])])


# --- talking --------------------------------------------------------------------------------------

class Client:
    """One connection."""

    def __init__(self, port, timeout_s=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, key, version, body):
        self.correlation += 1
        self.socket.sendall(frame(key, version, body, self.correlation))
        return self.correlation

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data

    def receive(self):
        """(correlation id, body without it)"""
        size, = struct.unpack(">i", self.read_exactly(4))
        assert 4 <= size <= FRAME_BYTES_MAX
        data = self.read_exactly(size)
        return struct.unpack(">i", data[:4])[0], data[4:]

    def call(self, key, version, body):
        sent = self.send(key, version, body)
        got, answer = self.receive()
        assert got == sent, f"answer {got} to request {sent}"
        return answer

    def produce(self, topic, partition, values, **settings):
        """(error code, base offset)"""
        body = produce_body(topic, partition, batch(values), **settings)
        answer = self.call(PRODUCE, 3, body)
        at = 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">hq", answer[at:at + 10])

    def fetch(self, topic, partition, offset, wait_ms=0):
        """(error code, high watermark, batches)"""
        answer = self.call(FETCH, 4, fetch_body(topic, partition, offset, wait_ms))
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        error, high, _, aborted, size = struct.unpack(">hqqii", answer[at:at + 26])
        assert aborted <= 0
        return error, high, answer[at + 26:at + 26 + max(size, 0)]

    def metadata(self, topics):
        """Creates what is missing, as clients do."""
        return self.call(METADATA, 1, array([text(topic) for topic in topics]))

    def is_closed(self, timeout_s=5):
        """Does the server close the connection, whatever it says before?"""
        self.socket.settimeout(timeout_s)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def alter_configs(port, kind, name, settings):
    """Settings of a topic, a group (which need not be there yet) or a broker ("": of all)."""
    configs = [text(key) + struct.pack(">b", SET) + text(str(value))
               for key, value in settings.items()]
    body = array([struct.pack(">b", kind) + text(name) + array(configs)]) + b"\0"
    with Client(port) as client:
        answer = client.call(INCREMENTAL_ALTER_CONFIGS, 0, body)
    assert struct.unpack(">iih", answer[:10]) == (0, 1, 0), answer
