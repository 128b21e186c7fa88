"""Clients that are npm packages: installed once below build/, skipped by name where they cannot be.

A client script finds its packages in $MODULES, the broker in $BROKER, and prints a line a test:
"ok SENTENCE" or "not ok SENTENCE: WHY"."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from scenario import ROOT, say, skip_all

INSTALL_S = 180
CLIENT_S = 120
HERE = Path(__file__).resolve().parent


def node_version():
    out = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout
    return tuple(int(word) for word in re.findall(r"\d+", out)[:3])


def require(package, version, node_min):
    """The directory of the modules, or the end of this scenario with the reason."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            skip_all(f"{program} is not installed")
    if node_version() < node_min:
        skip_all(f"{package} {version} needs Node {'.'.join(map(str, node_min))}")
    place = ROOT / "build/npm" / f"{package.replace('/', '+')}-{version}"
    modules = place / "node_modules"
    if (modules / package).is_dir():
        return modules
    place.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(place),
               f"{package}@{version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, cwd=place)
    except subprocess.TimeoutExpired:
        skip_all(f"npm did not install {package} in {INSTALL_S} s")
    if done.returncode != 0 or not (modules / package).is_dir():
        for line in done.stderr.splitlines()[-5:]:
            say(line)
        skip_all(f"npm could not install {package} {version}")
    return modules


def run_client(s, script, modules, broker):
    """Each line the client prints is a test of the scenario."""
    environment = dict(os.environ, MODULES=str(modules), BROKER=broker)
    try:
        done = subprocess.run(["node", str(HERE / script)], capture_output=True, text=True,
                              timeout=CLIENT_S, env=environment)
        out, err, status = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        out, err, status = (error.stdout or b"").decode(), (error.stderr or b"").decode(), -1
    for line in out.splitlines():
        word = re.match(r"(ok|not ok) (.*)", line)
        if not word:
            say(line)
            continue
        with s.test(word.group(2).split(": ")[0]):
            assert word.group(1) == "ok", word.group(2)
    with s.test(f"{script} came to its end"):
        assert status == 0, f"status {status}: {err[-3000:]}"
