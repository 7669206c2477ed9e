"""Programs that go on until they are ended, and print lines meanwhile: `tailrace serve`, `tailrace
dashboard`, and any other.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.cli import command
from tests.kit.waiting import TIMEOUT_S, wait_until


class Program:
    """A command that was started, and what it says on the stream that is a pipe: `stdout=PIPE` or
    `stderr=PIPE`. Settings are those of `subprocess.Popen`.
    """

    def __init__(self, words: Sequence[str], **settings: Any) -> None:
        self.process = subprocess.Popen(words, text=True, **settings)
        self.heard: list[str] = []
        self.lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = self.process.stdout or self.process.stderr
        assert stream is not None
        with stream:
            for line in stream:
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line, from where the last call stopped, in which `pattern` is found."""
        while (line := self.lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was never said, but {self.heard}")

    def rest(self) -> list[str]:
        """What it says, from where the last call stopped, until it says no more."""
        begun = len(self.heard)
        while (line := self.lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
        return self.heard[begun:]

    def end(self, number: int = signal.SIGINT) -> list[str]:
        """Send the signal, wait for the process, and give every line that it ever said."""
        self.process.send_signal(number)
        self.process.wait(TIMEOUT_S)
        self.rest()
        return self.heard

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def workers(self) -> list[int]:
        """Process ids of its children."""
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def close(self) -> None:
        """End it, whatever it takes."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(TIMEOUT_S)
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT_S)


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


def _environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "TAILRACE_TOKEN"} | more


class ServerProcess(Program):
    """A running `tailrace serve`, and what it has said on stderr."""

    def __init__(
        self, *arguments: str, token: str | None = None, within: Sequence[Path] = ()
    ) -> None:
        self.url = ""
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        super().__init__(
            command("serve", *arguments),
            stderr=subprocess.PIPE,
            env=_environment(**({} if token is None else {"TAILRACE_TOKEN": token})),
            preexec_fn=functools.partial(_enter, within) if within else None,
        )

    def start(self) -> Self:
        """Waits until it serves and is ready."""
        self.url = self.expect(r"^tailrace: serving .* on (http://\S+)$")[1]
        self.expect(r"^tailrace: ready$")
        return self

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def scrape(self) -> Scrape:
        """`/metrics`, from whichever worker answers."""
        answer = httpx.get(f"{self.url}/metrics", headers=self._headers, timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        return Scrape(answer.text)

    def scrape_until(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """The first `/metrics` of which `condition` holds."""
        return wait_until(lambda: scrape if condition(scrape := self.scrape()) else None)


class ControlRoom(Program):
    """A running `tailrace dashboard`, and what it has said on either stream."""

    def __init__(self, cwd: Path, *arguments: str, **settings: Any) -> None:
        self.url = self.rpc = ""
        super().__init__(
            command("dashboard", *arguments),
            cwd=cwd,
            env=_environment(**settings.pop("environment", {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **settings,
        )

    def ready(self) -> Self:
        """Wait for the addresses of page and gRPC."""
        self.url = self.expect(r"^  dashboard  (\S+)$")[1]
        self.rpc = self.expect(r"^  gRPC       (\S+)$")[1]
        return self

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """What REST answers below `/api`; an HTTP error is raised."""
        answer = httpx.request(method, f"{self.url}/api{path}", timeout=TIMEOUT_S, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None


LaunchServer = Callable[..., ServerProcess]
"""Type of the fixture `launch`."""
LaunchRoom = Callable[..., ControlRoom]
"""Type of the fixture `control_room`."""
