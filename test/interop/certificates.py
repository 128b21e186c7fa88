"""Certificates for a test of TLS: an authority, a server at 127.0.0.1 and a client, by openssl."""

import subprocess
from pathlib import Path

PASSWORD = "a password for tests"
DAYS = "2"


def openssl(home, *words):
    subprocess.run(["openssl", *words], cwd=home, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)


def authority(home, name):
    openssl(home, "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", DAYS, "-subj",
            f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")


def signed(home, name, ca, extra=()):
    """NAME.key and NAME.pem."""
    openssl(home, "req", "-newkey", "rsa:2048", "-noenc", "-subj", f"/CN={name}", *extra,
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(home, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
            "-CAcreateserial", "-days", DAYS, "-copy_extensions", "copy", "-out", f"{name}.pem")
    Path(home, f"{name}.key").chmod(0o600)


def make(home):
    """All files of librdkafka's 0097 below home; (options of a node, configuration of a client,
    environment of the test)."""
    home.mkdir()
    for name in ("ca", "other"):
        authority(home, name)
    signed(home, "server", "ca", ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"))
    signed(home, "client", "ca")
    for kind, words in {
            "ca.der": ["x509", "-in", "ca.pem", "-outform", "DER"],
            "client.der": ["x509", "-in", "client.pem", "-outform", "DER"],
            "client.key.der": ["rsa", "-in", "client.key", "-outform", "DER"],
            "client.secret": ["rsa", "-in", "client.key", "-aes256", "-passout",
                              f"pass:{PASSWORD}"],
            "client.p12": ["pkcs12", "-export", "-inkey", "client.key", "-in", "client.pem",
                           "-certfile", "ca.pem", "-passout", f"pass:{PASSWORD}"]}.items():
        openssl(home, *words, "-out", kind)
    (home / "all.pem").write_text((home / "other.pem").read_text() + (home / "ca.pem").read_text())
    options = ["--kafka-certificate", home / "server.pem",
               "--kafka-certificate-key", home / "server.key", "--kafka-client-ca", home / "ca.pem"]
    configuration = ["security.protocol=SSL", f"ssl.ca.location={home}/ca.pem",
                     f"ssl.certificate.location={home}/client.pem",
                     f"ssl.key.location={home}/client.secret", f"ssl.key.password={PASSWORD}"]
    files = {"SSL_pkcs": "client.p12", "SSL_pub_der": "client.der", "SSL_pub_pem": "client.pem",
             "SSL_priv_der": "client.key.der", "SSL_priv_pem": "client.secret",
             "SSL_ca_der": "ca.der", "SSL_ca_pem": "ca.pem", "SSL_all_cas_pem": "all.pem"}
    environment = {name: str(home / file) for name, file in files.items()}
    return options, configuration, {**environment, "SSL_password": PASSWORD}
