"""Every setting of a run, given in each of the ways there are, is what the run's run.json has."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace.cli.options import named
from tailrace.cli.options import read_config as read_options
from tailrace.control.config import ServiceConfig
from tailrace.control.config_file import read_config as read_file
from tailrace.control.controller import Controller
from tailrace.control.interface import NotAllowedError
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.control.methods import decode, encode
from tailrace.errors import UsageError
from tailrace.load.config import LoadConfig
from tailrace.load.session.plan import read_plan
from tailrace.load.settings import settings_of
from tailrace.runs.directory import RunDirectory
from tests.control.conftest import Room
from tests.kit.waiting import TIMEOUT_S

SETTINGS = settings_of(LoadConfig)

# By field: (as a person writes it on the command line and in a file, the value it has).
GIVEN: dict[str, tuple[Any, Any]] = {
    "profile": ("100..200/60s,50", "100..200/60s,50"),
    "arrivals": ("gamma:2", "gamma:2"),
    "duration_s": ("90s", 90.0),
    "seed": (7, 7),
    "method": ("PUT", "PUT"),
    "body": ("picture", None),
    "order": ("random", "random"),
    "expect_status": ("2xx,304", "2xx,304"),
    "expect_body": (["body contains a, b", "json !error"], ["body contains a, b", "json !error"]),
    "expect_size": ("1..", "1.."),
    "slo": (["p99<100ms", "mean<5ms"], ["p99<100ms", "mean<5ms"]),
    "min_duration_s": ("1m", 60.0),
    "mlperf": (True, True),
    "abort_on": (["failed>50%@10s"], ["failed>50%@10s"]),
    "connections": (77, 77),
    "reuse": ("lifo", "lifo"),
    "keep_alive": (False, False),
    "timeout_s": ("3s", 3.0),
    "connect_timeout_s": ("250ms", 0.25),
    "first_byte_timeout_s": ("1s", 1.0),
    "connect_to": ("127.0.0.1:81", "127.0.0.1:81"),
    "unix_socket": ("socket", None),
    "verify": (False, False),
    "ca_file": ("ca.pem", None),
    "cert_file": ("cert.pem", None),
    "key_file": ("key.pem", None),
    "workers": (2, 2),
    "ray": ("auto", "auto"),
    "part": ("1/4", "1/4"),
    "start_at": ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    "interval_s": ("500ms", 0.5),
    "spin": (True, True),
}
NOT_WRITTEN_DOWN = {"headers": ["X-One: 1", "X-Two: zwei"], "text": "any text"}
FILES = ("picture", "ca.pem", "cert.pem", "key.pem", "socket")
TEXTS = ("text", "seconds", "file")
"""Kinds that the command line has as one text."""
BESIDE = {"key_file": {"cert_file": "cert.pem"}}
"""What a setting needs beside it."""


def test_every_setting_is_tried() -> None:
    assert GIVEN.keys() | NOT_WRITTEN_DOWN.keys() | {"url"} == SETTINGS.keys()
    assert {name for name, each in SETTINGS.items() if each.secret} == NOT_WRITTEN_DOWN.keys()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written_down(config: LoadConfig, folder: Path) -> dict[str, Any]:
    """The run.json of a run with this configuration."""
    path = folder / "run"
    RunDirectory(path, read_plan(config)).close()
    asked = json.loads((path / "run.json").read_text())
    shutil.rmtree(path)
    return {name: asked[name] for name in asked.keys() - {"started", "environment"}}


def by_command_line(given: dict[str, Any], folder: Path) -> LoadConfig:
    flags = {name: True for name, value in given.items() if value is False}
    texts = {
        name: str(value) if name in SETTINGS and SETTINGS[name].kind in TEXTS else value
        for name, value in given.items()
    }
    return read_options(["http://127.0.0.1/"], texts | flags)


def by_file(given: dict[str, Any], folder: Path) -> LoadConfig:
    keys = {SETTINGS[name].key: value for name, value in given.items()}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    file = folder / "tailrace.toml"
    file.write_text('[[service]]\nid = "x"\nurl = "http://127.0.0.1/"\n' + "\n".join(lines))
    (config,) = read_file(file).services
    return config


def by_json(given: dict[str, Any], folder: Path) -> LoadConfig:
    config = ServiceConfig.of("http://127.0.0.1/", id="x", **given)
    return decode(encode(config), ServiceConfig)


@pytest.mark.parametrize("way", [by_command_line, by_file, by_json])
@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_is_what_the_run_says(
    name: str, way: Callable[[dict[str, Any], Path], LoadConfig], folder: Path
) -> None:
    given, value = GIVEN[name]
    asked = written_down(way({name: given} | BESIDE.get(name, {}), folder), folder)
    key = {"slo": "slos"}.get(name, name)
    if value is None:  # a file
        assert (folder / asked[key]).samefile(folder / given)
    else:
        assert asked[key] == value
    assert not NOT_WRITTEN_DOWN.keys() & asked.keys()


async def test_every_setting_comes_through_rest_and_grpc(room: Room, folder: Path) -> None:
    pairs = {name: given for name, (given, _) in GIVEN.items() if name not in ("ray", "connect_to")}
    pairs |= {"headers": NOT_WRITTEN_DOWN["headers"]}
    files = {name: folder / given for name, given in pairs.items() if given in FILES}
    controller = room.controller
    del files["unix_socket"], pairs["unix_socket"]
    config = ServiceConfig.of(f"{room.target} 3:{room.target}", id="x", **(pairs | files))
    expected = written_down(config, folder)
    for address in (room.rest, room.rpc):
        face = tailrace.connect(address)
        await face.add(config)
        assert await face.config("x") == config == await controller.config("x")
        assert written_down(await controller.config("x"), folder) == expected
        await face.remove("x")
        await face.close()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"workers": 0}, "workers: must be 1 to 256, not 0"),
        ({"connections": 1_000_001}, "connections: must be 1 to 1,000,000, not 1,000,001"),
        ({"timeout": "0s"}, "timeout_s: must be 1 ms to 8,760 h, not 0 µs"),
        ({"timeout": float("nan")}, "timeout_s: must be 1 ms to 8,760 h, not nan"),
        ({"reuse": "LIFO"}, "reuse: must be one of spread, fifo, lifo, not 'LIFO'"),
        ({"seed": -1}, "seed: must be 0 to "),
        ({"seed": "one"}, "seed: 'one' is not a whole number"),
        ({"headers": ["nope"]}, "headers: 'nope' is not a header"),
        ({"body": '{"a": 1'}, "body: '{\"a\": 1' is neither a file nor JSON"),
        ({"body": '{"a": 1}', "text": "b"}, "body and text both say the same"),
        ({"rate": 5, "profile": "5"}, "rate and profile both say the rate"),
        ({"rate": "9" * 14}, "rate: '99999999999999' must be at most"),
        ({"spin": "maybe"}, "spin: expected true or false, not 'maybe'"),
        ({"slo": ["p99<1s", 1]}, "slo: expected a string, or several, not an array with 1 in it"),
        (
            {"headers": {"A": 1}},
            (
                "headers: expected a table such as {Accept = 'image/jpeg'}, or lines "
                "'Name: value', not a table with 1 in it"
            ),
        ),
        ({"timeout": -3}, "timeout_s: must be 1 ms to 8,760 h, not -3 s"),
    ],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        LoadConfig.of("http://h/", **wrong)
    assert str(raised.value).startswith(complaint)


WRONG: dict[str, Any] = {
    "profile": "fast",
    "arrivals": "gama:2",
    "duration_s": "soon",
    "seed": "one",
    "body": "absent",
    "order": "any",
    "headers": ["no colon"],
    "expect_status": "1xx",
    "expect_body": ["ok"],
    "expect_size": "big",
    "slo": ["p99"],
    "min_duration_s": "long",
    "abort_on": ["failed"],
    "connections": 0,
    "reuse": "any",
    "timeout_s": "late",
    "connect_timeout_s": "late",
    "first_byte_timeout_s": "late",
    "connect_to": "h",
    "ca_file": "absent",
    "cert_file": "absent",
    "key_file": "absent",
    "workers": 0,
    "ray": "near",
    "part": "1/1",
    "start_at": "noon",
    "interval_s": "short",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_as_it_was_given(name: str, folder: Path) -> None:
    given, each = {name: WRONG[name]}, SETTINGS[name]
    with pytest.raises(UsageError) as raised, named():
        read_plan(by_command_line(given, folder))
    assert str(raised.value).startswith(each.option)
    with pytest.raises(UsageError) as raised:
        by_file(given, folder)
    assert str(raised.value).partition("tailrace.toml: ")[2].startswith(f"service[0].{each.key}")
    with pytest.raises(UsageError) as raised:
        read_plan(by_json(given, folder))
    assert str(raised.value).startswith(name)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rate": "fast"}, "--rate: 'fast' is not a rate"),
        ({"rate": "5", "profile": "5"}, "--rate and --profile both say the rate"),
        ({"scale": 2.0}, "--arrivals: scale and speed belong to a trace"),
        ({"slo": ["p99<15s"], "timeout_s": "10s"}, "--timeout: 10 s is shorter than the bound"),
        ({"key_file": "key.pem"}, "--key needs the certificate"),
    ],
)
def test_what_follows_from_another_option_is_named_as_it_was_given(
    wrong: dict[str, Any], complaint: str, folder: Path
) -> None:
    with pytest.raises(UsageError) as raised, named():
        read_plan(by_command_line(wrong, folder))
    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize("url", [5, ["http://h/", 5]])
def test_a_url_that_is_no_text_is_named(url: Any) -> None:
    with pytest.raises(UsageError, match="url: expected a string, or several, not "):
        LoadConfig.of(url)


def test_numbers_texts_and_lists_say_the_same() -> None:
    config = LoadConfig.of(
        ["3:http://a/", "http://b/"], rate=12.5, duration=30, slo="p99<1s, mean<5ms", workers="2"
    )
    assert config == LoadConfig(
        url="3:http://a/ http://b/",
        profile="12.5",
        duration_s=30.0,
        slo=("p99<1s", "mean<5ms"),
        workers=2,
    )
    with pytest.raises(TypeError, match="no setting 'wrokers'"):
        LoadConfig.of("http://h/", wrokers=2)


@pytest.mark.parametrize(
    "hostile",
    [
        {"url": "http://127.0.0.1/ http://10.1.2.3/"},
        {"url": "3:http://10.1.2.3/"},
        {"connect_to": "10.1.2.3:80"},
        {"metrics_url": "http://10.1.2.3/metrics"},
        {"ray": "10.1.2.3:6379"},
        {"unix_socket": Path("/run/docker.sock")},
        {"unix_socket": Path("allowed/../other.sock")},
        {"body": Path("/etc/passwd")},
        {"ca_file": Path("/etc/passwd")},
        {"cert_file": Path("/etc/passwd")},
        {"cert_file": Path("picture"), "key_file": Path("/etc/passwd")},
        {"key_file": Path("door"), "cert_file": Path("picture")},
        {"profile": "trace(rates.csv)"},
        {"arrivals": "trace:seen.csv"},
    ],
)
async def test_what_leads_elsewhere_is_not_allowed(
    folder: Path, hostile: dict[str, Any], tmp_path: Path
) -> None:
    (folder / "door").symlink_to("/etc/passwd")
    (folder / "rates.csv").write_text("t_s,rate\n0,5\n")
    (folder / "seen.csv").write_text("timestamp\n0\n1\n")
    sockets = str((folder / "allowed").resolve() / "*.sock")
    limits = Limits(allow=(*LOOPBACK, sockets), bodies=folder)
    controller = Controller(limits=limits, runs_dir=tmp_path / "runs")
    fields: dict[str, Any] = {"id": "x", "url": "http://127.0.0.1/"}
    with pytest.raises(NotAllowedError):
        await controller.add(ServiceConfig(**(fields | hostile)))
    # Nor at the start of one that the configuration file has, but for its files.
    places = {"url", "connect_to", "metrics_url", "ray", "unix_socket"}
    if places & hostile.keys():
        trusted = Controller([ServiceConfig(**(fields | hostile))], limits=limits)
        with pytest.raises(NotAllowedError):
            await trusted.start("x")
    assert await controller.list() == []


async def test_a_socket_that_is_allowed(serve: Any, tmp_path: Path) -> None:
    server = serve(path=tmp_path / "service.sock")
    limits = Limits(allow=(str(tmp_path / "*.sock"), *LOOPBACK))
    controller = Controller(limits=limits, interval_s=10, runs_dir=tmp_path / "runs")
    config = ServiceConfig(
        id="x", url="http://localhost/x", unix_socket=tmp_path / "service.sock", interval_s=0.1
    )
    await controller.add(config)
    await controller.start("x")
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("x"):
            if update.point is not None:
                break
    assert update.point.interval_s < 10
    await controller.stop("x")
    await controller.close()
    # Nobody asked the URL's host, where somebody else may answer, for metrics.
    assert server.heads
    assert all(head.startswith(b"GET /x ") for head in server.heads)
