"""`tailrace load` as its user meets it: exit codes, streams, one-line errors."""

import asyncio
import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit import cli
from tests.kit.server import answer_after, answer_by, http
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("starts a run each time")

broken = answer_by(lambda number: http(b"", 500 if number % 2 else 200))
"""Half of all answers are errors."""


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing argument"),
        (("localhost",), "is not a URL to load"),
        (("ftp://localhost/",), "is not a URL to load"),
        (("9" * 20 + ":http://h/",), "the weight of h must be more than 0 and at most 1e12"),
        (("http://h/", "--rate", "fast"), "error: --rate: 'fast' is not a rate"),
        (("http://h/", "--rate", "-3"), "is not a rate"),
        (("http://h/", "--profile", "1,2"), "needs a length"),
        (("http://h/", "--arrivals", "bursty"), "unknown arrivals 'bursty'"),
        (("http://h/", "--for", "ever"), "'ever' is not a duration"),
        (("http://h/", "--for", "0s"), "--for: must be 1 ms to 8,760 h, not 0 µs"),
        (("http://h/", "--for", "99999d"), "--for: '99999d' must be at most 1e9 s"),
        (("http://h/", "--samples", "s.txt"), "raw samples go to a .parquet or .csv file"),
        (("http://h/", "--samples-share", "0.1"), "--samples-share needs --samples"),
        (("http://h/", "--interval", "0.1ns"), "--interval: must be 1 ms to"),
        (("http://h/", "--timeout", "0.1ns"), "--timeout: must be 1 ms to"),
        (("http://h/", "--min-duration", "9" * 99 + "h"), "must be at most 1e9 s"),
        (("http://h/", "--rate", "9" * 400), "must be at most 1e12 a second"),
        (("http://h/", "--seed", str(2**64)), "--seed"),
        (("http://h/", "--part", "0/" + "9" * 30), "is no part"),
        (("http://h/", "--slo", "fast"), "'fast' is not an SLO"),
        (("http://h/", "--slo", "p99<100"), "the bound has no unit"),
        (("http://h/", "--slo", "p99<15s", "--timeout", "10s"), "--timeout: 10 s is shorter"),
        (("http://h/", "--abort-on", "failed>50%"), "'failed>50%' does not say when to give up"),
        (("http://h/", "--body", "absent.jpg"), "cannot read the body absent.jpg"),
        (("http://h/", "--header", "nope"), "is not a header"),
        (("http://h/", "--body", '{"a":1'), "is neither a file nor JSON"),
        (("http://h/", "--body", "/dev/zero"), "it is a device"),
        (("http://h/", "--body", "x", "--data", "y"), "give one of them"),
        (("http://h/", "--data", "@x.json"), "write --body x.json"),
        (("http://h/", "--header", "Transfer-Encoding: chunked"), "cannot be given"),
        (("https://h/", "--key", __file__), "needs the certificate"),
        (("https://h/", "--cert", "absent.pem"), "--cert: there is no file absent.pem"),
        (("https://h/", "--cacert", "/dev/zero"), "--cacert: there is no file /dev/zero"),
        (("http://h/", "--arrivals", "trace:/dev/zero"), "it is no file"),
        (("http://h/", "--connect-to", "h"), "write HOST:PORT"),
        (("http://h/", "--connect-to", "h:1", "--unix-socket", "s"), "give one"),
        (("http://h/", "--method", "G T"), "is not an HTTP method"),
        (("http://h/", "--workers", "0"), "--workers"),
        (
            ("http://h/", "--workers", "4", "--connections", "2"),
            "--connections: 2 are fewer than the 4",
        ),
        (("http://h/", "--part", "8/8"), "'8/8' is no part"),
        (("http://h/", "--part", "-1/8"), "'-1/8' is no part"),
        (("http://h/", "--start-at", "noon"), "'noon' is no time with its zone"),
        (("http://h/", "--start-at", "2026-11-26T22:00:00"), "is no time with its zone"),
        (("http://h/", "--start-at", "2020-01-01T00:00:00Z"), "s ago"),
        (("http://h/", "--start-at", "2299-01-01T00:00:00Z"), "more than a year ahead"),
        (("http://h/", "--nope"), "No such option"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    finished = cli.run_here("load", *arguments, cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith("tailrace: error: ")
    assert complaint in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.smoke
def test_a_summary_for_people(serve: Any, tmp_path: Path) -> None:
    finished = cli.run("load", serve().url, "--rate", "50", "--for", "1s", cwd=tmp_path)
    assert finished.returncode == 0
    for word in ("latency", "p99.9", "failures: none", "send lag", "verdict: INVALID", "run: runs"):
        assert word in finished.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "result.json").exists()


@pytest.mark.smoke
def test_a_broken_slo_exits_1(serve: Any, tmp_path: Path) -> None:
    finished = cli.run(
        "load", serve().url, "--rate", "50", "--for", "1s", "--slo", "p99<1us", cwd=tmp_path
    )
    assert finished.returncode == 1
    assert "SLO p99<1us: broken" in finished.stdout


HALF_A_SECOND = answer_after(0.5)
"""Beside it a busy machine's lateness is small."""
SOUND = r"verdict: (VALID|INVALID\n  - the generator was late[^\n]*)\n"
"""What a short run of a healthy service is, unless others have the generator's core."""


@pytest.mark.smoke
def test_a_short_run_of_a_healthy_service_is_valid(serve: Any, tmp_path: Path) -> None:
    """Nobody is told of ten minutes, nor of a p99 that he did not ask for."""
    finished = cli.run(
        *("load", serve(HALF_A_SECOND).url, "--rate", "20", "--for", "1s"),
        *("--junit", "j.xml"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stdout
    assert "95 % intervals: too short to tell" in finished.stdout
    assert re.search(SOUND + "run: .*\nreport: .*$", finished.stdout)
    assert "MLPerf" not in finished.stdout
    # Skipped is what a late generator leaves open.
    assert 'failures="0" errors="0"' in (tmp_path / "j.xml").read_text()


KEPT = ("--rate", "50", "--for", "90s", "--slo", "p90<5s")
TOO_SHORT = ("--rate", "100", "--for", "2s", "--slo", "p99<5s")
BROKEN = ("--rate", "100", "--for", "3s", "--slo", "p99<1us")


@pytest.mark.parametrize(
    ("given", "outcome", "code", "strict_code"),
    [
        pytest.param(
            KEPT, "kept", 0, 0, marks=pytest.mark.alone("a run of 90 s, of its own variation")
        ),
        (TOO_SHORT, "undecided", 0, 1),
        (BROKEN, "broken", 1, 1),
    ],
)
def test_an_slo_is_kept_broken_or_not_decided_yet(
    serve: Any, tmp_path: Path, given: tuple[str, ...], outcome: str, code: int, strict_code: int
) -> None:
    load = ("load", serve(HALF_A_SECOND).url, *given, "--out", "r")
    finished = cli.run(*load, "--strict", cwd=tmp_path)
    assert finished.returncode == strict_code, finished.stdout
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    (decision,) = result["decisions"].values()
    assert decision["outcome"] == outcome
    # Broken is not INVALID, and neither is too short; who else has the core is another matter.
    assert not [each for each in result["verdict"]["reasons"] if "generator was late" not in each]
    assert result["mlperf"] is None
    (line,) = (line for line in finished.stdout.splitlines() if line.startswith("SLO "))
    word = {"undecided": "not decided yet"}.get(outcome, outcome)
    assert line.startswith(f"SLO {given[-1]}: {word}: ")
    assert (decision["needed_s"] is not None) == (outcome == "undecided")
    assert bool(re.search(r" s more (would|may) decide it", line)) == (outcome == "undecided")
    if code != strict_code:
        assert cli.run(*load[:-2], cwd=tmp_path).returncode == code


def test_a_run_without_a_request_decides_nothing(tmp_path: Path) -> None:
    nothing = ("--rate", "0", "--for", "500ms", "--slo", "p99<100ms")
    finished = cli.run("load", "http://127.0.0.1:9/", *nothing, cwd=tmp_path)
    assert "SLO p99<100ms: not decided yet: " in finished.stdout
    assert "no request came to its end" in finished.stdout
    assert "verdict: INVALID\n  - no request was answered" in finished.stdout
    assert finished.returncode == 1


def test_mlperf_is_asked_for_by_name(serve: Any, tmp_path: Path) -> None:
    load = ("load", serve(HALF_A_SECOND).url, "--rate", "20", "--for", "1s", "--mlperf")
    finished = cli.run(*load, "--out", "r", cwd=tmp_path)
    assert finished.returncode == 0
    assert re.search(SOUND + "MLPerf: not official\n", finished.stdout)
    assert "  - it ran 1 s, less than" in finished.stdout
    mlperf = json.loads((tmp_path / "r" / "result.json").read_text())["mlperf"]
    assert not mlperf["official"]
    assert all(f"  - {reason}" in finished.stdout for reason in mlperf["reasons"])
    assert cli.run(*load, "--strict", cwd=tmp_path).returncode == 1


def test_a_run_shorter_than_its_least_duration_is_invalid(serve: Any, tmp_path: Path) -> None:
    load = ("load", serve(HALF_A_SECOND).url, "--rate", "20", "--for", "1s", "--min-duration")
    assert "less than" not in cli.run(*load, "1s", cwd=tmp_path).stdout
    finished = cli.run(*load, "2s", "--strict", cwd=tmp_path)
    assert finished.returncode == 1
    assert "verdict: INVALID\n  - it ran 1 s, less than the minimum of 2 s" in finished.stdout
    assert "MLPerf" not in finished.stdout


@pytest.mark.smoke
def test_a_dead_server_is_a_result_not_a_crash(tmp_path: Path) -> None:
    finished = cli.run("load", "http://127.0.0.1:9/", "--rate", "50", "--for", "1s", cwd=tmp_path)
    assert finished.returncode == 1
    assert "tailrace: error: no request was answered: " in finished.stderr
    assert "connect: refused" in finished.stderr.splitlines()[-1]
    assert "connect" in finished.stdout
    assert "no request was answered" in finished.stdout


def test_a_run_that_is_hopeless_gives_up(serve: Any, tmp_path: Path) -> None:
    finished = cli.run(
        *("load", serve(broken).url, "--rate", "100", "--for", "1h", "--interval", "100ms"),
        *("--abort-on", "failed>40%@1s", "--json", "--junit", "j.xml"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    result = json.loads(finished.stdout)
    assert result["ended_by"] == "abort-on"
    assert 0.8 < result["duration_s"] < 20
    assert any("failed>40%@1s: " in reason for reason in result["verdict"]["reasons"])
    assert 'name="ran to its end"' in (tmp_path / "j.xml").read_text()


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("number", "judged", "code"),
    [
        (signal.SIGINT, (), 0),
        (signal.SIGINT, ("--slo", "p99<1m"), 130),
        (signal.SIGTERM, ("--slo", "p50<1us"), 143),
        (signal.SIGTERM, ("--strict", "--min-duration", "0s"), 143),
        (signal.SIGHUP, ("--slo", "p99<1m"), 129),
    ],
)
def test_a_run_that_a_signal_cut_short_says_so(
    serve: Any, tmp_path: Path, number: signal.Signals, judged: tuple[str, ...], code: int
) -> None:
    process = cli.start(
        *("load", serve().url, "--rate", "200", "--for"),
        *("60s", "--interval", "100ms", "--out", "r", *judged),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    while "RPS" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, err
    assert f"it was cut short by {number.name} after" in out
    assert json.loads((tmp_path / "r" / "result.json").read_text())["ended_by"] == number.name


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_run_that_waits_for_its_start_is_ended_at_once(
    serve: Any, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    server = serve()
    start = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    process = cli.start(
        *("load", server.url, "--start-at", start),
        *("--workers", "2", "--out", "r", "--json"),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("waiting for 20")
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, err
    result = json.loads(out)
    assert result == json.loads((tmp_path / "r" / "result.json").read_text())
    assert (result["ended_by"], result["offered"], result["duration_s"]) == (number.name, 0, 0.0)
    assert not result["verdict"]["valid"]
    assert server.connections == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_a_whole_group_is_the_command_s_alone(
    serve: Any, tmp_path: Path, number: signal.Signals
) -> None:
    """As a terminal sends it that goes, or `timeout`: more than once, and to load workers too."""
    process = cli.start(
        *("load", serve().url, "--rate", "200", "--for"),
        *("60s", "--interval", "100ms", "--out", "r", "--json"),
        cwd=tmp_path,
        start_new_session=True,
    )
    assert process.stderr is not None
    while "RPS" not in (line := process.stderr.readline()):
        assert line
    os.killpg(process.pid, number)
    if number == signal.SIGHUP:
        os.killpg(process.pid, number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    result = json.loads(out)
    assert (result["ended_by"], result["failed"]) == (number.name, {})
    assert result["completed"] == result["offered"] > 0
    assert "died" not in err


@pytest.mark.smoke
@pytest.mark.parametrize("command", [(), ("demo",), ("serve",), ("load",), ("data", "generate")])
def test_every_command_has_help_with_an_example(tmp_path: Path, command: tuple[str, ...]) -> None:
    finished = cli.run_here(*command, "--help", cwd=tmp_path)
    assert finished.returncode == 0
    assert "Usage: tailrace" in finished.stdout
    assert "Example: tailrace" in finished.stdout or "Start here: tailrace" in finished.stdout


def test_a_trace_is_replayed_as_recorded(serve: Any, tmp_path: Path) -> None:
    times = [number / 40 for number in range(60)]
    (tmp_path / "trace.csv").write_text("\n".join(f"{time:.3f}" for time in times))
    server = serve()
    finished = cli.run("load", server.url, "--arrivals", "trace:trace.csv", "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert result["completed"] == len(server.arrived_ns) == pytest.approx(60, abs=1)
    assert result["duration_s"] == pytest.approx(1.5, abs=0.1)


def test_a_profile_with_a_ramp(serve: Any, tmp_path: Path) -> None:
    server = serve()
    finished = cli.run(
        *("load", server.url, "--arrivals", "constant", "--profile", "50..250/2s", "--for", "2s"),
        "--json",
        cwd=tmp_path,
    )
    result = json.loads(finished.stdout)
    assert result["completed"] == pytest.approx(300, abs=2)
    arrived = sorted(server.arrived_ns)
    halves = sum(time < arrived[0] + 1_000_000_000 for time in arrived)
    assert halves == pytest.approx(100, rel=0.15)


def test_what_a_server_calls_its_stages_is_text(serve: Any, tmp_path: Path) -> None:
    """In the terminal, in JUnit and in Markdown."""
    name = "[/red] <b>|:100: é"

    async def timed(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"Server-Timing: %b;dur=1\r\n\r\nok" % name.encode()
        )

    url = serve(timed).url
    arguments = ("--rate", "200", "--for", "1s", "--out", "r", "--junit", "j.xml")
    finished = cli.run("load", url, *arguments, "--markdown", "s.md", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert f"\n  {name} " in finished.stdout
    for file in ("j.xml", "s.md"):
        assert "tailrace load" in (tmp_path / file).read_text()
    assert set(json.loads((tmp_path / "r/result.json").read_text())["stages_ms"]) == {name}
    report = cli.run("report", "r", "--out", "r.html", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    page = (tmp_path / "r.html").read_text()
    assert "[/red] &lt;b&gt;|:100: é" in page
    assert "[/red] <b>" not in page.partition("</style>")[2].partition("<script")[0]


def test_credentials_in_a_url_are_sent_and_written_nowhere(serve: Any, tmp_path: Path) -> None:
    server = serve()
    url = server.url.replace("//", "//user:s3cret@")
    finished = cli.run(
        *("load", url, f"2:{url}", "--rate", "50", "--for", "1s", "--out", "run"),
        *("--junit", "junit.xml", "--markdown", "summary.md"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0
    report = cli.run("report", "run", cwd=tmp_path)
    basic = b"Authorization: Basic dXNlcjpzM2NyZXQ="
    assert len(server.heads) > 20
    assert all(basic in head for head in server.heads)
    said = [finished.stdout, finished.stderr, report.stdout, report.stderr]
    said += [file.read_text() for file in tmp_path.rglob("*.*") if file.is_file()]
    assert sum(server.url in text for text in said) >= 4
    assert not any("s3cret" in text or "user:" in text for text in said)


@pytest.mark.parametrize(
    ("option", "text", "kind"),
    [
        ("--body", '{"a":1}', "application/json"),
        ("--data", '[{"id": {{counter}}}]', "application/json"),
        ("--data", "a=1&b=2", "text/plain; charset=utf-8"),
    ],
)
def test_a_body_on_the_command_line(
    serve: Any, tmp_path: Path, option: str, text: str, kind: str
) -> None:
    server = serve()
    finished = cli.run(
        "load", server.url, option, text, "--rate", "20", "--for", "0.5s", cwd=tmp_path
    )
    assert finished.returncode == 0
    assert set(server.bodies) <= {
        text.replace("{{counter}}", str(number)).encode() for number in range(50)
    }
    assert all(
        head.startswith(b"POST ") and f"Content-Type: {kind}\r\n".encode() in head
        for head in server.heads
    )


def test_a_folder_of_pictures_is_sent_and_what_is_left_out_is_said(
    serve: Any, tmp_path: Path
) -> None:
    for name in ("val2017/1.jpg", "val2017/2.jpg", "annotations/instances.json"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_text(name)
    server = serve()
    finished = cli.run(
        *("load", server.url, "--body", "pictures/", "--rate", "50", "--for", "0.5s"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0
    assert set(server.bodies) == {b"val2017/1.jpg", b"val2017/2.jpg"}
    note = "tailrace: note: left out of pictures: annotations/instances.json; it has pictures"
    assert note in finished.stderr


@pytest.mark.parametrize(
    "option",
    [("--out", "r\udcff"), ("--arrivals", "trace:r\udcff.csv"), ("--json", "--out=\udcfe")],
)
def test_a_name_that_no_file_of_a_run_could_hold(
    serve: Any, tmp_path: Path, option: tuple[str, str]
) -> None:
    (tmp_path / "r\udcff.csv").write_text("0.1\n0.2\n")
    finished = cli.run("load", serve().url, "--for", "1s", *option, cwd=tmp_path)
    (line,) = finished.stderr.splitlines()
    assert finished.returncode == 1
    assert "is not UTF-8: no file of a run could name it" in line
