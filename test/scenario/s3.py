#!/usr/bin/env python3
# runs beside others
"""A broker on S3 stores that others wrote: what clients wrote survives kill -9 of node and store
and the loss of everything local, another node takes over, and what is wrong is said in a sentence.

Stores: versitygw, minio and moto_server, where they are installed (see s3_store.py)."""

import json
import os
import shutil
import signal
import subprocess
import time

import kcat
from node import program
from rdkafka import NumberedWriter, check_exactly_once
from s3_store import KEYS, Store
from scenario import Scenario, Skip, say, wait_until

# timeout: 600 s
LINES = 100_000
PARTITIONS = 4
CHECKS = ["create", "race", "slow race", "missing", "list", "clock", "range"]


# --- what is tested -------------------------------------------------------------------------------

def lines():
    return b"".join(b"line %d\n" % i for i in range(LINES))


def check_all(node):
    got = kcat.consume(node.address, "lines", "-o", "beginning")
    assert got == lines(), f"{len(got.splitlines())} lines, or others"


def sealed(s):
    """As it is by default in S3 stores, with a key that all starts share, and all buckets."""
    return ["--key-file", s.scratch / "hanse.key", "--new-cluster", "yes"]


def roundtrip(s, store, kind, more):
    node = s.node(f"{store.name}-{kind}", bucket=store.url(f"of/{kind}", more), environment=KEYS,
                  options=sealed(s))
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
        elsewhere = s.node(f"{store.name}-{kind}-elsewhere", bucket=node.bucket,
                           environment=KEYS, options=sealed(s))
        elsewhere.start(60)
        check_all(elsewhere)
        kcat.produce(elsewhere.address, "lines", b"one more\n")
        assert kcat.consume(elsewhere.address, "lines", "-o", "-1") == b"one more\n"
        assert elsewhere.terminate() == 0
        for name in (node, elsewhere):
            assert KEYS["AWS_SECRET_ACCESS_KEY"] not in name.log(), "a secret is in the log"


def run_probe(url, *words, **settings):
    return subprocess.Popen([program(), "bucket", "probe", url, *words], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=dict(os.environ, **KEYS), **settings)


def probe(s, store):
    """The class of the store, as far as anybody can tell: it is used in that class only."""
    document = {"class": "raw"}
    with s.test(f"{store.name}: a probe says which class it gets, and leaves nothing"):
        process = run_probe(store.url("probed"), "--json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        document = json.loads(out)
        for check in document["checks"]:
            say(f"{check['name']}: {check['outcome']}: {check['why']}")
        assert [check["name"] for check in document["checks"]] == CHECKS
        assert all(check["outcome"] != "skipped" or "has not passed" in check["why"]
                   for check in document["checks"])
        assert document["left"] == 0 and document["class"] in ("raw", "cas")
        assert ("class=cas" in document["use"]) == (document["class"] == "cas")
    with s.test(f"{store.name}: a probe that is interrupted removes what it wrote"):
        process = run_probe(store.url("interrupted"))
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "slow race" not in out, out
        assert "there is no verdict" in err and "could not be removed" not in err, err
        if store.name == "versitygw":  # an object is a file there
            left = [path for path in (store.directory / "hanse-test/interrupted").rglob("*")
                    if path.is_file()]
            assert not left, left
    return document["class"]


def two_profiles(s, store):
    """The buckets of records and journal, each with the credentials of its own profile."""
    credentials = s.scratch / "credentials"
    lines_of = [f"aws_access_key_id = {KEYS['AWS_ACCESS_KEY_ID']}",
                f"aws_secret_access_key = {KEYS['AWS_SECRET_ACCESS_KEY']}"]
    credentials.write_text("\n".join(["[records]", *lines_of, "[journal]", *lines_of, ""]))
    node = s.node(f"{store.name}-profiles", bucket=store.url("records", "&profile=records"),
                  options=["--journal", store.url("journal", "&profile=journal"), *sealed(s)],
                  environment={"AWS_SHARED_CREDENTIALS_FILE": str(credentials),
                               "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"})
    with s.test(f"{store.name}: journal and records have credentials of their own"):
        node.start(60)
        kcat.produce(node.address, "few", b"1\n2\n3\n")
        assert kcat.consume(node.address, "few", "-o", "beginning") == b"1\n2\n3\n"
        node.kill()


def in_host(s, name):
    store = Store(s.scratch / "in-host", name, in_host=True)
    with s.test(f"{name}: the bucket is a part of the host"):
        if not store.program():
            raise Skip(f"{name} is not installed")
        try:
            store.start()
            node = s.node(f"{name}-in-host", bucket=store.url("host"), environment=KEYS,
                          options=["--seal", "no"])
            node.start(60)
            kcat.produce(node.address, "lines", lines())
            check_all(node)
            node.kill()
        finally:
            store.stop()


def store_goes_away(s, store):
    """Only of a store that keeps what it has when it is killed."""
    node = s.node(f"{store.name}-away", bucket=store.url("away"), environment=KEYS,
                  options=sealed(s))
    with s.test(f"{store.name}: a store that is killed and comes back is used again"):
        node.start(60)
        kcat.produce(node.address, "before", b"1\n2\n3\n")
        store.stop()
        store.start()
        kcat.produce(node.address, "before", b"4\n")
        assert kcat.consume(node.address, "before", "-o", "beginning") == b"1\n2\n3\n4\n"
        node.kill()


def takeover(s, store, kind, more):
    first, second = (s.node(f"{store.name}-{kind}-{name}", bucket=store.url(f"two/{kind}", more),
                            environment=KEYS, options=sealed(s)) for name in ("first", "second"))
    with s.test(f"{store.name}, {kind}: a second node takes over when the first is killed"):
        first.start(60)
        kcat.produce(first.address, "lines", lines())
        second.launch()
        wait_until(lambda: "stands by" in second.log(), 30, "the second node stands by")
        first.kill()
        say(f"the second serves after {second.wait_serving(60):.1f} s")
        check_all(second)
        second.kill()


def kills_under_load(s, store, more):
    """Also of the store: what it was asked when it died has an outcome nobody knows."""
    node = s.node(f"{store.name}-kills", bucket=store.url("kills", more), environment=KEYS,
                  options=["--default-partitions", PARTITIONS, *sealed(s)])
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
    if store.has_credentials():
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
                          environment=dict(KEYS, AWS_CA_BUNDLE=str(certificate)),
                          options=["--seal", "no"])
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
        is_cas = probe(s, store) == "cas"
        roundtrip(s, store, "raw", "")
        if is_cas:
            roundtrip(s, store, "cas", "&class=cas")
        refusals(s, store)
        two_profiles(s, store)
        if store.survives():
            store_goes_away(s, store)
            kills_under_load(s, store, "&class=cas" if is_cas else "")
            takeover(s, store, "raw", "")
            if is_cas:
                takeover(s, store, "cas", "&class=cas")
    finally:
        store.stop()


with Scenario() as s:
    bad_urls(s)
    for name in ("versitygw", "minio", "moto_server"):
        one_store(s, name)
    encrypted(s)
    for name in ("versitygw", "minio"):
        in_host(s, name)
    with s.test("that there is no store is said within seconds"):
        says(s, "alone", "s3://name?endpoint=http://127.0.0.1:1", KEYS,
             "no connection to 127.0.0.1:1", 10)
