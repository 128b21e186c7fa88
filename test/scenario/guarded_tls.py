#!/usr/bin/env python3
# runs beside others
"""Kafka over TLS, clients known by certificates and tokens, and sessions that end."""

import base64
import json
import ssl
import subprocess
import time

import kcat
from guarded_client import (PASSWORDS, SASL_AUTHENTICATE, SASL_HANDSHAKE, User, hanse, sasl,
                            user)
from kafka import API_VERSIONS, METADATA, Client, array, text
from scenario import Scenario, wait_until

REAUTH_MS = 5000
SOON_S = 20
TOPIC, READ, WRITE = 2, 3, 4


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authority:
    def __init__(self, directory, name):
        self.directory = directory
        self.key, self.file = directory / f"{name}.key", directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.file, "-days", "2", "-subj", f"/CN={name}")

    def issue(self, name, subject):
        """(certificate, key); for 127.0.0.1 if it is a server's."""
        key, request = self.directory / f"{name}.key", self.directory / f"{name}.csr"
        file = self.directory / f"{name}.pem"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", request, "-subj", subject,
                "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key,
                "-CAcreateserial", "-out", file, "-days", "2", "-copy_extensions", "copy")
        return file, key


def tls(authority, certificate=None):
    words = ["-X", "security.protocol=SSL", "-X", f"ssl.ca.location={authority.file}"]
    if certificate:
        words += ["-X", f"ssl.certificate.location={certificate[0]}",
                  "-X", f"ssl.key.location={certificate[1]}"]
    return words


def serial_of(node, authority):
    """Of the certificate that is shown now."""
    context = ssl.create_default_context(cafile=str(authority.file))
    with Client(node.port) as client:
        with context.wrap_socket(client.socket, server_hostname="127.0.0.1") as s:
            return s.getpeercert()["serialNumber"]


class Issuer:
    """Signs tokens, with openssl."""

    def __init__(self, directory, name):
        self.key, self.key_set = directory / f"{name}.rsa", directory / f"{name}.jwks"
        openssl("genrsa", "-out", self.key, "2048")
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"],
                                 check=True, capture_output=True).stdout
        number = base64url(bytes.fromhex(modulus.decode().strip().split("=")[1]))
        self.key_set.write_text(json.dumps(
            {"keys": [{"kty": "RSA", "kid": name, "n": number, "e": "AQAB"}]}))

    def token(self, subject, seconds, audience="kafka"):
        claims = {"iss": "https://issuer.example", "aud": audience, "sub": subject,
                  "exp": int(time.time()) + seconds}
        signed = ".".join(base64url(json.dumps(part).encode())
                          for part in ({"alg": "RS256"}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key],
                                   input=signed.encode(), check=True, capture_output=True).stdout
        return f"{signed}.{base64url(signature)}"


def bearer(node, token):
    """(client, error, lifetime in ms) after OAUTHBEARER with this token."""
    client = Client(node.port)
    assert client.call(SASL_HANDSHAKE, 1, text("OAUTHBEARER"))[:2] == b"\0\0"
    message = b"n,,\1auth=Bearer " + token.encode() + b"\1\1"
    answer = client.call(SASL_AUTHENTICATE, 1, len(message).to_bytes(4, "big") + message)
    return client, int.from_bytes(answer[:2], "big"), int.from_bytes(answer[-8:], "big")


with Scenario() as s:
    issuer, other_issuer = Issuer(s.scratch, "issuer"), Issuer(s.scratch, "other")
    own, others = Authority(s.scratch, "own"), Authority(s.scratch, "others")
    server = own.issue("server", "/CN=server")
    node = s.node(options=["--kafka-certificate", server[0], "--kafka-certificate-key", server[1],
                           "--kafka-client-ca", own.file, "--kafka-reauth-ms", REAUTH_MS,
                           "--kafka-jwks", issuer.key_set, "--kafka-token-audience", "kafka",
                           "--kafka-token-issuer", "https://issuer.example"])
    node.start()
    user(node, "add", "--admin", "boss", line=PASSWORDS["boss"])
    user(node, "add", "--admin", "--no-password", "CN=ops,O=example")
    alice = own.issue("alice", "/O=example/CN=alice")
    ops = own.issue("ops", "/O=example/CN=ops")

    with s.test("a certificate of an authority that is believed signs in"):
        kcat.produce(node.address, "orders", b"one\n", *tls(own, ops))
        assert kcat.consume(node.address, "orders", *tls(own, ops)) == b"one\n"

    with s.test("its subject is whom access lists name"):
        assert b" 0 topics" in kcat.kcat(node.address, "-L", *tls(own, alice))
        boss = User(node.port, "boss")
        assert boss.grant(TOPIC, "orders", READ, "User:CN=alice,O=example") == 0
        wait_until(lambda: b'"orders"' in kcat.kcat(node.address, "-L", *tls(own, alice)), SOON_S,
                   "the grant is at the agent")
        assert kcat.consume(node.address, "orders", *tls(own, alice)) == b"one\n"

    with s.test("with a certificate of others, or none, nobody is let in"):
        mallory = others.issue("mallory", "/O=example/CN=ops")
        for words in (tls(own, mallory), tls(own)):
            done = subprocess.run(["timeout", "10", "kcat", "-b", node.address, "-L", "-m", "1",
                                   *words], check=False, capture_output=True, timeout=30)
            assert done.returncode != 0 and b"orders" not in done.stdout

    with s.test("a certificate that is refused is in the audit topic"):
        def refused_certificates():
            lines = kcat.consume(node.address, "__hanse_audit", *tls(own, ops)).splitlines()
            rows = [json.loads(line) for line in lines]
            return [row for row in rows if row["event"] == "certificate_refused"]

        wait_until(refused_certificates, SOON_S, "it is there")
        assert all(row["host"] == "127.0.0.1" and row["count"] > 0 and row["why"]
                   for row in refused_certificates()), refused_certificates()

    with s.test("clients that believe others do not believe the server"):
        done = subprocess.run(["timeout", "10", "kcat", "-b", node.address, "-L", "-m", "1",
                               *tls(others, ops)], check=False, capture_output=True, timeout=30)
        assert done.returncode != 0 and b"verify failed" in done.stderr, done.stderr

    with s.test("SASL over TLS, and in the clear on this machine, at the same port"):
        words = sasl("boss", "PLAIN")
        assert kcat.consume(node.address, "orders", *words) == b"one\n"
        over = [word.replace("SASL_PLAINTEXT", "SASL_SSL") for word in words]
        ca = ["-X", f"ssl.ca.location={own.file}"]
        assert kcat.consume(node.address, "orders", *over, *ca) == b"one\n"

    with s.test("our own commands speak TLS, and are known by a certificate"):
        def topics(*words):
            return hanse(node, "topic", "list", *map(str, words))

        me = ["--certificate", ops[0], "--key", ops[1]]
        told = topics("--ca", own.file, *me)
        assert b"orders" in told.stdout, told.stderr
        password = s.scratch / "password"
        password.write_text(PASSWORDS["boss"] + "\n")
        password.chmod(0o600)
        told = topics("--ca", own.file, "--as", "boss", "--password-file", password)
        assert b"orders" in told.stdout, told.stderr
        told = hanse(node, "topic", "list", "--ca", str(own.file), "--as", "boss",
                     "--password-file", "-", line=PASSWORDS["boss"])
        assert b"orders" in told.stdout, told.stderr
        described = hanse(node, "producer", "list", "orders", "--ca", str(own.file),
                          *map(str, me))
        assert described.returncode == 0, described.stderr

    with s.test("they sign in with every mechanism, and with a token"):
        def private(name, content):
            file = s.scratch / name
            file.touch(0o600)
            file.write_text(content + "\n")
            return file

        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            for words in (["--ca", own.file], []):  # over TLS, and to this machine
                told = topics(*words, "--as", "boss", "--password-file", password,
                              "--mechanism", mechanism)
                assert b"orders" in told.stdout, told.stderr
        wrong = private("wrong", "not it")
        refused = topics("--as", "boss", "--password-file", wrong, "--mechanism", "PLAIN")
        assert refused.returncode == 1 and b"not its password" in refused.stderr, refused.stderr
        token = private("token", issuer.token("boss", 600))
        told = topics("--ca", own.file, "--token-file", token)
        assert b"orders" in told.stdout, told.stderr
        told = hanse(node, "topic", "list", "--ca", str(own.file),
                     environment={"HANSE_KAFKA_TOKEN": issuer.token("boss", 600)})
        assert b"orders" in told.stdout, told.stderr
        false = private("false", other_issuer.token("boss", 600))
        refused = topics("--ca", own.file, "--token-file", false)
        assert refused.returncode == 1 and b"believe that token" in refused.stderr, refused.stderr
        token.chmod(0o644)
        refused = topics("--ca", own.file, "--token-file", token)
        assert refused.returncode == 1 and b"others may read that token" in refused.stderr
        for words in (["--as", "boss", "--token-file", token], ["--mechanism", "GSSAPI"],
                      ["--mechanism", "PLAIN"], ["--mechanism", "OAUTHBEARER"]):
            assert topics(*words).returncode == 2, words

    with s.test("and again before their session is over"):
        with subprocess.Popen(
                [node.program, "topic", "tail", "orders", "--follow", "--from", "latest",
                 "--kafka", node.address, "--as", "boss", "--password-file", password,
                 "--mechanism", "PLAIN"], stdout=subprocess.PIPE) as tail:
            time.sleep(REAUTH_MS * 2.5 / 1000)
            kcat.produce(node.address, "orders", b"late\n", *sasl("boss", "PLAIN"))
            assert b"late" in tail.stdout.readline()
            tail.kill()

    with s.test("they do not believe another server, and are refused with another certificate"):
        refused = topics("--ca", others.file, *me)
        assert refused.returncode == 1 and b"not believed" in refused.stderr, refused.stderr
        refused = topics("--ca", own.file, "--certificate", mallory[0], "--key", mallory[1])
        assert refused.returncode == 1 and b"shows no certificate" in refused.stderr, \
            refused.stderr
        refused = topics("--ca", own.file)
        assert refused.returncode == 4 and b"--certificate" in refused.stderr, refused.stderr
        ops[1].chmod(0o644)
        refused = topics("--ca", own.file, *me)
        assert refused.returncode == 1 and b"--key" in refused.stderr, refused.stderr
        ops[1].chmod(0o600)
        refused = topics("--ca", own.file, "--certificate", ops[0])
        assert refused.returncode == 2 and b"go together" in refused.stderr, refused.stderr

    with s.test("a token of whom is believed signs in, for as long as it says"):
        client, error, lifetime_ms = bearer(node, issuer.token("boss", 600))
        assert error == 0 and lifetime_ms == REAUTH_MS
        assert len(client.call(METADATA, 1, array([]))) > 20
        client, error, lifetime_ms = bearer(node, issuer.token("boss", -56))
        assert error == 0 and 0 < lifetime_ms <= 4000  # clocks may differ by a minute

    with s.test("another token does not, and one without a signature never"):
        for token in (other_issuer.token("boss", 600), issuer.token("boss", -100),
                      issuer.token("boss", 600, "somebody else"), "a.b.c", ""):
            client, error, _ = bearer(node, token)
            assert error == 58 and client.is_closed()
        unsecured = subprocess.run(
            ["timeout", "10", "kcat", "-b", node.address, "-L", "-m", "1", "-X",
             "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=OAUTHBEARER", "-X",
             "enable.sasl.oauthbearer.unsecure.jwt=true", "-X",
             "sasl.oauthbearer.config=principal=boss"], check=False, capture_output=True)
        assert b"SASL authentication error" in unsecured.stderr, unsecured.stderr

    with s.test("a new certificate is used without a restart, and a broken one is not"):
        before, pid = serial_of(node, own), node.role_pid("streams")
        own.issue("server", "/CN=server")
        wait_until(lambda: serial_of(node, own) != before, SOON_S, "the new certificate is shown")
        after = serial_of(node, own)
        server[0].write_text("no certificate\n")
        wait_until(lambda: any("stays as it was" in line for line in node.log_lines()), SOON_S,
                   "it says that it cannot use that")
        assert serial_of(node, own) == after and node.role_pid("streams") == pid
        own.issue("server", "/CN=server")

    # W18
    with s.test("who does not sign in again is sent away, who does stays"):
        with User(node.port, "boss") as client:
            assert client.lifetime_ms == REAUTH_MS
            time.sleep(REAUTH_MS / 2000)
            client.sign_in("boss")  # again, in time
            time.sleep(REAUTH_MS * 0.52 / 1000)  # past the end of the first session
            assert len(client.call(METADATA, 1, array([]))) > 20
            time.sleep(REAUTH_MS / 1000)
            assert len(client.call(API_VERSIONS, 0, b"")) > 20
            client.send(METADATA, 1, array([]))
            assert client.is_closed()

    with s.test("nobody becomes somebody else by signing in again"):
        user(node, "add", "reader", line=PASSWORDS["reader"])
        with User(node.port, "boss") as client:
            assert not client.may_become("reader")
            assert client.is_closed()

    with s.test("without users an address that others reach is not served, and it says why"):
        waiting = s.node("b", bucket=f"file:{s.scratch}/other")
        waiting.address = f"0.0.0.0:{waiting.port}"
        waiting.options = ["--advertise", f"127.0.0.1:{waiting.port}"]
        waiting.launch()
        wait_until(lambda: any("there are no users" in line for line in waiting.log_lines()),
                   SOON_S, "it says so")
        assert not waiting.is_serving()
        user(waiting, "add", "--admin", "boss", line=PASSWORDS["boss"])
        waiting.wait_serving()
        assert b"0 topics" in kcat.kcat(f"127.0.0.1:{waiting.port}", "-L", *sasl("boss"))
        user(waiting, "remove", "boss")
        wait_until(lambda: not waiting.is_serving(), SOON_S, "it is closed with the last user")
        waiting.terminate()

    with s.test("unless it is said to be open"):
        waiting.options.append("--kafka-open")
        waiting.start()
        kcat.produce(f"127.0.0.1:{waiting.port}", "t", b"x\n")
