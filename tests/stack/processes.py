"""Programs that a test starts, and waits for."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_ports(count):
    """Ports on loopback that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(command, log, **options):
    """A program, ended with its children when the block is left."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=options.pop("stdout", output), stderr=output, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        # Its session is its own, so this reaches what it started, and nothing else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(timeout=10)


def until(what, condition, seconds=60):
    """What the condition gives as soon as it gives something; fails with `what` after that time."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"after {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.1)


def answers(url):
    """A condition: something answers at the address, whatever it says."""

    def condition():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    return condition
