#!/usr/bin/env python3
"""Control over https, as phones want it: with a certificate of an authority that the machine
believes, at the same port where others speak plain HTTP."""

# Its ports are its own, so it runs beside others.  timeout: 600 s

import http.client
import shutil
import subprocess

import official
from machine import Machine, control_options
from node import free_port
from scenario import Scenario, skip_all, wait_until


def make_certificate(s):
    """One that signs itself: who is told to believe it takes it for an authority."""
    certificate, key = s.scratch / "certificate.pem", s.scratch / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key


def run_all(s, client):
    certificate, key = make_certificate(s)
    port = free_port()
    control = Machine(s, "control", options=[*control_options(realm=port), "--certificate",
                                             certificate, "--certificate-key", key])
    control.start()
    url, join_key = control.official_words
    a = client.machine(s.scratch, "a", SSL_CERT_FILE=str(certificate))

    with s.test("control says that it is at an https address"):
        assert url == f"https://127.0.0.1:{port}", url

    with s.test("the official client joins there, and finds the relay with that certificate"):
        s.at_end.callback(a.kill)
        a.start()
        a.up(url, join_key)
        a.wait_state("Running")
        assert wait_until(lambda: control.known("a"), 5, "a is known")["state"] == "online"

    with s.test("its own check of the protocol goes through"):
        said = a.run("debug", "ts2021", f"--host=127.0.0.1:{port}").stdout
        assert "did noise handshake" in said, said

    with s.test("plain HTTP is answered at the same port"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/key?v=142")
        answer = connection.getresponse()
        assert answer.status == 200 and b"mkey:" in answer.read()
        b = client.machine(s.scratch, "b", SSL_CERT_FILE=str(certificate))
        s.at_end.callback(b.kill)
        b.start()
        b.up(f"http://127.0.0.1:{port}", control.new_key()[1])
        b.wait_state("Running")
        a.ping("b")


def main():
    client = official.find()
    if not client:
        skip_all(official.why_not())
    if not shutil.which("openssl"):
        skip_all("openssl is not installed")
    with Scenario() as s:
        run_all(s, client)


main()
