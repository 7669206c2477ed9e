"""`tailrace serve` in a process of its own, and what it says."""

from __future__ import annotations

import functools
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 60.0


class Scrape:
    """What `/metrics` said once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample."""
        return self._values[name, frozenset(labels.items())]

    def outcomes(self, model: str) -> dict[str, int]:
        """Requests by how they ended, where there were any."""
        family = self.families["tailrace_requests"]
        return {
            sample.labels["outcome"]: int(sample.value)
            for sample in family.samples
            if sample.labels["model"] == model and sample.value
        }


def _enter(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text("0")


class ServerProcess:
    """A running `tailrace serve`, and what it has said on stderr."""

    def __init__(
        self, *arguments: str, token: str | None = None, within: Sequence[Path] = ()
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "TAILRACE_TOKEN"}
        if token is not None:
            environment["TAILRACE_TOKEN"] = token
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "serve", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=functools.partial(_enter, within) if within else None,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.heard: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line, from where the last call stopped, in which `pattern` is found."""
        while (line := self.lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was never said, but {self.heard}")

    def start(self) -> ServerProcess:
        """Waits until it serves and is ready."""
        self.url = self.expect(r"^tailrace: serving .* on (http://\S+)$")[1]
        self.expect(r"^tailrace: ready$")
        return self

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def scrape(self) -> Scrape:
        """`/metrics`, from whichever worker answers."""
        answer = httpx.get(f"{self.url}/metrics", timeout=TIMEOUT_S)
        assert answer.status_code == 200
        return Scrape(answer.text)

    def scrape_until(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """The first `/metrics` of which `condition` holds."""
        ends_s = time.monotonic() + TIMEOUT_S
        while not condition(scrape := self.scrape()):
            assert time.monotonic() < ends_s, scrape.text
        return scrape

    def workers(self) -> list[int]:
        """Process ids of its children."""
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(TIMEOUT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
