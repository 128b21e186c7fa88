"""S3 stores that others wrote: processes on this machine, with their data in the scratch directory.

Programs are looked for in $HANSE_S3_TOOLS, $PATH and ~/go/bin; who does not find one skips by name.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from node import free_port
from scenario import wait_until

BUCKET = "hanse-test"
KEYS = {"AWS_ACCESS_KEY_ID": "scenario", "AWS_SECRET_ACCESS_KEY": "of-no-worth-at-all"}
STORE_KEYS = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
              "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
              "MINIO_ROOT_USER": KEYS["AWS_ACCESS_KEY_ID"],
              "MINIO_ROOT_PASSWORD": KEYS["AWS_SECRET_ACCESS_KEY"]}


def find_program(name):
    places = [os.environ.get("HANSE_S3_TOOLS", ""), os.environ.get("PATH", ""),
              str(Path.home() / "go/bin")]
    return shutil.which(name, path=os.pathsep.join(place for place in places if place))


class Store:
    def __init__(self, scratch, name, certificate=None, key=None, in_host=False):
        self.name = name
        self.certificate, self.key = certificate, key  # files
        self.in_host = in_host  # buckets are called as BUCKET.localhost
        self.port = free_port()
        scratch.mkdir(exist_ok=True)
        self.directory = scratch / f"store-{name}"
        self.log_path = scratch / f"{name}.store.log"
        self.process = None

    def program(self):
        return find_program(self.name)

    def command(self):
        address = f"127.0.0.1:{self.port}"
        more = ["--cert", str(self.certificate), "--key", str(self.key)] if self.certificate else []
        if self.in_host:
            more += ["--virtual-domain", f"localhost:{self.port}"]
        return {"versitygw": [*more, "--port", address, "posix", str(self.directory)],
                "minio": ["server", "--address", address, str(self.directory)],
                "moto_server": ["-H", "127.0.0.1", "-p", str(self.port)]}[self.name]

    def start(self):
        (self.directory / BUCKET).mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program(), *self.command()], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=self.environment())
        wait_until(self.accepts, 60, f"{self.name} accepts connections")
        if self.name == "moto_server":  # it keeps everything in memory and checks no signature
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
            connection.close()

    def environment(self):
        more = {"MINIO_DOMAIN": "localhost"} if self.in_host else {}
        return dict(os.environ, **STORE_KEYS, MINIO_BROWSER="off", MINIO_UPDATE="off", **more)

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

    def freeze(self):
        """It takes connections, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    @property
    def endpoint(self):
        host = "localhost" if self.in_host else "127.0.0.1"
        return f"http{'s' if self.certificate else ''}://{host}:{self.port}"

    def has_credentials(self):
        return self.name != "moto_server"  # which believes everybody

    def survives(self):
        return self.name != "moto_server"  # which keeps everything in memory

    def url(self, prefix, more="", bucket=BUCKET):
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region=us-east-1" \
            f"{'&addressing=host' if self.in_host else ''}{more}"
