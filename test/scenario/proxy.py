"""A TCP proxy that remembers what passed, counts it, and can be told to do harm."""

import socket
import threading

CHUNK_BYTES = 65536


class Proxy:
    """Listens on `port` and passes everything to `target` on this machine.  `to_target` and
    `from_target` hold what passed in each direction, of all connections, or only its size
    (`size_of`) when it does not record."""

    def __init__(self, target, records=True):
        self.target, self.records = target, records
        self.to_target, self.from_target = bytearray(), bytearray()
        self.size_of = {"to": 0, "from": 0}
        self.connection_count = 0
        self.harm = None  # what is done to the next chunk to the target, once
        self.streams = []  # what each connection sent to the target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            self.connection_count += 1
            sent = bytearray()
            self.streams.append(sent)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for words in ((client, server, "to", sent), (server, client, "from", None)):
                threading.Thread(target=self.pump, args=words, daemon=True).start()

    def pump(self, source, sink, direction, sent):
        try:
            while chunk := source.recv(CHUNK_BYTES):
                self.size_of[direction] += len(chunk)
                if self.records:
                    (self.to_target if direction == "to" else self.from_target).extend(chunk)
                if self.records and sent is not None:
                    sent.extend(chunk)
                if direction == "to" and self.harm:
                    harm, self.harm = self.harm, None
                    chunk = harm(chunk)
                sink.sendall(chunk)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def flip_a_bit(chunk):
    at = len(chunk) // 2
    return chunk[:at] + bytes([chunk[at] ^ 0x10]) + chunk[at + 1:]


def send_twice(chunk):
    return chunk + chunk
