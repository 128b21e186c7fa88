#!/usr/bin/env python3
# runs beside others
"""kafkajs and Kafka's Java client sign in: PLAIN, SCRAM and OAUTHBEARER, in the clear and over TLS,
and with a certificate.

Skipped by name where kafkajs is not to be had, and the part of the Java client where that is not.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "interop"))

import apache_kafka  # noqa: E402
import certificates  # noqa: E402
import javascript  # noqa: E402
from guarded_client import PASSWORDS, user  # noqa: E402
from scenario import Scenario, Skip  # noqa: E402

HERE = Path(__file__).resolve().parent
ISSUER, AUDIENCE = "https://issuer.example", "kafka"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

modules = javascript.require("kafkajs", "2.2.4", (14, 0, 0))


def java_sees(address, path, **settings):
    """The topics that `kafka-topics --list` is told."""
    path.write_text("".join(f"{name.replace('_', '.')}={value}\n"
                            for name, value in settings.items()))
    why = apache_kafka.why_not()
    if why:
        raise Skip(f"Kafka's Java client: {why}")
    return apache_kafka.run("topics", "--list", "--bootstrap-server", address,
                            "--command-config", path)


with Scenario() as s:
    home = s.scratch / "certificates"
    certificates.make(home)
    keys = s.scratch / "keys.json"
    subprocess.run(["node", HERE / "guarded_kafkajs.js", "keys", keys,
                    s.scratch / "tokens.json", ISSUER, AUDIENCE], check=True, timeout=60)
    node = s.node(options=["--kafka-certificate", home / "server.pem",
                           "--kafka-certificate-key", home / "server.key",
                           "--kafka-client-ca", home / "ca.pem", "--kafka-jwks", keys,
                           "--kafka-token-issuer", ISSUER, "--kafka-token-audience", AUDIENCE])
    node.start()
    user(node, "add", "--admin", "boss", line=PASSWORDS["boss"])
    user(node, "add", "--admin", "--no-password", "CN=client")
    settings = s.scratch / "settings.json"
    settings.write_text(json.dumps({
        "broker": node.address, "user": "boss", "password": PASSWORDS["boss"],
        "tokens": json.loads((s.scratch / "tokens.json").read_text()), "ca": str(home / "ca.pem"),
        "other": str(home / "other.pem"), "key": str(home / "client.key"),
        "certificate": str(home / "client.pem")}))
    javascript.run_client(s, "guarded_kafkajs.js", modules, str(settings))

    trust = {"ssl_truststore_type": "PEM", "ssl_truststore_location": home / "ca.pem"}

    def login(module):
        return f'{module} required username="boss" password="{PASSWORDS["boss"]}";'

    with s.test("Kafka's Java client signs in with SCRAM-SHA-512, in the clear"):
        assert "of-kafkajs" in java_sees(
            node.address, s.scratch / "scram", security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512", sasl_jaas_config=login(SCRAM))
    with s.test("Kafka's Java client signs in with PLAIN, over TLS"):
        assert "of-kafkajs" in java_sees(
            node.address, s.scratch / "plain", security_protocol="SASL_SSL",
            sasl_mechanism="PLAIN", sasl_jaas_config=login(PLAIN), **trust)
    with s.test("Kafka's Java client is known by its certificate"):
        whole = home / "client.whole"
        words = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", home / "client.key"]
        key = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
        whole.touch(0o600)
        whole.write_text(key + (home / "client.pem").read_text())
        assert "of-kafkajs" in java_sees(
            node.address, s.scratch / "certificate", security_protocol="SSL",
            ssl_keystore_type="PEM", ssl_keystore_location=whole, **trust)
    with s.test("the node stops in an orderly way"):
        assert node.terminate() == 0
