#!/usr/bin/env python3
"""A node without a disk: in a sandbox like a container's, whose root is read-only and where nothing
can be written but a tmpfs of 64 KiB for Unix sockets, without HOME, with its records and its
journal in an S3 store, and with credentials that it gets from the metadata of its machine.

The kernel's word is the evidence: every mount that its processes see is read-only but that one, and
none of them has a file open for writing."""
# one run only: nothing acknowledged may depend on luck

import http.server
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import kcat
from node import Node, answers_kafka
from node import program as program_of_people
from s3_store import KEYS, Store, find_program
from scenario import Scenario, say, skip_all, wait_until

# timeout: 300 s
LINES = 200_000
STORES = ("versitygw", "minio", "moto_server")
SOCKETS = "/sockets"
# Only what a program needs to run and to trust others; nothing of it can be written.
SEEN = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc")
WRITES = os.O_WRONLY | os.O_RDWR

# In a mount namespace of its own: a new root with these places, and then nothing else.
BUILD = r"""
set -e
root=$1
shift
mount -t tmpfs -o mode=755 none "$root"
for place in $SEEN; do
	if [ -L "$place" ]; then
		ln -s "$(readlink "$place")" "$root$place"
	elif [ -d "$place" ]; then
		mkdir "$root$place"
		mount --rbind "$place" "$root$place"
	fi
done
mkdir "$root$SOCKETS" "$root/dev"
for device in null urandom; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o size=64k,nr_inodes=32,mode=700 none "$root$SOCKETS"
touch "$root/hanse" "$root/key"
mount --bind "$PROGRAM" "$root/hanse"
mount --bind "$KEY" "$root/key"
cut -d' ' -f5,6 /proc/self/mountinfo | while read -r place options; do
	case $place in
	"$root$SOCKETS" | "$root") ;;
	"$root"/*) mount -o "remount,bind,ro,${options#rw,}" "$place" 2>/dev/null || true ;;
	esac
done
mount -o remount,bind,ro "$root"
cd "$root"
unset HOME PWD OLDPWD TMPDIR XDG_RUNTIME_DIR
exec chroot "$root" /hanse "$@"
"""


def namespaces():
    """How to get a mount namespace here, or None."""
    for words in (["--mount", "--map-root-user"], ["--mount"]):
        try:
            done = subprocess.run(["unshare", *words, "sh", "-c", "mount -t tmpfs none /mnt"],
                                  capture_output=True, timeout=60)
        except OSError:
            return None
        if done.returncode == 0:
            return ["unshare", *words, "--propagation", "private"]
    return None


# --- the machine's credentials --------------------------------------------------------------------

class Metadata(http.server.BaseHTTPRequestHandler):
    """Instance metadata, version 2."""

    life_s = 3600
    fetches = 0

    def answer(self, text, status=200):
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
        except BrokenPipeError:
            pass  # who asked was done before, with what it had

    def do_PUT(self):
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer("a-token")

    def do_GET(self):
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            self.answer("", 401)
        elif self.path == roles:
            self.answer("a-role")
        elif self.path == roles + "a-role":
            Metadata.fetches += 1
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life_s))
            self.answer(json.dumps({
                "Code": "Success", "AccessKeyId": KEYS["AWS_ACCESS_KEY_ID"],
                "SecretAccessKey": KEYS["AWS_SECRET_ACCESS_KEY"], "Expiration": end}))
        else:
            self.answer("", 404)

    def log_message(self, *words):
        pass


def serve_metadata():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


# --- the node ------------------------------------------------------------------------------------

class Diskless(Node):
    """Its messages come through a pipe: a file would be one that it can write."""

    def launch(self):
        read, write = os.pipe()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=write,
                                        stderr=write, env=self.environment)
        os.close(write)
        threading.Thread(target=self.copy, args=(read,), daemon=True).start()

    def copy(self, read):
        with open(read, "rb") as messages, open(self.log_path, "ab") as log:
            for line in messages:
                log.write(line)
                log.flush()


def sandbox(s, words):
    root = s.scratch / "root"
    root.mkdir(exist_ok=True)
    return [*words, "sh", "-c", BUILD, "sandbox", str(root)]


def make_key(s):
    """What is in the store is sealed; the key is the only file a node needs, and only reads."""
    key = s.scratch / "hanse.key"
    if not key.exists():
        subprocess.run([program_of_people(), "key", "new", "--key-file", key], check=True)
    return str(key)


def make_node(s, words, name, store, metadata, **settings):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SEEN": " ".join(SEEN),
                   "SOCKETS": SOCKETS, "PROGRAM": str(Path(program_of_people()).resolve()),
                   "KEY": make_key(s), "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata}
    # The tracer of the leak check would need another sandbox.
    environment["ASAN_OPTIONS"] = "detect_leaks=0"
    node = Diskless(s.scratch, name, bucket=store.url("nothing-here"), run_dir=SOCKETS,
                    environment=environment, wrapper=sandbox(s, words),
                    options=["--key-file", "/key"], **settings)
    node.environment = environment  # and nothing of ours
    node.command = lambda: [word for word in Node.command(node) if word != node.program]
    node.supervisor_pid = lambda: node.process.pid  # everything before it was replaced by it
    s.nodes.append(node)
    return node


# --- what the kernel says -------------------------------------------------------------------------

def writable_mounts(pid):
    found = set()
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        words = line.split()
        place, options = words[4], words[5].split(",")
        if "ro" not in options:
            found.add(place)
    return found


def files_open_for_writing(pid):
    found = []
    for fd in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            flags = int(fd.read_text().split("flags:")[1].split()[0], 8)
            target = os.readlink(f"/proc/{pid}/fd/{fd.name}")
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
        is_file = target.startswith("/") and not target.startswith("/dev/")
        if is_file and flags & WRITES:
            found.append(f"{pid}: {target}")
    return found


class Watcher(threading.Thread):
    """Looks all the time: a file might be there for a moment only."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.found, self.looks, self.is_over = node, [], 0, False

    def run(self):
        while not self.is_over:
            for pid in self.node.pids():
                try:
                    self.found += files_open_for_writing(pid)
                except OSError:
                    pass  # it has just ended
            self.looks += 1
            time.sleep(0.01)

    def stop(self):
        self.is_over = True
        self.join()


def lines():
    return b"".join(b"line %d\n" % i for i in range(LINES))


def check_all(node):
    got = kcat.consume(node.address, "lines", "-o", "beginning")
    assert got == lines(), f"{len(got.splitlines())} lines, or others"


def use(s, words, store):
    metadata = serve_metadata()
    node = make_node(s, words, "diskless", store, metadata)
    watcher = Watcher(node)
    with s.test(f"on {store.name}, without a place to write: {LINES} lines there and back"):
        say(f"serving after {node.start(60):.1f} s")
        watcher.start()
        kcat.produce(node.address, "lines", lines())
        check_all(node)
        out = kcat.kcat(node.address, "-G", "readers", "-e", "-q", "-X",
                        "auto.offset.reset=earliest", "lines")
        assert len(out.splitlines()) == LINES
        assert "S3 credentials come from 127.0.0.1" in node.log(), node.log()
    with s.test("every mount its processes see is read-only, but the one for sockets"):
        assert len(node.pids()) >= 3, node.pids()
        for pid in node.pids():
            assert writable_mounts(pid) == {SOCKETS}, (pid, writable_mounts(pid))
            assert Path(f"/proc/{pid}/root{SOCKETS}").is_dir()
            names = [path for path in Path(f"/proc/{pid}/root{SOCKETS}").iterdir()
                     if not path.is_socket()]
            assert not names, names
    with s.test("none of them had a file open for writing at any moment"):
        watcher.stop()
        say(f"looked {watcher.looks} times")
        assert watcher.looks > 50 and not watcher.found, watcher.found[:10]
    with s.test("kill -9, and a new sandbox has everything again"):
        node.kill()
        again = make_node(s, words, "again", store, metadata)
        say(f"serving after {again.start(60):.1f} s")
        check_all(again)
        kcat.produce(again.address, "lines", b"one more\n")
        assert kcat.consume(again.address, "lines", "-o", "-1") == b"one more\n"
        assert again.terminate() == 0
    # F11
    with s.test("credentials that expire after seconds are renewed while it runs"):
        Metadata.life_s, Metadata.fetches = 5, 0
        third = make_node(s, words, "third", store, metadata)
        third.start(60)
        written = 0
        while Metadata.fetches < 6:  # two processes, twice renewed on the average
            assert written < 100, f"{Metadata.fetches} fetches"
            kcat.produce(third.address, "few", b"%d\n" % written)
            written += 1
            time.sleep(0.2)
        got = kcat.consume(third.address, "few", "-o", "beginning")
        assert got == b"".join(b"%d\n" % i for i in range(written)), got
        say(f"{Metadata.fetches} fetches while {written} records were written")
        assert third.terminate() == 0


def no_sockets(s, words, store):
    with s.test("without a place for its sockets it says which option names one"):
        node = make_node(s, words, "nowhere", store, "http://127.0.0.1:1")
        at = node.command().index("--run-dir")
        words_of_node = node.command()[:at] + node.command()[at + 2:]
        node.command = lambda: words_of_node  # the default is below /tmp, which is not there
        node.launch()
        wait_until(lambda: node.process.poll() is not None, 20, "it ends")
        assert node.process.returncode != 0
        wait_until(lambda: "--run-dir /tmp/hanse-" in node.log(), 5, "the option in its message")
        assert not answers_kafka(node.port)


words = namespaces()
if not words:
    skip_all("unshare(1) may not make a mount namespace here")
found = next((name for name in STORES if find_program(name)), None)
if not found:
    skip_all(f"none of {', '.join(STORES)} is installed")
with Scenario() as s:
    store = Store(s.scratch, found)
    try:
        store.start()
        no_sockets(s, words, store)
        use(s, words, store)
    finally:
        store.stop()
