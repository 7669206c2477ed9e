"""`tailrace dashboard` in a process of its own; a test module that names this one in
`pytest_plugins` has the fixture `control_room`.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

TIMEOUT_S = 60.0

Launch = Callable[..., "ControlRoom"]


class ControlRoom:
    """A control room that was started, and what it says on either stream."""

    def __init__(self, cwd: Path, *arguments: str, **options: Any) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "TAILRACE_TOKEN"}
        environment.update(options.pop("environment", {}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "dashboard", *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self.heard: list[str] = []
        self.url = self.rpc = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line, from where the last call stopped, in which `pattern` is found."""
        while (line := self._lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was never said, but {self.heard}")

    def ready(self) -> "ControlRoom":
        """Wait for the addresses of page and gRPC."""
        self.url = self.expect(r"^  dashboard  (\S+)$")[1]
        self.rpc = self.expect(r"^  gRPC       (\S+)$")[1]
        return self

    def end(self, number: int = signal.SIGINT) -> list[str]:
        """Send the signal, wait for the process, and give every line that it ever said."""
        self.process.send_signal(number)
        self.process.wait(TIMEOUT_S)
        while (line := self._lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
        return self.heard

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """What REST answers below `/api`; an HTTP error is raised."""
        answer = httpx.request(method, f"{self.url}/api{path}", timeout=TIMEOUT_S, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture
def control_room(tmp_path: Path) -> Iterator[Launch]:
    """Starts control rooms in the test's folder, on free ports unless told others."""
    rooms: list[ControlRoom] = []

    def launch(*arguments: str, cwd: Path = tmp_path, **options: Any) -> ControlRoom:
        for option in ("--port", "--rpc-port"):
            if option not in arguments and "--config" not in arguments:
                arguments += (option, "0")
        rooms.append(ControlRoom(cwd, *arguments, **options))
        return rooms[-1]

    yield launch
    for room in rooms:
        if room.process.poll() is None:
            room.process.kill()
        room.process.wait(TIMEOUT_S)
