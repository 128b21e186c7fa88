#!/usr/bin/env python3
# runs beside others
"""A sealed cluster: whoever keeps its bucket finds no word of ours in it, and whatever he does to
objects is found when they are read; keys that are wrong are refused in a sentence; a first start
that is cut off loses no key."""

import base64
import bz2
import contextlib
import hashlib
import hmac
import lzma
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import time
import zlib
from pathlib import Path

import kcat
from node import answers_kafka, program, words_of
from s3_store import KEYS, Store
from scenario import Scenario, Skip, say, wait_until

# timeout: 300 s
TOPIC = "quarterly-salaries"
GROUP = "payroll-readers"
KEY, VALUE = "employee-0815", "earns-a-fortune"
HEADER = ("confidential-header", "for-your-eyes-only")
HOST = "machine-of-the-treasurer"
LINES = 400
CHUNK, FRONT, TAG = 65536, 48, 16
RECOVERY_KEY = re.compile(r"hanse-key-1(?:-[0-9A-HJKMNP-TV-Z]{4}){14}")


def needles():
    return [TOPIC, GROUP, KEY, VALUE, *HEADER, HOST]


def named_host():
    """How to start a node on a machine with a name that is no word by chance; nothing if not."""
    words = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', HOST]
    done = subprocess.run([*words, "hostname"], capture_output=True, text=True)
    return words if done.stdout.strip() == HOST else []


def lines():
    return [f"{VALUE} {i:06d} {'x' * 300}" for i in range(LINES)]


def fill(node):
    """Two files of records at least, a group with an offset."""
    text = "".join(f"{KEY}\t{line}\n" for line in lines()).encode()
    for part in (text[:len(text) // 2], text[len(text) // 2:]):
        kcat.produce(node.address, TOPIC, part, "-K", "\t", "-H", "=".join(HEADER),
                     "-z", "none")
    out = kcat.kcat(node.address, "-G", GROUP, "-e", "-q", "-X", "auto.offset.reset=earliest",
                    TOPIC)
    assert len(out.splitlines()) == len(text.splitlines())


def read_all(node):
    return kcat.consume(node.address, TOPIC, "-o", "beginning").decode().splitlines()


def objects(root):
    return sorted(path for path in root.rglob("*") if path.is_file())


def path_of(bucket):
    return Path(bucket.removeprefix("file:").split("?")[0])


# --- what a keeper can find -----------------------------------------------------------------------

def unpacked(data):
    """Whatever begins like something compressed, tried."""
    attempts = [(b"\x78\x01", zlib.decompressobj), (b"\x78\x9c", zlib.decompressobj),
                (b"\x78\xda", zlib.decompressobj),
                (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
                (b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ", lzma.LZMADecompressor)]
    for magic, make in attempts:
        at = data.find(magic)
        while at >= 0:
            with contextlib.suppress(zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
                yield make().decompress(data[at:])
            at = data.find(magic, at + 1)


def shapes(needle):
    """A word as it is, reversed, in hexadecimal, and in base64 wherever it may begin."""
    word = needle.encode()
    yield from (word, word[::-1], word.hex().encode(), word.upper())
    for shift in range(3):
        code = base64.b64encode(b"\0" * shift + word)
        yield code[-(-shift * 8 // 6):-4]  # its ends depend on what is around it


def found(root, words):
    wanted = [shape for word in words for shape in shapes(word)]
    hits = []
    for path in objects(root):
        for data in (path.read_bytes(), str(path.relative_to(root)).encode(),
                     *unpacked(path.read_bytes())):
            hits += [(path.name, shape) for shape in wanted if shape in data]
    return hits


# --- doing it again in another language -----------------------------------------------------------

def hkdf(key, salt, info, size):
    secret = hmac.digest(salt or bytes(32), key, "sha256")
    out = block = b""
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:size]


def open_object(key, name, data):
    """The body; None when the key is not the one."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    body = b""
    chunks = [data[at:at + CHUNK + FRONT + TAG] for at in range(0, len(data), CHUNK + FRONT + TAG)]
    for number, chunk in enumerate(chunks):
        front = chunk[:FRONT]
        assert front[:8] == b"HSEA\x01\x10\x00\x01", front
        objects_key = hkdf(key, b"", b"hanse sealed 1 objects", 32)
        both = hkdf(objects_key, front[16:32], b"hanse sealed 1 object " + name.encode(), 48)
        if both[32:] != front[32:]:
            return None
        nonce = bytes(3) + struct.pack(">Q", number) + bytes([number + 1 == len(chunks)])
        body += AESGCM(both[:32]).decrypt(nonce, chunk[FRONT:], front)
    return body


def key_of(text, name):
    return bytes.fromhex(re.search(rf"^{name} ([0-9a-f]{{64}})$", text, re.M).group(1))


def hanse(*words, **settings):
    return subprocess.run([program(), *[str(word) for word in words]], text=True,
                          capture_output=True, timeout=60, **settings)


# --- first starts ---------------------------------------------------------------------------------

def first_start(s):
    key = s.scratch / "hanse.key"
    node = s.node("a", options=["--key-file", key], wrapper=named_host())
    node.supervisor_pid = lambda: node.process.pid
    with s.test("a first start makes a key file for its owner only, and shows the key once"):
        node.start()
        fill(node)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        recovery = RECOVERY_KEY.findall(node.log())
        assert recovery == RECOVERY_KEY.findall(key.read_text()) and len(recovery) == 1
    with s.test("status says that it is sealed, and with which key"):
        status = hanse("status", "--kafka", node.address, "--run-dir", node.run_dir, "--json")
        shown = hanse("key", "show", "--key-file", key, "--json")
        key_id = re.search(r'"key_id": "([0-9a-f]{32})"', shown.stdout).group(1)
        assert '"sealed": true' in status.stdout and key_id in status.stdout, status.stdout
    with s.test("a file that a shell makes for a key is nobody else's"):
        part = s.scratch / "part.key"
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o644)) as out:
            os.fchmod(out.fileno(), 0o644)
            subprocess.run([program(), "key", "derive", "streams", "--key-file", key], check=True,
                           stdout=out)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    with s.test("no key is in the arguments or the environment of a process, or in a file of it"):
        parts = [hanse("key", "derive", role, "--key-file", key).stdout
                 for role in ("control", "streams")]
        secrets = [match.encode() for part in parts
                   for match in re.findall(r"-private ([0-9a-f]{64})", part) +
                   re.findall(r"(?:cluster|journal|data) ([0-9a-f]{64})", part)]
        assert len(secrets) == 6
        secrets += [bytes.fromhex(secret.decode()) for secret in secrets] + [recovery[0].encode()]
        for pid in node.pids():
            seen = Path(f"/proc/{pid}/environ").read_bytes() + "\0".join(words_of(pid)).encode()
            assert not [secret for secret in secrets if secret in seen]
        for path in objects(path_of(node.bucket)) + objects(node.run_dir):
            assert not [secret for secret in secrets if secret in path.read_bytes()], path
    return node, key


def plaintext(s, node):
    with s.test("the same search finds the words in a bucket that is not sealed"):
        clear = s.node("clear", bucket=f"file:{s.scratch}/clear", wrapper=named_host())
        clear.start()
        fill(clear)
        assert clear.terminate() == 0
        hits = {shape for _, shape in found(path_of(clear.bucket), needles())}
        missing = [word for word in needles() if word.encode() not in hits and
                   (word != HOST or named_host())]
        assert not missing, missing
    with s.test("no word of ours is in any object: topic, group, key, value, header, host"):
        assert node.terminate() == 0
        root = path_of(node.bucket)
        assert len(objects(root / "v1/d")) >= 2 and len(objects(root / "v1/j")) > 5
        assert not found(root, needles()), found(root, needles())[:5]


def independent(s, node, key):
    root = path_of(node.bucket)
    control, streams = (hanse("key", "derive", role, "--key-file", key).stdout
                        for role in ("control", "streams"))
    with s.test("another program reads them by the documents, each with the key of its role only"):
        try:
            import cryptography  # noqa: F401
        except ImportError:
            raise Skip("python3-cryptography is not installed")
        data, journal = key_of(streams, "data"), key_of(control, "journal")
        assert "\ndata " not in control and "\njournal " not in streams
        text = b""
        for path in objects(root):
            name = str(path.relative_to(root))
            if name == "v1/cluster":
                continue
            mine, other = (data, journal) if name.startswith("v1/d/") else (journal, data)
            body = open_object(mine, name, path.read_bytes())
            assert body is not None, name
            assert open_object(other, name, path.read_bytes()) is None
            text += body
        assert all(word.encode() in text for word in needles()), "the words are inside"
    with s.test("v1/cluster says that it is sealed, and its MAC is that of the document"):
        object = (root / "v1/cluster").read_bytes()
        assert object[8:12] == b"\0\2\0\1" and len(object) == 92
        assert hmac.digest(key_of(control, "cluster"), object[:56], "sha256") == object[56:88]


# --- attacks --------------------------------------------------------------------------------------

@contextlib.contextmanager
def changed(*paths):
    before = [path.read_bytes() for path in paths]
    try:
        yield before
    finally:
        for path, data in zip(paths, before):
            path.chmod(0o600)
            path.write_bytes(data)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))


def cut(path, size):
    path.chmod(0o600)
    os.truncate(path, size)


def attacks_on(first, second, old):
    """(what, how, what the log says of which object)"""
    size = first.stat().st_size
    return [("flipped in the middle", lambda: flip(first, size // 2), "was changed"),
            ("flipped in the first byte", lambda: flip(first, 0), "is not sealed"),
            ("flipped in the tag", lambda: flip(first, size - 1), "was changed"),
            ("cut off at its last byte", lambda: cut(first, size - 1), "cut off"),
            ("cut off in the middle", lambda: cut(first, size // 2), "cut off"),
            ("emptied", lambda: cut(first, 0), "cut off"),
            ("replaced by its neighbour", lambda: shutil.copyfile(second, first),
             "another object"),
            ("replaced by one of another cluster", lambda: shutil.copyfile(old, first),
             "another key")]


def reads_wrong(node):
    """What a client gets while objects are not what they were: part of the truth, or an error."""
    process = subprocess.Popen(["kcat", "-b", node.address, "-C", "-t", TOPIC, "-o", "beginning",
                                "-e", "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, _ = process.communicate(timeout=4)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    got = out.decode(errors="replace").splitlines()
    assert got == lines()[:len(got)], f"wrong bytes: {got[-1:]}"
    return got


def attack_data(s, node, old_root):
    root = path_of(node.bucket)
    first, second = objects(root / "v1/d")[:2]
    old = objects(old_root / "v1/d")[0]
    attacks = attacks_on(first, second, old)
    for number, (what, attack, sentence) in enumerate(attacks):
        name = str(first.relative_to(root))
        how = "a running" if number % 2 else "a stopped"
        with s.test(f"an object of records under {how} node, {what}: an error, no wrong bytes"):
            with changed(first):
                if number % 2:
                    node.start()  # nothing of it is in its memory yet
                attack()
                if not number % 2:
                    node.start()
                before = len(node.log())
                got = reads_wrong(node)
                assert len(got) < LINES, "all of it was read"
                said = [line for line in node.log()[before:].splitlines()
                        if name in line and sentence in line and " error " in line]
                assert said, node.log()[before:][-600:]
            assert read_all(node) == lines(), "with the object as it was all is there"
            node.kill()


def attack_journal(s, node, old_root):
    root = path_of(node.bucket)
    records = [path for path in objects(root / "v1/j") if "/e/" in str(path)]
    first, second = records[-3], records[-2]
    for what, attack, sentence in attacks_on(first, second, objects(old_root / "v1/j")[-1]):
        with s.test(f"a record of the journal, {what}: the node says which, and serves nothing"):
            log_bytes = len(node.log())
            name = str(first.relative_to(root))
            try:
                with changed(first):
                    attack()
                    node.launch()
                    wait_until(lambda: [line for line in node.log()[log_bytes:].splitlines()
                                        if name in line and sentence in line], 15,
                               f'"{sentence}" of {name} in the log')
                    assert not answers_kafka(node.port)
            finally:
                node.kill()
    with s.test("with the journal as it was all records are there"):
        node.start()
        assert read_all(node) == lines()
        assert node.terminate() == 0


# --- keys -----------------------------------------------------------------------------------------

def refuses(s, name, sentence, bucket, *options):
    node = s.node(name, bucket=bucket, options=options)
    node.launch()
    wait_until(lambda: node.process.poll() is not None, 30, "it gives up")
    assert node.process.returncode in (1, 2), node.process.returncode
    node.process = None
    assert sentence in node.log(), node.log()
    return node


def refusals(s, node, key):
    root = path_of(node.bucket)
    clear = f"file:{s.scratch}/clear"
    other = s.scratch / "other.key"
    assert hanse("key", "new", "--key-file", other).returncode == 0
    with s.test("without a key it is refused"):
        refuses(s, "keyless", "is sealed: give its key", node.bucket)
        log = refuses(s, "keyless2", "is the key of another cluster", node.bucket, "--seal",
                      "yes").log()
        assert not RECOVERY_KEY.search(log) and "the cluster is sealed: give --key-file" in log
    with s.test("with the key of another cluster it is refused"):
        refuses(s, "wrong", "is the key of another cluster", node.bucket, "--key-file", other)
    with s.test("a cluster that is not sealed is refused with a key"):
        refuses(s, "needless", "is not sealed: give --seal no", clear, "--key-file", other)
    with s.test("a key file that others can read, or that is none, is refused"):
        other.chmod(0o644)
        refuses(s, "open", "can be read by others", node.bucket, "--key-file", other)
        other.write_text("password\n")
        other.chmod(0o600)
        refuses(s, "none", "a recovery key begins with", node.bucket, "--key-file", other)
        text = re.sub("-[^-]*$", "-0000", RECOVERY_KEY.findall(key.read_text())[0])
        other.write_text(text)
        refuses(s, "mistyped", "there is a typing mistake", node.bucket, "--key-file", other)
    with s.test("a key file made for a first start that was none is put aside"):
        absent = s.scratch / "absent.key"
        log = refuses(s, "second-first", "it is " + str(absent) + ".unused-", node.bucket,
                      "--key-file", absent).log()
        assert not absent.exists() and not RECOVERY_KEY.search(log)
    with s.test("a v1/cluster that somebody else wrote is refused"):
        cluster = root / "v1/cluster"
        with changed(cluster) as (before,):
            cluster.chmod(0o600)
            forged = bytearray(before)
            forged[16] ^= 1  # another cluster, with a right checksum
            forged[88:] = struct.pack(">I", crc32c(forged[:88]))
            cluster.write_bytes(forged)
            refuses(s, "forged", "was changed by somebody without the key", node.bucket,
                    "--key-file", key)
            cluster.write_bytes((path_of(clear) / "v1/cluster").read_bytes())
            refuses(s, "downgraded", "is not sealed", node.bucket, "--key-file", key)


def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


def parts(s, node, key):
    files = {}
    for role in ("control", "streams"):
        files[role] = s.scratch / f"{role}.key"
        files[role].touch(0o600)
        files[role].write_text(hanse("key", "derive", role, "--key-file", key).stdout)
    with s.test("a role is refused with the part of the other"):
        refuses(s, "crossed", "has no keys for streams", node.bucket, "--roles", "streams",
                "--key-file", files["control"])
        refuses(s, "crossed2", "has no keys for control", node.bucket, "--roles", "control",
                "--journal", node.bucket, "--key-file", files["streams"])
    with s.test("control and streams run in two places, each with its part only"):
        control = s.node("control", bucket=node.bucket,
                         options=["--roles", "control", "--key-file", files["control"]])
        control.launch()
        socket_path = control.run_dir / f"control-{control.port}.sock"
        wait_until(socket_path.exists, 30, "control's socket")
        streams = s.node("streams", bucket=node.bucket, run_dir=s.scratch / "run-streams",
                         options=["--roles", "streams", "--control", f"unix:{socket_path}",
                                  "--key-file", files["streams"]])
        streams.start()
        assert read_all(streams) == lines()
        kcat.produce(streams.address, "more", b"1\n2\n")
        assert kcat.consume(streams.address, "more", "-o", "beginning") == b"1\n2\n"
        assert streams.terminate() == 0 and control.terminate() == 0


def cut_off_starts(s):
    """Killed at any moment: when something is in the bucket, its key is in the file."""
    chance = s.seed()
    with s.test("a first start that is killed at any moment does not lose its key"):
        clusters = 0
        for number in range(12):
            bucket, key = s.scratch / f"cut-{number}", s.scratch / f"cut-{number}.key"
            node = s.node(f"cut-{number}", bucket=f"file:{bucket}", options=["--key-file", key])
            node.launch()
            wait_until(lambda: key.exists() or node.process.poll() is not None, 30, "a key file")
            time.sleep(chance.random() * 0.1)
            node.kill()
            clusters += (bucket / "v1/cluster").exists()
            node.start()
            assert len(RECOVERY_KEY.findall(key.read_text())) == 1
            node.kill()
        say(f"{clusters} of 12 had made the cluster before they were killed")


def two_first_starts(s):
    with s.test("two first starts at once on one bucket and one key file make one cluster"):
        for number in range(3):
            bucket, key = s.scratch / f"two-{number}", s.scratch / f"two-{number}.key"
            nodes = [s.node(f"two-{number}-{name}", bucket=f"file:{bucket}",
                            options=["--key-file", key]) for name in "ab"]
            for node in nodes:
                node.launch()
            wait_until(lambda: [node for node in nodes if answers_kafka(node.port)], 30, "one")
            assert all(node.process.poll() is None for node in nodes)
            shown = [RECOVERY_KEY.findall(node.log()) for node in nodes]
            assert sum(shown, []) == RECOVERY_KEY.findall(key.read_text()), shown
            for node in nodes:
                node.kill()


def in_a_store(s):
    store = Store(s.scratch, "versitygw")
    with s.test("in an S3 store it is so by default"):
        if not store.program():
            raise Skip("versitygw is not installed")
        try:
            store.start()
            key = s.scratch / "s3.key"
            node = s.node("s3", bucket=store.url("sealed"), environment=KEYS,
                          options=["--key-file", key])
            node.start(60)
            fill(node)
            assert node.terminate() == 0
            root = store.directory / "hanse-test/sealed"
            assert len(objects(root / "v1/d")) >= 2
            assert not found(root, needles())
            refuses_s3 = s.node("s3-keyless", bucket=store.url("sealed"), environment=KEYS)
            refuses_s3.launch()
            wait_until(lambda: "is the key of another cluster" in refuses_s3.log(), 30, "a refusal")
            refuses_s3.kill()
        finally:
            store.stop()


with Scenario() as s:
    node, key = first_start(s)
    plaintext(s, node)
    independent(s, node, key)
    second_key = s.scratch / "second.key"
    second = s.node("second", bucket=f"file:{s.scratch}/second", options=["--key-file", second_key])
    second.start()
    fill(second)
    second.terminate()
    attack_data(s, node, path_of(second.bucket))
    attack_journal(s, node, path_of(second.bucket))
    refusals(s, node, key)
    parts(s, node, key)
    cut_off_starts(s)
    two_first_starts(s)
    in_a_store(s)
