"""An S3 store in memory that falls ill on demand, and the metadata service of a machine beside it.

    store = SickStore(random)
    with store.ill("closes_after", 0.3, method="PUT"):    # that share of these requests
        ...
    store.struck["closes_after"]                          # how many they were

It believes every signature (s3.py has stores that do not), but it looks at the date and at the
access key: a key that has expired is refused.

What a request comes to:
    hangs, closes, fails        no answer, the connection is closed, 500: without effect
    hangs_after, closes_after, fails_after    the same, after the effect
    slow_down, unavailable      503, without effect
    slow                        takes `slow_s` seconds, and is done
    half, flip, shift_range, shift_bytes, ignore_range, missing    what a GET gives"""

import calendar
import contextlib
import email.utils
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections import Counter

HANG_S = 4
SKEW_S = 15 * 60
ROLES = "/latest/meta-data/iam/security-credentials/"
ERRORS = {"fails": (500, "InternalError"), "slow_down": (503, "SlowDown"),
          "unavailable": (503, "ServiceUnavailable"), "missing": (404, "NoSuchKey")}


class SickStore:
    def __init__(self, random):
        self.random = random
        self.lock = threading.Lock()
        self.objects = {}
        self.illness = None  # (name, share, method, prefix)
        self.struck = Counter()
        self.slow_s = 10
        self.clock_ahead_s = 0
        self.generation = 0  # of the only access key that is good
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.store = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def url(self, prefix, more=""):
        return f"s3://sick/{prefix}?endpoint={self.endpoint}&region=us-east-1{more}"

    def environment(self):
        """Credentials come from the machine's metadata."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.endpoint, "HOME": "/nonexistent",
                "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}

    def access_key(self):
        return f"KEY{self.generation}"

    def expire(self):
        """What was given out is refused from now on, and another one is given out."""
        self.generation += 1

    def now(self):
        return time.time() + self.clock_ahead_s

    @contextlib.contextmanager
    def ill(self, name, share=1.0, method=None, prefix=""):
        self.illness = (name, share, method, prefix)
        try:
            yield
        finally:
            self.illness = None

    def draw(self, method, key):
        """What is to become of this request, or None."""
        illness = self.illness
        if not illness:
            return None
        name, share, wanted, prefix = illness
        with self.lock:
            if wanted not in (None, method) or prefix not in key or self.random.random() >= share:
                return None
            self.struck[name] += 1
        return name


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.server.store.now(), usegmt=True)

    # --- answers ---------------------------------------------------------------------------------

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>ill</Message></Error>".encode())

    def give_up(self):
        self.close_connection = True

    # --- one request -----------------------------------------------------------------------------

    def handle_one_request(self):
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do(self):
        store = self.server.store
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        if path.startswith("/latest/"):
            self.tell_metadata(path)
            return
        key = urllib.parse.unquote(path).removeprefix("/sick").removeprefix("/")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        why = self.complaint()
        if why:
            store.struck[why] += 1
            self.error(403 if why == "RequestTimeTooSkewed" else 400, why)
            return
        self.fate = store.draw(self.command, key)
        when = self.fate or ""
        if when == "slow":
            time.sleep(store.slow_s)
        if when in ERRORS:
            self.error(*ERRORS[when])
        elif when == "hangs":
            time.sleep(HANG_S)
            self.give_up()
        elif when == "closes":
            self.give_up()
        else:
            self.obey(key, query, body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do

    def complaint(self):
        store = self.server.store
        date = calendar.timegm(time.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        if abs(date - store.now()) > SKEW_S:
            return "RequestTimeTooSkewed"
        if f"Credential={store.access_key()}/" not in self.headers["Authorization"]:
            return "ExpiredToken"
        return None

    def obey(self, key, query, body):
        objects = self.server.store.objects
        if self.command == "PUT":
            self.put(key, body)
        elif self.command == "DELETE":
            objects.pop(key, None)
            self.told(204)
        elif "uploads" in query:
            self.told(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        elif "list-type" in query:
            self.list(query)
        elif key not in objects:
            self.error(404, "NoSuchKey")
        elif self.command == "HEAD":
            self.answer(200, Content_Length=str(len(objects[key])))
        else:
            self.get(objects[key])

    def told(self, status, body=b""):
        """What was done; or it looks as if it was not."""
        if self.fate == "hangs_after":
            time.sleep(HANG_S)
            self.give_up()
        elif self.fate == "closes_after":
            self.give_up()
        elif self.fate == "fails_after":
            self.error(500, "InternalError")
        else:
            self.answer(status, body)

    def put(self, key, body):
        store = self.server.store
        if hashlib.sha256(body).hexdigest() != self.headers["x-amz-content-sha256"]:
            self.error(400, "XAmzContentSHA256Mismatch")
            return
        with store.lock:
            is_taken = self.headers.get("If-None-Match") == "*" and key in store.objects
            if not is_taken:
                store.objects[key] = body
        if is_taken:
            self.error(412, "PreconditionFailed")
        else:
            self.told(200)

    def list(self, query):
        after = query.get("continuation-token") or query.get("start-after") or ""
        most = int(query.get("max-keys", 1000))
        with self.server.store.lock:
            keys = sorted(key for key in self.server.store.objects
                          if key.startswith(query.get("prefix", "")) and key > after)
            rows = "".join(f"<Contents><Key>{urllib.parse.quote(key)}</Key>"
                           f"<Size>{len(self.server.store.objects[key])}</Size></Contents>"
                           for key in keys[:most])
        more = f"<NextContinuationToken>{keys[most - 1]}</NextContinuationToken>" \
            if len(keys) > most else ""
        self.answer(200, f"<ListBucketResult><EncodingType>url</EncodingType>{rows}<IsTruncated>"
                         f"{'true' if more else 'false'}</IsTruncated>{more}</ListBucketResult>"
                    .encode())

    def get(self, whole):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(whole) - 1)
        if asked and first >= len(whole):
            self.error(416, "InvalidRange")
            return
        last = min(last, len(whole) - 1)
        part = whole[first:last + 1]
        headers = {"Content_Length": str(len(part))}
        if self.fate == "ignore_range":
            asked, part, headers = None, whole, {"Content_Length": str(len(whole))}
        if self.fate == "flip" and part:
            at = self.server.store.random.randrange(len(part))
            part = part[:at] + bytes([part[at] ^ 0x10]) + part[at + 1:]
        if self.fate == "shift_bytes":
            part = part[1:] + part[:1]
        if asked:
            by = 1 if self.fate == "shift_range" else 0
            headers["Content_Range"] = f"bytes {first + by}-{last + by}/{len(whole)}"
        if self.fate == "half":
            part = part[:len(part) // 2]
            self.give_up()
        self.answer(206 if asked else 200, part, **headers)

    # --- credentials -----------------------------------------------------------------------------

    def tell_metadata(self, path):
        if self.command == "PUT":
            self.answer(200, b"a-token")
        elif path == ROLES:
            self.answer(200, b"a-role")
        else:
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.server.store.now() + 3600))
            self.answer(200, json.dumps({
                "Code": "Success", "AccessKeyId": self.server.store.access_key(),
                "SecretAccessKey": "of-no-worth-at-all", "Expiration": end}).encode())
