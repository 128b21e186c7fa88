"""Users of a guarded server, with kcat and with as much of Kafka's protocol as that takes."""

import os
import subprocess

from kafka import Client, array, text

PASSWORDS = {"boss": "boss-password", "writer": "writer-password", "reader": "reader-password"}
SASL_HANDSHAKE, SASL_AUTHENTICATE, CREATE_ACLS, DELETE_ACLS = 17, 36, 30, 31
OFFSET_COMMIT = 8
LITERAL, PREFIXED, DENY, ALLOW = 3, 4, 2, 3


def hanse(node, *words, line=None, environment=None):
    return subprocess.run([node.program, *words, "--kafka", node.address], check=False,
                          input=None if line is None else line.encode() + b"\n",
                          stdin=subprocess.DEVNULL if line is None else None,
                          capture_output=True, timeout=30,
                          env={**os.environ, **(environment or {})})


def user(node, *words, line=None):
    done = hanse(node, "user", *words, "--run-dir", str(node.run_dir), line=line)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def sasl(name, mechanism="SCRAM-SHA-256", password=None):
    """Words for kcat."""
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism,
                "sasl.username": name, "sasl.password": password or PASSWORDS[name]}
    return [word for key, value in settings.items() for word in ("-X", f"{key}={value}")]


class User(Client):
    """Signed in with PLAIN."""

    def __init__(self, port, name):
        super().__init__(port)
        self.lifetime_ms = 0
        self.sign_in(name)

    def may_become(self, name):
        assert self.call(SASL_HANDSHAKE, 1, text("PLAIN"))[:2] == b"\0\0"
        token = b"\0" + name.encode() + b"\0" + PASSWORDS[name].encode()
        answer = self.call(SASL_AUTHENTICATE, 1, len(token).to_bytes(4, "big") + token)
        self.lifetime_ms = int.from_bytes(answer[-8:], "big")
        return answer[:2] == b"\0\0"

    def sign_in(self, name):
        assert self.may_become(name)

    def grant(self, resource, name, operation, principal, pattern=LITERAL, permission=ALLOW):
        creation = bytes([resource]) + text(name) + bytes([pattern]) + text(principal) + \
            text("*") + bytes([operation, permission])
        answer = self.call(CREATE_ACLS, 1, array([creation]))
        return int.from_bytes(answer[8:10], "big", signed=True)

    def revoke(self, resource, name, principal):
        any_of = bytes([resource]) + text(name) + bytes([LITERAL]) + text(principal) + \
            text(None) + bytes([1, 1])
        return self.call(DELETE_ACLS, 1, array([any_of]))

    def commit(self, group, topic):
        """Offset 0 of partition 0, without being a member."""
        partition = bytes(4) + bytes(8) + text(None)
        return self.call(OFFSET_COMMIT, 2, text(group) + b"\xff" * 4 + text("") + b"\xff" * 8 +
                         array([text(topic) + array([partition])]))
