"""What single requests take of the service's own time, under load."""

import http.client
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.serving.queueing import Floats

_WAITING = frozenset({"receive", "queue", "batch-wait", "send", "total"})
"""Entries of Server-Timing in which no inference thread is at work."""
_CLIENTS = 32


def service_times_s(url: str, intended_s: Floats, directory: Path) -> Floats:
    """Sends pictures at these instants; the stages of each that occupy an inference thread, s.

    In the order of the instants, float64 [n]. `tailrace load` keeps histograms of each stage, but
    not which of them belong together.
    """
    pictures = [file.read_bytes() for file in sorted(directory.iterdir())]
    found = np.zeros(len(intended_s))
    turn = iter(range(len(intended_s)))
    lock = threading.Lock()
    target = urlsplit(url)
    began_s = time.monotonic()

    def client() -> None:
        connection = http.client.HTTPConnection(target.netloc, timeout=60)
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                break
            time.sleep(max(0.0, began_s + intended_s[number] - time.monotonic()))
            connection.request("POST", target.path, pictures[number % len(pictures)])
            answer = connection.getresponse()
            answer.read()
            found[number] = _at_work_s(answer.headers.get("Server-Timing", ""))
        connection.close()

    clients = [threading.Thread(target=client, daemon=True) for _ in range(_CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return found


def _at_work_s(server_timing: str) -> float:
    entries: Sequence[tuple[str, str, str]] = [
        entry.strip().partition(";dur=") for entry in server_timing.split(",")
    ]
    return sum(float(ms) for stage, _, ms in entries if ms and stage not in _WAITING) / 1000
