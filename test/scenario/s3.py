#!/usr/bin/env python3
"""A broker on S3 stores that others wrote: what clients wrote survives kill -9 of node and store
and the loss of everything local, another node takes over, and what is wrong is said in a sentence.

Stores: versitygw, minio and moto_server, where they are installed (in $PATH or ~/go/bin)."""

import http.client
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import kcat
from node import free_port
from rdkafka import NumberedWriter, check_exactly_once
from scenario import Scenario, Skip, say, wait_until

# timeout: 600 s
LINES = 100_000
PARTITIONS = 4
BUCKET = "hanse-test"
KEYS = {"AWS_ACCESS_KEY_ID": "scenario", "AWS_SECRET_ACCESS_KEY": "of-no-worth-at-all"}
STORE_KEYS = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
              "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
              "MINIO_ROOT_USER": KEYS["AWS_ACCESS_KEY_ID"],
              "MINIO_ROOT_PASSWORD": KEYS["AWS_SECRET_ACCESS_KEY"]}


# --- stores ---------------------------------------------------------------------------------------

class Store:
    def __init__(self, scratch, name, certificate=None, key=None):
        self.name = name
        self.certificate, self.key = certificate, key  # files
        self.port = free_port()
        self.directory = scratch / f"store-{name}"
        self.log_path = scratch / f"{name}.store.log"
        self.process = None

    def program(self):
        places = os.environ.get("PATH", "") + os.pathsep + str(Path.home() / "go/bin")
        return shutil.which(self.name, path=places)

    def command(self):
        address = f"127.0.0.1:{self.port}"
        tls = ["--cert", str(self.certificate), "--key", str(self.key)] if self.certificate else []
        return {"versitygw": [*tls, "--port", address, "posix", str(self.directory)],
                "minio": ["server", "--address", address, str(self.directory)],
                "moto_server": ["-H", "127.0.0.1", "-p", str(self.port)]}[self.name]

    def start(self):
        (self.directory / BUCKET).mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program(), *self.command()], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=dict(os.environ, **STORE_KEYS))
        wait_until(self.accepts, 60, f"{self.name} accepts connections")
        if self.name == "moto_server":  # it keeps everything in memory and checks no signature
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
            connection.close()

    def accepts(self):
        assert self.process.poll() is None, f"{self.name} ended: see {self.log_path}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    @property
    def endpoint(self):
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    def url(self, prefix, more="", bucket=BUCKET):
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region=us-east-1{more}"


# --- what is tested -------------------------------------------------------------------------------

def lines():
    return b"".join(b"line %d\n" % i for i in range(LINES))


def check_all(node):
    got = kcat.consume(node.address, "lines", "-o", "beginning")
    assert got == lines(), f"{len(got.splitlines())} lines, or others"


def roundtrip(s, store, kind, more):
    node = s.node(f"{store.name}-{kind}", bucket=store.url(f"of/{kind}", more), environment=KEYS)
    with s.test(f"{store.name}, {kind}: {LINES} lines are written and read back"):
        say(f"serving after {node.start(60):.1f} s")
        kcat.produce(node.address, "lines", lines())
        check_all(node)
    with s.test(f"{store.name}, {kind}: after kill -9 of every process all of them are there"):
        node.kill()
        say(f"serving after {node.start(60):.1f} s")
        check_all(node)
    with s.test(f"{store.name}, {kind}: and after the loss of everything that was local"):
        node.kill()
        shutil.rmtree(node.run_dir)
        elsewhere = s.node(f"{store.name}-{kind}-elsewhere", bucket=node.bucket, environment=KEYS)
        elsewhere.start(60)
        check_all(elsewhere)
        kcat.produce(elsewhere.address, "lines", b"one more\n")
        assert kcat.consume(elsewhere.address, "lines", "-o", "-1") == b"one more\n"
        assert elsewhere.terminate() == 0
        for name in (node, elsewhere):
            assert KEYS["AWS_SECRET_ACCESS_KEY"] not in name.log(), "a secret is in the log"


def store_goes_away(s, store):
    """Only of a store that keeps what it has when it is killed."""
    node = s.node(f"{store.name}-away", bucket=store.url("away"), environment=KEYS)
    with s.test(f"{store.name}: a store that is killed and comes back is used again"):
        node.start(60)
        kcat.produce(node.address, "before", b"1\n2\n3\n")
        store.stop()
        store.start()
        kcat.produce(node.address, "before", b"4\n")
        assert kcat.consume(node.address, "before", "-o", "beginning") == b"1\n2\n3\n4\n"
        node.kill()


def takeover(s, store):
    first, second = (s.node(f"{store.name}-{name}", bucket=store.url("two"), environment=KEYS)
                     for name in ("first", "second"))
    with s.test(f"{store.name}: a second node takes over when the first is killed"):
        first.start(60)
        kcat.produce(first.address, "lines", lines())
        second.launch()
        wait_until(lambda: "stands by" in second.log(), 30, "the second node stands by")
        first.kill()
        say(f"the second serves after {second.wait_serving(60):.1f} s")
        check_all(second)
        second.kill()


def kills_under_load(s, store):
    """Also of the store: what it was asked when it died has an outcome nobody knows."""
    node = s.node(f"{store.name}-kills", bucket=store.url("kills"), environment=KEYS,
                  options=["--default-partitions", PARTITIONS])
    with s.test(f"{store.name}: node and store are killed under a producer, nothing is lost or "
                "there twice"):
        node.start(60)
        writer = NumberedWriter(node.address, "ledger", PARTITIONS, 400)
        writer.start()
        for kill_store in (False, True, False, True):
            before = len(writer.acknowledged)
            wait_until(lambda: len(writer.acknowledged) > before + 200 or writer.error, 60,
                       "the producer goes on")
            if kill_store:
                store.stop()
                time.sleep(0.5)
                store.start()
            else:
                node.kill()
                node.start(60)
        before = len(writer.acknowledged)
        wait_until(lambda: len(writer.acknowledged) > before + 200 or writer.error, 60,
                   "the producer goes on at the end")
        writer.stop(60)
        assert not writer.producer.failed, list(writer.producer.failed.items())[:3]
        node.kill()
        shutil.rmtree(node.run_dir)
        node.start(60)
        rows = kcat.records(node.address, "ledger")
        check_exactly_once(writer, rows)
        say(f"{len(rows)} records")
        node.kill()


def says(s, name, url, environment, sentence, timeout_s=30):
    node = s.node(name, bucket=url, environment=environment)
    node.launch()
    wait_until(lambda: sentence in node.log(), timeout_s, f'"{sentence}" in the log')
    node.kill()


def refusals(s, store):
    if store.name != "moto_server":  # which believes everybody
        with s.test(f"{store.name}: a wrong secret is said in a sentence"):
            says(s, f"{store.name}-secret", store.url("x"),
                 dict(KEYS, AWS_SECRET_ACCESS_KEY="wrong"), "check secret key")
        with s.test(f"{store.name}: an unknown access key is said in a sentence"):
            says(s, f"{store.name}-key", store.url("x"), dict(KEYS, AWS_ACCESS_KEY_ID="nobody"),
                 "check AWS_ACCESS_KEY_ID")
    with s.test(f"{store.name}: a bucket that is not there is said in a sentence"):
        says(s, f"{store.name}-bucket", store.url("x", bucket="no-such-bucket"), KEYS,
             'no bucket "no-such-bucket"')


def encrypted(s):
    certificate, key = s.scratch / "certificate", s.scratch / "key"
    store = Store(s.scratch, "versitygw", certificate, key)
    sentence = "versitygw over TLS: written and read back, with a certificate that is trusted"
    if not store.program() or not shutil.which("openssl"):
        with s.test(sentence):
            raise Skip("versitygw or openssl is not installed")
        return
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    try:
        store.start()
        with s.test(sentence):
            node = s.node("tls", bucket=store.url("tls"),
                          environment=dict(KEYS, AWS_CA_BUNDLE=str(certificate)))
            node.start(60)
            kcat.produce(node.address, "lines", lines())
            check_all(node)
            node.kill()
        with s.test("versitygw over TLS: a certificate nobody vouches for is refused and said so"):
            says(s, "distrust", store.url("tls"), KEYS, "set AWS_CA_BUNDLE")
    finally:
        store.stop()


def bad_urls(s):
    rows = [("s3:name", "write s3://NAME"),
            ("s3://ab", "no name of an S3 bucket"),
            ("s3://name?endpoint=ftp://x", "write http://HOST:PORT"),
            ("s3://name?adressing=path", 'did you mean "addressing"?'),
            ("s3://name?class=best", "the classes are raw and cas")]
    for number, (url, sentence) in enumerate(rows):
        with s.test(f"{url} is refused with a sentence"):
            node = s.node(f"refused-{number}", bucket=url, environment=KEYS)
            node.launch()
            wait_until(lambda: node.process.poll() is not None, 20, "it ends")
            assert node.process.returncode != 0
            assert sentence in node.log(), node.log()
    with s.test("without credentials it says where to put them"):
        node = s.node("nobody", bucket="s3://name", environment={
            "HOME": str(s.scratch), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
            "AWS_EC2_METADATA_DISABLED": "true"})
        node.launch()
        wait_until(lambda: node.process.poll() is not None, 20, "it ends")
        assert "no S3 credentials: set AWS_ACCESS_KEY_ID" in node.log(), node.log()


def one_store(s, name):
    store = Store(s.scratch, name)
    if not store.program():
        with s.test(f"a broker on {name}"):
            raise Skip(f"{name} is not installed")
        return
    try:
        store.start()
        roundtrip(s, store, "raw", "")
        roundtrip(s, store, "cas", "&class=cas")
        refusals(s, store)
        if name != "moto_server":
            store_goes_away(s, store)
            kills_under_load(s, store)
            takeover(s, store)
    finally:
        store.stop()


with Scenario() as s:
    bad_urls(s)
    for name in ("versitygw", "minio", "moto_server"):
        one_store(s, name)
    encrypted(s)
    with s.test("that there is no store is said within seconds"):
        says(s, "alone", "s3://name?endpoint=http://127.0.0.1:1", KEYS,
             "no connection to 127.0.0.1:1", 10)
