#!/usr/bin/env python3
# runs beside others
"""Users, SASL and access lists, with clients of others: who may in, and who may do what."""

import json
import os
import subprocess

import kcat
from guarded_client import (DENY, PASSWORDS, PREFIXED, SASL_AUTHENTICATE, SASL_HANDSHAKE, User,
                            hanse, sasl, user)
from kafka import API_VERSIONS, METADATA, Client, array, text
from scenario import Scenario, wait_until

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TOPIC, GROUP, READ, WRITE = 2, 3, 3, 4
SOON_S = 20


def is_refused(node, *words):
    """Does kcat say that it could not sign in?  It goes on trying, so it is not waited for."""
    command = ["timeout", str(SOON_S), "kcat", "-b", node.address, "-L", "-m", "1",
               *words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        refused = any(b"SASL authentication error" in line for line in process.stderr)
        process.terminate()
    return refused


def fails_with(word, call):
    try:
        call()
    except kcat.KcatError as error:
        assert word in str(error), error
        return True
    return False


with Scenario() as s:
    node = s.node()
    node.start()
    kcat.produce(node.address, "orders", b"one\n")
    open_client = Client(node.port)
    open_client.call(METADATA, 1, array([]))

    with s.test("without users everybody may everything"):
        assert kcat.consume(node.address, "orders") == b"one\n"
        assert "NAME" in user(node, "list")

    with s.test("a user is added with a password from standard input"):
        user(node, "add", "--admin", "boss", line=PASSWORDS["boss"])
        user(node, "add", "writer", line=PASSWORDS["writer"])
        user(node, "add", "reader", line=PASSWORDS["reader"])
        assert [row.split()[:2] for row in user(node, "list").splitlines()[1:]] == \
            [["boss", "yes"], ["reader", "no"], ["writer", "no"]]
        again = hanse(node, "user", "add", "boss", "--run-dir", str(node.run_dir),
                      line="some other")
        assert again.returncode == 1 and b"there is a user" in again.stderr

    with s.test("connections of those who did not sign in end"):
        assert open_client.is_closed()

    # W18
    with s.test("before signing in only ApiVersions is answered"):
        with Client(node.port) as client:
            assert client.call(API_VERSIONS, 0, b"")[:2] == b"\0\0"
            client.send(METADATA, 1, array([]))
            assert client.is_closed()

    for mechanism in MECHANISMS:
        with s.test(f"{mechanism}: the right password, another one, and nobody"):
            admin = sasl("boss", mechanism)
            assert kcat.consume(node.address, "orders", *admin) == b"one\n"
            assert is_refused(node, *sasl("boss", mechanism, "not it"))
            assert is_refused(node, *sasl("nobody", mechanism, "whatever"))

    with s.test("garbage instead of a token ends the connection"):
        for token in (b"", b"\0", b"\xff" * 5000, b"n,,n=,r=", b"p=x,,n=a,r=b"):
            with Client(node.port) as client:
                client.call(SASL_HANDSHAKE, 1, text("SCRAM-SHA-512"))
                answer = client.call(SASL_AUTHENTICATE, 0, len(token).to_bytes(4, "big") + token)
                assert int.from_bytes(answer[:2], "big") == 58, answer
                assert client.is_closed()

    # W18
    with s.test("a token without a header, as SaslHandshake 0 has it"):
        with Client(node.port) as client:
            assert client.call(SASL_HANDSHAKE, 0, text("PLAIN"))[:2] == b"\0\0"
            token = b"\0boss\0" + PASSWORDS["boss"].encode()
            client.socket.sendall(len(token).to_bytes(4, "big") + token)
            assert client.read_exactly(4) == b"\0\0\0\0"
            assert len(client.call(METADATA, 1, array([]))) > 20

    with s.test("what no access list allows is denied, and not told of"):
        out = kcat.kcat(node.address, "-L", *sasl("writer"))
        assert b"0 topics" in out, out
        assert fails_with("authorization failed",
                          lambda: kcat.consume(node.address, "orders", *sasl("reader")))

    boss = User(node.port, "boss")
    with s.test("only who may alter the cluster makes access lists"):
        with User(node.port, "writer") as writer:
            assert writer.grant(TOPIC, "orders", WRITE, "User:writer") == 31
        assert boss.grant(TOPIC, "orders", WRITE, "User:writer") == 0
        assert boss.grant(TOPIC, "ord", READ, "User:reader", PREFIXED) == 0
        assert boss.grant(GROUP, "readers", READ, "User:reader") == 0

    with s.test("who may write writes, who may read reads, and not the other way round"):
        wait_until(lambda: b"orders" in kcat.kcat(node.address, "-L", *sasl("writer")), SOON_S,
                   "the grant is at the agent")
        kcat.produce(node.address, "orders", b"two\n", *sasl("writer"))
        assert kcat.consume(node.address, "orders", *sasl("reader")) == b"one\ntwo\n"
        assert fails_with("authorization failed",
                          lambda: kcat.consume(node.address, "orders", *sasl("writer")))
        assert fails_with("uthorization failed",
                          lambda: kcat.produce(node.address, "orders", b"x\n", *sasl("reader")))

    with s.test("a group is another thing to be allowed"):
        out = kcat.kcat(node.address, "-G", "readers", "orders", "-X", "auto.offset.reset=earliest",
                        "-c", "2", "-q", *sasl("reader"))
        assert out == b"one\ntwo\n"
        assert fails_with("uthorization failed", lambda: kcat.kcat(
            node.address, "-G", "others", "orders", "-c", "1", "-q", *sasl("reader")))

    with s.test("what is forbidden stays so, whatever allows it"):
        assert boss.grant(TOPIC, "orders", WRITE, "User:*", permission=DENY) == 0
        wait_until(lambda: fails_with("uthorization failed", lambda: kcat.produce(
            node.address, "orders", b"x\n", *sasl("writer"))), SOON_S, "it is forbidden")
        boss.revoke(TOPIC, "orders", "User:*")
        wait_until(lambda: not fails_with("uthorization failed", lambda: kcat.produce(
            node.address, "orders", b"three\n", *sasl("writer"))), SOON_S, "it is no more")

    with s.test("what was denied is in the audit topic, for admins"):
        def audit():
            lines = kcat.consume(node.address, "__hanse_audit", *sasl("boss")).splitlines()
            return [json.loads(line) for line in lines]

        def denials():
            return {(row["principal"], row["operation"], row["resource"], row["name"])
                    for row in audit() if row["event"] == "denied"}

        wait_until(lambda: {("User:reader", "WRITE", "TOPIC", "orders"),
                            ("User:writer", "READ", "TOPIC", "orders"),
                            ("User:reader", "DESCRIBE", "GROUP", "others")} <= denials(), SOON_S,
                   "the denials are there")
        assert {row["mechanism"] for row in audit() if row["event"] == "sign_in_refused"} == \
            set(MECHANISMS)
        assert any(row["api"] == "Metadata" for row in audit() if row["event"] == "not_signed_in")
        assert all(row["count"] > 0 and row["time_ms"] > 1e12 for row in audit())
        assert all(row["host"] == "127.0.0.1" for row in audit() if row["event"] != "admin")
        assert fails_with("uthorization failed", lambda: kcat.consume(
            node.address, "__hanse_audit", *sasl("reader")))

    with s.test("also what control decides, with the rule that forbids it, and once"):
        def forbidden():
            return [row for row in audit() if row.get("api") == "OffsetCommit"]

        assert boss.grant(GROUP, "readers", READ, "User:reader", permission=DENY) == 0
        with User(node.port, "reader") as reader:
            for topic in ("orders", "orders"):
                reader.commit("readers", topic)
        wait_until(lambda: sum(row["count"] for row in forbidden()) >= 2, SOON_S, "it is there")
        assert sum(row["count"] for row in forbidden()) == 2, forbidden()
        assert {(row["principal"], row["operation"], row["resource"], row["name"], row["rule"])
                for row in forbidden()} == {
            ("User:reader", "READ", "GROUP", "readers",
             'DENY READ of GROUP "readers" (LITERAL) to User:reader from *')}
        assert any(row.get("rule") == "no rule" for row in audit())
        boss.revoke(GROUP, "readers", "User:reader")
        assert boss.grant(GROUP, "readers", READ, "User:reader") == 0

    with s.test("what an administrator did is in the audit topic, with who that was"):
        def done():
            return [(row["action"], row["name"]) for row in audit() if row["event"] == "admin"]

        def operator(*words):
            told = hanse(node, *words, "--run-dir", str(node.run_dir))
            assert told.returncode == 0, told.stderr

        topic = ["--as", "boss", "--password-file", "-"]
        for name in ("gone", "back"):
            kcat.produce(node.address, name, b"x\n", *sasl("boss"))
            deleted = hanse(node, "topic", "delete", name, "--force", *topic,
                            line=PASSWORDS["boss"])
            assert deleted.returncode == 0, deleted.stderr
        operator("topic", "undelete", "back")
        operator("topic", "purge", "gone", "--execute")
        operator("fsck", "--settle", "--bucket", node.bucket)
        wanted = {("user add --admin", "boss"), ("user add", "reader"), ("topic undelete", "back"),
                  ("topic purge", "gone"), ("fsck --settle", "")}
        wait_until(lambda: wanted <= set(done()), SOON_S, f"{wanted} in the audit topic")
        assert all(row["uid"] == os.getuid() and row["node"] and row["count"] == 1
                   for row in audit() if row["event"] == "admin"), audit()

    with s.test("policy explain names the access list that decides, or that none does"):
        def explain(*words):
            done = hanse(node, "policy", "explain", *words, "--run-dir", str(node.run_dir))
            return done.returncode, (done.stdout + done.stderr).decode()

        assert explain("reader", "topic:orders", "--operation", "read") == (
            0, 'User:reader may READ TOPIC orders: ALLOW READ of TOPIC "ord" (PREFIXED) to '
               'User:reader from *\n')
        status, said = explain("reader", "topic:orders", "--operation", "WRITE")
        assert status == 1 and "may not WRITE TOPIC orders: no rule" in said, said
        status, said = explain("boss", "cluster", "--operation", "all")
        assert status == 0 and said.count("it is an admin") == 7, said
        status, said = explain("ANONYMOUS", "group:readers", "--operation", "READ")
        assert status == 1 and "does not sign in" in said, said
        status, said = explain("reader", "transactional-id:x", "--operation", "READ")
        assert status == 1 and "no such operation" in said, said
        assert explain("reader", "orders", "--operation", "READ")[0] == 2
        assert explain("boss", "Cluster", "--operation", "ALTER")[0] == 0
        for name in ("cluster:orders", "cluster:", "CLUSTER:kafka-cluster"):
            status, said = explain("boss", name, "--operation", "ALTER")
            assert status == 2 and "cluster" in said, said
        status, said = explain("boss", "cluster", "--host", "192.0.2.1")
        assert status == 2 and "--operation" in said, said
        assert boss.grant(TOPIC, "orders", READ, "User:reader", permission=DENY) == 0
        status, said = explain("reader", "topic:orders", "--operation", "READ")
        assert status == 1 and "DENY READ of TOPIC" in said, said
        wait_until(lambda: fails_with("uthorization failed", lambda: kcat.consume(
            node.address, "orders", *sasl("reader"))), SOON_S, "brokers say the same")
        boss.revoke(TOPIC, "orders", "User:reader")
        wait_until(lambda: not fails_with("uthorization failed", lambda: kcat.consume(
            node.address, "orders", *sasl("reader"))), SOON_S, "and again")

    with s.test("a node that stands by answers the same, from what it has heard"):
        other = s.node("b")
        other.launch()
        wait_until(lambda: any("stands by" in line for line in other.log_lines()), SOON_S,
                   "it stands by")

        def explain_there():
            done = hanse(other, "policy", "explain", "reader", "topic:orders", "--operation",
                         "READ", "--run-dir", str(other.run_dir))
            return done.returncode, (done.stdout + done.stderr).decode()

        wait_until(lambda: explain_there()[0] == 0, SOON_S, "it follows")
        status, said = explain_there()
        assert 'ALLOW READ of TOPIC "ord"' in said and "stands by" in said, said
        assert boss.grant(TOPIC, "orders", READ, "User:reader", permission=DENY) == 0
        wait_until(lambda: "DENY READ of TOPIC" in explain_there()[1], SOON_S, "it hears of it")
        assert explain_there()[0] == 1
        boss.revoke(TOPIC, "orders", "User:reader")
        wait_until(lambda: explain_there()[0] == 0, SOON_S, "and again")
        assert user(other, "list") == user(node, "list")
        refused = hanse(other, "user", "remove", "reader", "--run-dir", str(other.run_dir))
        assert refused.returncode == 4 and b"does not lead" in refused.stderr, refused.stderr
        other.terminate()

    with s.test("our own commands sign in too"):
        password = s.scratch / "password"
        password.write_text(PASSWORDS["boss"] + "\n")
        password.chmod(0o644)
        told = hanse(node, "topic", "list", "--as", "boss", "--password-file", str(password))
        assert told.returncode == 1 and b"others may read" in told.stderr, told.stderr
        password.chmod(0o600)
        told = hanse(node, "topic", "list", "--as", "boss", "--password-file", str(password))
        assert b"orders" in told.stdout, told.stderr
        refused = hanse(node, "topic", "list", "--as", "writer", "--password-file", str(password))
        assert refused.returncode == 1 and b"password" in refused.stderr, refused.stderr
        nobody = hanse(node, "topic", "list")
        assert nobody.returncode == 4 and b"--as" in nobody.stderr, nobody.stderr

    with s.test("users and access lists outlive every process"):
        boss.__exit__()
        node.kill()
        node.start()
        assert b"one\n" in kcat.consume(node.address, "orders", *sasl("reader"))
        assert is_refused(node, *sasl("reader", password="not it"))

    with s.test("a user that is removed is gone, and its connections with it"):
        reader = User(node.port, "reader")
        user(node, "remove", "reader")
        assert reader.is_closed()
        assert is_refused(node, *sasl("reader"))

    with s.test("another password takes the place of the old one"):
        user(node, "password", "writer", line="another-password")
        assert is_refused(node, *sasl("writer"))
        kcat.produce(node.address, "orders", b"x\n", *sasl("writer", password="another-password"))

    with s.test("passwords are in no log"):
        log = "\n".join(node.log_lines())
        assert not any(password in log for password in PASSWORDS.values())
