"""Whoever reads what a command prints may go away: nothing that was measured goes with it."""

import fcntl
import json
import os
import subprocess
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.streams import Outlet
from tests.kit import cli
from tests.kit.terminal import terminal
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("starts a run each time")

SHORT = ("--rate", "100", "--for", "1s", "--interval", "200ms", "--out", "run")


@pytest.fixture
def no_reader() -> Iterator[int]:
    """The end to write to of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def run_with(*arguments: str, cwd: Path, **streams: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; the last two are empty where they lead elsewhere."""
    finished = cli.run(*arguments, cwd=cwd, **streams)
    return finished.returncode, finished.stdout or "", finished.stderr or ""


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("--version",),
        ("load", "--help"),
        ("models", "list"),
        ("models", "list", "--json"),
        ("models", "show", "shapes"),
        ("data", "generate", "shapes", "drawn", "--count", "1"),
    ],
)
def test_a_reader_that_goes_away_is_no_error(
    command: tuple[str, ...], no_reader: int, tmp_path: Path
) -> None:
    """As `| head -1` does."""
    code, _, err = run_with(*command, cwd=tmp_path, stdout=no_reader)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("command", [("--help",), ("models", "list", "--json")])
def test_a_full_disk_behind_stdout_is_one_line_and_no_success(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = run_with(*command, cwd=tmp_path, stdout=full)
    assert code == 1
    assert err == "tailrace: error: cannot write to stdout: No space left on device\n"


def finished(run: Path) -> dict[str, Any]:
    """The result of a run that came to its end, its timeline whole."""
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    points = [json.loads(line) for line in (run / "timeline.jsonl").read_text().splitlines()]
    assert sum(point["completed"] for point in points) == result["completed"] > 0
    assert result["duration_s"] == 1.0
    return result


def test_a_run_outlasts_the_reader_of_its_stderr(
    serve: Any, no_reader: int, tmp_path: Path
) -> None:
    code, out, _ = run_with("load", serve().url, *SHORT, "--json", cwd=tmp_path, stderr=no_reader)
    assert code == 0
    assert json.loads(out) == finished(tmp_path / "run")


@pytest.mark.smoke
@pytest.mark.parametrize("printed", [(), ("--json",)])
def test_a_run_outlasts_the_reader_of_its_stdout(
    printed: tuple[str, ...], serve: Any, no_reader: int, tmp_path: Path
) -> None:
    arguments = ("load", serve().url, *SHORT, *printed)
    code, _, err = run_with(*arguments, cwd=tmp_path, stdout=no_reader)
    assert code == 0
    assert "Error" not in err
    finished(tmp_path / "run")


def test_a_run_whose_document_has_no_room_is_kept(serve: Any, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = run_with("load", serve().url, *SHORT, "--json", cwd=tmp_path, stdout=full)
    assert code == 1
    assert err.splitlines()[-1].endswith("cannot write to stdout: No space left on device")
    finished(tmp_path / "run")


def test_a_terminal_that_goes_takes_no_result_with_it(serve: Any, tmp_path: Path) -> None:
    """As when ssh loses its connection: a hang-up, and nowhere to print to."""
    with terminal(80) as (ours, theirs):
        process = cli.start(
            "load",
            serve().url,
            "--rate",
            "100",
            "--for",
            "1h",
            "--out",
            "run",
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            text=False,
        )
        os.close(theirs)
        while b"target" not in os.read(ours, 65536):
            pass
    process.wait(TIMEOUT_S)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["ended_by"] == "SIGHUP"
    assert result["completed"] == result["offered"] > 0


def test_what_cannot_be_printed_does_not_end_a_run(serve: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code, out, err = run_with("load", serve().url, *SHORT, cwd=tmp_path, env=environment)
    assert code == 0, err
    assert "send lag p50" in out
    finished(tmp_path / "run")


def test_closed_streams_are_not_taken_for_a_run_s_files(serve: Any, tmp_path: Path) -> None:
    command = cli.command("load", serve().url, *SHORT)
    script = 'exec 0<&- 1>&- 2>&-; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *command], cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    finished(tmp_path / "run")


@pytest.mark.smoke
def test_all_is_written_to_a_descriptor_that_does_not_block() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sent = os.urandom(1_000_000)

    def read() -> bytes:
        with os.fdopen(reader, "rb") as source:
            return source.read()

    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(read)
        outlet, left = Outlet(writer), memoryview(sent)
        while left:
            left = left[outlet.write(left) :]
        os.close(writer)
        assert received.result(10) == sent
    assert outlet.error is None
