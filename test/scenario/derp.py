"""A DERP client in a few lines, as others would write one: PyNaCl is not there, so the box that
opens a connection is made by libsodium through ctypes."""

import ctypes
import ctypes.util
import json
import os
import socket
import ssl
import struct

SERVER_KEY, CLIENT_INFO, SERVER_INFO, SEND, RECEIVE, KEEP_ALIVE = 1, 2, 3, 4, 5, 6
GONE, PRESENT, FORWARD, WATCH, PING, PONG, HEALTH, RESTARTING = 8, 9, 10, 16, 18, 19, 20, 21
MAGIC = b"DERP\xf0\x9f\x94\x91"


def sodium():
    name = ctypes.util.find_library("sodium")
    library = ctypes.CDLL(name) if name else None
    if library:
        library.sodium_init()
    return library


class Key:
    def __init__(self):
        self.secret = os.urandom(32)
        own = ctypes.create_string_buffer(32)
        sodium().crypto_scalarmult_base(own, self.secret)
        self.public = own.raw

    def seal(self, other, text):
        nonce = os.urandom(24)
        room = ctypes.create_string_buffer(len(text) + 16)
        code = sodium().crypto_box_easy(room, text, ctypes.c_ulonglong(len(text)), nonce, other,
                                        self.secret)
        assert code == 0
        return nonce + room.raw


def frame(kind, payload=b""):
    return struct.pack(">BI", kind, len(payload)) + payload


class Client:
    """Connected and admitted when it is there."""

    def __init__(self, address, key=None, mesh_key=None, timeout_s=10, receive_bytes=None):
        self.key = key or Key()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.settimeout(timeout_s)
        plain.connect(address)
        self.socket = context.wrap_socket(plain)
        self.bytes = b""
        self.socket.sendall(b"GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\n"
                            b"Connection: Upgrade\r\n\r\n")
        while b"\r\n\r\n" not in self.bytes:
            self.more()
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        kind, payload = self.read()
        assert kind == SERVER_KEY and payload[:8] == MAGIC, (kind, payload)
        self.server = payload[8:40]
        info = {"version": 2, "CanAckPings": True}
        if mesh_key:
            info["meshKey"] = mesh_key
        self.send(CLIENT_INFO,
                  self.key.public + self.key.seal(self.server, json.dumps(info).encode()))
        kind, payload = self.read()
        assert kind == SERVER_INFO, kind

    def more(self):
        got = self.socket.recv(1 << 20)
        if not got:
            raise ConnectionError("the relay closed the connection")
        self.bytes += got

    def read(self):
        """One frame: its type and payload."""
        while len(self.bytes) < 5 or len(self.bytes) < 5 + struct.unpack(">I", self.bytes[1:5])[0]:
            self.more()
        size = struct.unpack(">I", self.bytes[1:5])[0]
        kind, payload = self.bytes[0], self.bytes[5:5 + size]
        self.bytes = self.bytes[5 + size:]
        return kind, payload

    def read_kind(self, kind):
        """The next frame of this type; others are passed over."""
        while True:
            found, payload = self.read()
            if found == kind:
                return payload

    def send(self, kind, payload=b""):
        self.socket.sendall(frame(kind, payload))

    def send_packet(self, to, packet):
        self.send(SEND, to + packet)

    def close(self):
        self.socket.close()
