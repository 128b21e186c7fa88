#!/usr/bin/env python3
# /metrics, /readyz and /livez: what clients did is what is counted, and a dead process is missing
# and takes nothing away.

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import kcat
from node import free_port
from scenario import ROOT, Scenario, Skip, wait_until

RECORDS = 1234
COME_BACK_S = 10
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ROLES = ("control", "streams")


def get(port, path, accept="*/*"):
    """Status, type and text."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


# --- a strict reader of the text format -----------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def read(text):
    """{name and labels: value}; whatever the format forbids is an error."""
    samples, families, family, kind = {}, set(), None, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families, f"{family} comes twice"
            families.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in SUFFIXES, line
            assert (kind == "counter") == name.endswith("_total"), line
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line}"
            assert match[1] in [family + suffix for suffix in SUFFIXES[kind]], line
            key = (match[1], frozenset(re.findall(LABEL, match[2] or "")))
            assert key not in samples, f"{line} comes twice"
            samples[key] = float(match[7])
    check_histograms(samples)
    return samples


def check_histograms(samples):
    rows = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            limit = dict(labels)["le"]
            others = frozenset(pair for pair in labels if pair[0] != "le")
            rows.setdefault((name[:-7], others), []).append((float(limit), value))
    assert rows
    for (name, labels), row in rows.items():
        row.sort()
        values = [value for _, value in row]
        assert values == sorted(values), f"{name} does not rise"
        assert row[-1] == (float("inf"), samples[name + "_count", labels]), name


def value_of(samples, name, **labels):
    return samples[name, frozenset(labels.items())]


def numbers(port):
    status, kind, text = get(port, "/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind)
    return read(text)


def wait_right(check, what):
    """A process that is slow is missing in one answer, and there in a later one."""
    wait_until(lambda: check() is None, COME_BACK_S, what)


def need_promtool():
    if not shutil.which("promtool"):
        raise Skip("promtool is not installed (Debian: prometheus)")


with Scenario() as s:
    port = free_port()
    node = s.node(metrics=f"127.0.0.1:{port}")
    node.start()
    wait_until(lambda: get(port, "/readyz")[0] == 200, 10, "the node is ready")

    with s.test("what a client wrote and read is what is counted"):
        kcat.produce(node.address, "counted", b"".join(b"line %d\n" % i for i in range(RECORDS)))
        text = kcat.consume(node.address, "counted")
        assert text.count(b"\n") == RECORDS

        def is_counted():
            now = numbers(port)
            assert value_of(now, "hanse_topic_produced_records_total", topic="counted") == RECORDS
            assert value_of(now, "hanse_topic_fetched_bytes_total", topic="counted") >= len(text)
            assert value_of(now, "hanse_kafka_requests_total", api="Produce") >= 1
            assert value_of(now, "hanse_kafka_request_duration_seconds_count", api="Fetch") >= 1
            assert value_of(now, "hanse_journal_leading", role="control") == 1
            assert value_of(now, "hanse_catalog_rows", table="topics") == 1
            assert value_of(now, "hanse_file_put_duration_seconds_count") >= 1
            files = sum(n for (name, _), n in now.items() if name == "hanse_files")
            waiting = sum(n for (name, _), n in now.items()
                          if name == "hanse_compaction_waiting_runs")
            assert waiting == files >= 1, (waiting, files)  # one partition: a run in each
            assert value_of(now, "hanse_compaction_running_jobs", kind="merge") == 0
            assert value_of(now, "hanse_files_dead_bytes") == 0
            for role in (*ROLES, "metrics"):
                assert value_of(now, "process_resident_memory_bytes", role=role) > 1 << 20
        wait_right(is_counted, "it is counted")

    with s.test("the lag of a group is what it has not read"):
        subprocess.run([node.program, "group", "reset", "readers", "--topic", "counted", "--to",
                        "1000", "--execute", "--kafka", node.address], check=True,
                       capture_output=True, timeout=60)
        lag = {"group": "readers", "topic": "counted"}
        wait_until(lambda: value_of(numbers(port), "hanse_consumer_group_lag_records", **lag)
                   == RECORDS - 1000, COME_BACK_S, "the lag is right")

    with s.test("promtool finds nothing wrong with the numbers"):
        need_promtool()
        done = subprocess.run(["promtool", "check", "metrics"], text=True, check=False,
                              input=get(port, "/metrics")[2], capture_output=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr

    with s.test("promtool takes the configuration and the rules in doc/prometheus"):
        need_promtool()
        done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], text=True,
                              cwd=ROOT / "doc/prometheus", check=False, capture_output=True,
                              timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr

    with s.test("rules for alerts use names that there are"):
        rules = (ROOT / "doc/prometheus/alerts.yml").read_text()
        used = set(re.findall(r"\b((?:hanse|process)_[a-z_]+)\b", rules))

        def are_there():
            there = {name for name, _ in numbers(port)}
            assert used and used <= there, used - there
        wait_right(are_there, "they are there")

    with s.test("Prometheus' own parser reads OpenMetrics"):
        status, kind, text = get(port, "/metrics", OPENMETRICS)
        assert status == 200 and kind.startswith("application/openmetrics-text"), kind
        assert text.endswith("\n# EOF\n")
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            raise Skip("python3-prometheus-client is not installed")
        names = {family.name for family in parser.text_string_to_metric_families(text)}
        assert "hanse_kafka_requests" in names

    with s.test("/readyz tells each check, and can be asked for one"):
        def are_told():
            status, _, text = get(port, "/readyz?verbose")
            assert status == 200 and text.endswith("readyz check passed\n"), text
            for check in ("control", "control/journal", "streams", "streams/kafka",
                          "streams/bucket"):
                assert f"[+]{check} ok\n" in text, text
            assert get(port, "/readyz/streams/kafka")[::2] == (200, "ok")
            assert get(port, "/readyz/nothing")[0] == 404
            assert get(port, "/livez")[::2] == (200, "ok")
            assert get(port, "/other")[0] == 404
        wait_right(are_told, "each is told")

    with s.test("hanse top tells a script the same, and draws it in a terminal"):
        words = [node.program, "top", "--metrics", f"127.0.0.1:{port}"]

        def is_told():
            done = subprocess.run([*words, "--json"], check=True, capture_output=True, timeout=60)
            told = json.loads(done.stdout)["nodes"][0]
            assert {role["role"]: role["up"] for role in told["roles"]} == \
                {"control": True, "streams": True, "metrics": True}
            assert told["journal"]["leads"] == 1 and told["catalog"]["topics"] == 1, told
            assert told["compaction"]["level_0_waiting_runs"] == told["catalog"]["level_0_files"]
            assert told["groups"][0]["lag_records"] == RECORDS - 1000, told
        wait_right(is_told, "it is told")
        done = subprocess.run(words, check=True, capture_output=True, timeout=60, text=True)
        assert "produce" in done.stdout and "\x1b" not in done.stdout
        ours, its = pty.openpty()
        live = s.spawn(*words, stdin=its, stdout=its, stderr=its,
                       env=dict(node.environment, NO_COLOR="1"))
        os.close(its)
        drawn = b""
        while b"catalog" not in drawn:
            drawn += os.read(ours, 65536)
        os.write(ours, b"q")
        assert live.wait(60) == 0
        os.close(ours)
        assert b"\x1b[7m" not in drawn  # NO_COLOR
        gone = subprocess.run([node.program, "top", "--metrics", f"127.0.0.1:{free_port()}"],
                              check=False, capture_output=True, timeout=60)
        assert gone.returncode == 4 and b"no numbers at" in gone.stderr, gone.stderr

    with s.test("who asks all at once gets one page, and nobody is sent away"):
        with ThreadPoolExecutor(40) as at_once:
            pages = list(at_once.map(lambda _: get(port, "/metrics"), range(40)))
        assert [status for status, _, _ in pages] == 40 * [200], pages
        assert len({text for _, _, text in pages}) < 20

    with s.test("a process that stands still is missing, and nothing else"):
        def is_missing():
            with ThreadPoolExecutor() as at_once:  # each waits 3 s for it
                ready = at_once.submit(get, port, "/readyz")
                excluded = at_once.submit(get, port, "/readyz?exclude=streams")
                alive = at_once.submit(get, port, "/livez")
                now = numbers(port)
            assert value_of(now, "hanse_role_up", role="streams") == 0
            assert value_of(now, "hanse_role_up", role="control") == 1
            assert value_of(now, "hanse_journal_committed_index", role="control") > 0
            assert ("process_open_fds", frozenset([("role", "streams")])) not in now
            status, _, text = ready.result()
            assert status == 503 and "[-]streams failed: " in text, text
            assert "[+]control ok\n" in text
            assert excluded.result()[0] == alive.result()[0] == 200

        pid = node.role_pid("streams")
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_right(is_missing, "it is missing")
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: get(port, "/readyz")[0] == 200, COME_BACK_S, "it goes on")

    with s.test("a process that is killed comes back into the numbers"):
        for role in ROLES:
            pid = node.role_pid(role)
            before = wait_until(lambda: value_of(numbers(port), "process_start_time_seconds",
                                                 role=role), COME_BACK_S, "it counts")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: value_of(numbers(port), "process_start_time_seconds", role=role)
                       > before, COME_BACK_S, f"{role} counts again")
            wait_until(lambda: get(port, "/readyz")[0] == 200, COME_BACK_S, "the node is ready")
        kcat.produce(node.address, "counted", b"one more\n")
        wait_until(lambda: value_of(numbers(port), "hanse_topic_produced_records_total",
                                    topic="counted") == 1, COME_BACK_S, "it is counted")

    with s.test("garbage at the port harms nobody"):
        random = s.seed()
        for _ in range(200):
            head = random.choice([b"", b"GET ", b"GET /metrics HTTP/1.1\r\n", b"POST /livez "])
            with socket.create_connection(("127.0.0.1", port), 10) as c:
                c.sendall(head + random.randbytes(random.randrange(1, 3000)))
        wait_until(lambda: get(port, "/readyz")[0] == 200, COME_BACK_S, "it answers")

    with s.test("a taken port is said, and taken once it is free"):
        second_port = free_port()
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", second_port))
            holder.listen()
            other = s.node("b", metrics=f"127.0.0.1:{second_port}",
                           bucket=f"file:{s.scratch}/other")
            other.start()
            wait_until(lambda: any("no /metrics" in line for line in other.log_lines()),
                       COME_BACK_S, "it is said")
        wait_until(lambda: get(second_port, "/readyz")[0] == 200, COME_BACK_S, "it is taken")
