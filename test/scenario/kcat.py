"""kcat, a program of others, as a client."""

import subprocess
import time

TIMEOUT_S = 120
AWAY_S = 30
STILL_S = 60  # an agent that gets no turn; kcat itself waits for metadata for 5 s


class KcatError(AssertionError):
    pass


def kcat(broker, *words, input=None, timeout_s=TIMEOUT_S, stdin=None, stdout=None):
    """Run it to its end; returns what it printed as bytes."""
    command = ["kcat", "-b", broker, *[str(word) for word in words]]
    source = {"input": input} if stdin is None else {"stdin": stdin}
    if stdin is None and input is None:
        source = {"stdin": subprocess.DEVNULL}
    done = subprocess.run(command, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout_s, **source)
    if done.returncode != 0:
        raise KcatError(f"{' '.join(command)} exited with {done.returncode}: "
                        f"{done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def produce(broker, topic, data, *words, **settings):
    return kcat(broker, "-P", "-t", topic, *words, input=data, **settings)


def consume(broker, topic, *words, **settings):
    """Everything there is now."""
    return kcat(broker, "-C", "-t", topic, "-e", "-q", *words, **settings)


def records(broker, topic, *words, **settings):
    """[(partition, offset, key, value)] of everything there is; no tabs or newlines in values.
    kcat gives up at once where nobody listens: an agent closes while control is away for long."""
    end = time.monotonic() + AWAY_S
    while True:
        try:
            out = consume(broker, topic, "-m", STILL_S, "-o", "beginning",
                          "-f", "%p\t%o\t%k\t%s\n", *words, **settings)
            break
        except KcatError as error:
            if "connections are down" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.2)
    rows = [line.split(b"\t") for line in out.splitlines()]
    return [(int(row[0]), int(row[1]), row[2], row[3]) for row in rows]
