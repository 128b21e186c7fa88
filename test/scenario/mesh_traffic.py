"""Bytes by TCP between machines of a mesh, each in a host of a lab, at `machine.address`."""

import json
import os
import socket
import threading
import time

PORT = 7007
BYTES = 100_000


def serve_echo(machine):
    """TCP on the machine's address in the mesh: what comes goes back."""
    listener = machine.where.socket(socket.SOCK_STREAM)
    listener.bind((machine.address, PORT))
    listener.listen(32)

    def serve(stream):
        with stream:
            while data := stream.recv(65536):
                stream.sendall(data)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def exchange(one, other, size=BYTES, pause_s=0.0):
    """So many bytes go to the other machine and come back; the longest pause, in seconds."""
    data, longest = os.urandom(size), 0.0
    with one.where.socket(socket.SOCK_STREAM) as stream:
        stream.settimeout(60)
        stream.connect((other.address, PORT))
        for at in range(0, size, 10_000):
            begin = time.monotonic()
            part, back = data[at:at + 10_000], b""
            stream.sendall(part)
            while len(back) < len(part):
                more = stream.recv(65536)
                assert more, "the connection ended"
                back += more
            assert back == part
            longest = max(longest, time.monotonic() - begin)
            time.sleep(pause_s)
    return longest


def is_direct(one, other):
    """By one ping, which may be lost."""
    said = one.run("ping", other.name, "--times", "1", "--json", check=False).stdout
    return json.loads(said)["direct"]
