import json
from pathlib import Path

import msgspec
import pytest

from tailrace.runs.directory import RunDirectory
from tests.kit import cli
from tests.kit.plans import make_plan
from tests.kit.samples import POINT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two runs below runs/, interrupted after 20 intervals."""
    for name in ("one", "two"):
        plan = make_plan("http://127.0.0.1:9/", "50", duration_s=None, slo="p99<1s")
        directory = RunDirectory(tmp_path / "runs" / name, plan)
        directory.close()
        points = [
            msgspec.structs.replace(POINT, index=n, t_s=n + 1.0, wall_time=1000.0 + n)
            for n in range(20)
        ]
        lines = b"".join(msgspec.json.encode(point) + b"\n" for point in points)
        (directory.path / "timeline.jsonl").write_bytes(lines)
    return tmp_path


def test_one_run_leaves_its_report_in_its_directory(folder: Path) -> None:
    done = cli.run_here("report", "one", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs/one/report.html\n"
    page = (folder / "runs/one/report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert f"{len(page.encode()) / 1e6:.2f} MB" in done.stderr


def test_no_link_in_a_run_is_written_through(folder: Path) -> None:
    (folder / "precious").write_text("mine")
    (folder / "runs/one/report.html").symlink_to(folder / "precious")
    assert cli.run_here("report", "one", cwd=folder).returncode == 0
    assert (folder / "precious").read_text() == "mine"
    assert (folder / "runs/one/report.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_broken_run_is_told_and_reported_as_far_as_it_goes(folder: Path) -> None:
    (folder / "runs/one/result.json").write_bytes(b'{"a":' * 50_000)
    done = cli.run_here("report", "one", cwd=folder)
    assert done.returncode == 0, done.stderr
    line = "one is broken: result.json cannot be read: it nests too deeply"
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    page = (folder / "runs/one/report.html").read_text("utf-8")
    assert "result.json cannot be read" in page


def test_several_runs_are_compared_in_a_file_named_by_them(folder: Path) -> None:
    done = cli.run_here("report", "one", "runs/two", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "report-one-two.html").exists()
    document = json.loads(done.stdout)
    assert [run["info"]["name"] for run in document["runs"]] == ["one", "two"]
    assert document["comparisons"][0]["other"] == "two"


def test_the_file_can_be_chosen(folder: Path) -> None:
    assert cli.run_here("report", "one", "--out", "x.html", cwd=folder).stdout == "x.html\n"
    assert (folder / "x.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["nothing"], 2, "there is no run nothing: give a run's directory"),
        (["runs"], 2, "there is no run runs"),
        ([], 2, "Missing argument"),
        (["one", "--out", "no/such/folder.html"], 1, "cannot write no/such/folder.html"),
        (["one"] * 9, 2, "9 runs are too many"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    folder: Path, arguments: list[str], code: int, complaint: str
) -> None:
    done = cli.run_here("report", *arguments, cwd=folder)
    assert done.returncode == code
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
