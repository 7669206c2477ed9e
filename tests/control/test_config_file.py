"""tailrace.toml: what it says is done; what cannot be used is told by line and reason."""

import random
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.control.certificate import Certificate
from tailrace.control.config import ServiceConfig
from tailrace.control.config_file import RoomConfig, read_config
from tailrace.control.limits import Limits
from tailrace.control.service import prepare
from tailrace.control.toml_lines import line_of
from tailrace.errors import UsageError

FULL = """\
# A control room with two services.
[room]
host = "127.0.0.1"
port = 8081
rpc_port = 2223
window = 30
interval = "500ms"
runs = "results"
allow = [
  "10.0.0.0/8",
  "*.lab",
]
max_rate = "50k/s"
bodies = "pictures"
tls_cert = "room.pem"
tls_key = "room.key"

[[service]]
id = "triton"
url = "http://10.0.0.5:8000/v2/models/ssd/infer"
name = "SSD on Triton"
method = "PUT"
headers = {Accept = "application/json", X-Run = "7"}
body = "pictures"
arrivals = "gamma:2"
profile = [
  {kind = "ramp", from = 100, to = "1000/s", over = "60s"},  # up
  {kind = "burst", base = 100, peak = 1000, every = "30s", peak_for = "2s", for = "10m"},
  {kind = "constant", rate = 200},
]
for = "20m"
slo = ["p99<100ms", "mean<20ms"]
seed = 7
workers = 2
ray = "10.0.0.7:6379"
connections = 512
reuse = "lifo"
timeout = 2.5
min_duration = "1m"
verify = false
ca_file = "ca.pem"
metrics_url = "http://10.0.0.5:8002/metrics"
start = true

[[service]]
id = "echo"
url = "http://10.0.0.6/"
text = "{{counter}}"
slo = "p99<10ms"
profile = 12.5
metrics_url = ""
"""


def write_config(directory: Path, text: str) -> Path:
    path = directory / "tailrace.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that FULL names."""
    directory = tmp_path_factory.mktemp("room")
    for name in ("room.pem", "room.key", "pictures", "ca.pem"):
        (directory / name).touch()
    return directory


def test_every_key(room: Path) -> None:
    assert read_config(write_config(room, FULL)) == RoomConfig(
        host="127.0.0.1",
        port=8081,
        rpc_port=2223,
        window=30,
        interval_s=0.5,
        runs=room / "results",
        limits=Limits(("10.0.0.0/8", "*.lab"), 50_000.0, room / "pictures"),
        tls=Certificate(room / "room.pem", room / "room.key"),
        services=(
            ServiceConfig(
                id="triton",
                url="http://10.0.0.5:8000/v2/models/ssd/infer",
                name="SSD on Triton",
                method="PUT",
                headers={"Accept": "application/json", "X-Run": "7"},
                body=room / "pictures",
                arrivals="gamma:2",
                profile="100..1000/60s,burst(base=100,peak=1000,every=30s,for=2s)@600s,200",
                duration_s=1200.0,
                slo=("p99<100ms", "mean<20ms"),
                seed=7,
                workers=2,
                ray="10.0.0.7:6379",
                connections=512,
                reuse="lifo",
                timeout_s=2.5,
                min_duration_s=60.0,
                verify=False,
                ca_file=room / "ca.pem",
                metrics_url="http://10.0.0.5:8002/metrics",
            ),
            ServiceConfig(
                id="echo",
                url="http://10.0.0.6/",
                text="{{counter}}",
                slo=("p99<10ms",),
                profile="12.5",
                metrics_url="",
            ),
        ),
        start=("triton",),
    )


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_config(write_config(tmp_path, "")) == RoomConfig(runs=tmp_path / "runs")


def test_all_services_can_be_started_at_once_but_one(tmp_path: Path) -> None:
    services = "".join(
        f'[[service]]\nid = "{name}"\nurl = "http://h/"\n{more}\n'
        for name, more in (("a", ""), ("b", "start = false"), ("c", "start = true"))
    )
    path = write_config(tmp_path, f"room = {{start = true, rpc_port = false}}\n{services}")
    config = read_config(path)
    assert config.start == ("a", "c")
    assert config.rpc_port is None


def test_traces_are_found_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rates.csv").write_text("t_s,rate\n0,10\n5,20\n")
    (tmp_path / "b (2).csv").write_text("t_s,rate\n0,40\n5,20\n")
    (tmp_path / "seen.csv").write_text("timestamp\n0.0\n0.5\n0.75\n")
    path = write_config(
        tmp_path,
        """
        [[service]]
        id = "a"
        url = "http://h/"
        profile = "5@1s,trace(rates.csv,scale=2)@10s,trace(\\"b (2).csv\\")"
        arrivals = "trace:seen.csv?scale=2"
        [[service]]
        id = "b"
        url = "http://h/"
        profile = {kind = "trace", file = "rates.csv"}
        """,
    )
    for place in (tmp_path.parent, tmp_path):
        monkeypatch.chdir(place)
        a, b = read_config(path).services
        assert a.profile == (
            f'5@1s,trace("{tmp_path}/rates.csv",scale=2)@10s,trace("{tmp_path}/b (2).csv")'
        )
        assert a.arrivals == f"trace:{tmp_path}/seen.csv?scale=2"
        assert b.profile == f"trace({tmp_path}/rates.csv)"


SERVICE = '[[service]]\nid = "a"\nurl = "http://h/"\n'


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[rom]\nport = 1", 1, "unknown key 'rom': did you mean room?"),
        ("[room]\nprot = 1", 2, "unknown key 'prot': did you mean port?"),
        ("[room]\nwindowSize = 60", 2, "unknown key 'windowSize': did you mean window?"),
        ("[room]\nrmiPort = 2222", 2, "unknown key 'rmiPort': did you mean rpc_port?"),
        ("[room]\nfrequency = 1", 2, "unknown key 'frequency': there are host, port,"),
        (SERVICE + "slo = 'p99<100'", 4, "slo: 'p99<100': the bound has no unit"),
        (SERVICE + "slo = ['p99<1s', 'p0<1s']", 4, "slo: 'p0<1s': a percentile is"),
        (SERVICE + "slo = 'max<15s'\ntimeout = '3s'", 1, "the timeout of 3 s is shorter than"),
        ("[room]\n\nport = '8080'", 3, "port: expected a whole number from 0 to 65535, not '8080'"),
        ("[room]\nport = 80.0", 2, "port: expected a whole number from 0 to 65535, not 80.0"),
        ("[room]\nport = true", 2, "port: expected a whole number from 0 to 65535, not true"),
        ("[room]\nport = 70000", 2, "port: expected a whole number from 0 to 65535, not 70000"),
        ("[room]\nport = 0x" + "f" * 9999, 2, "port: expected a whole number from 0 to 65535"),
        ("[room]\nrpc_port = true", 2, "rpc_port: expected a whole number"),
        ("[room]\nwindow = 0", 2, "window: expected a whole number from 1 to 3600, not 0"),
        ("[room]\ninterval = 'soon'", 2, "interval: 'soon' is not a duration"),
        ("[room]\ninterval = '1ms'", 2, "interval: expected a duration from 0.1 s"),
        ("[room]\ninterval = nan", 2, "interval: expected a duration from 0.1 s"),
        ("[room]\ninterval = 07:32:00", 2, "interval: expected a duration, not 07:32:00"),
        ("[room]\nmax_rate = 0", 2, "max_rate: expected a rate above 0"),
        ("[room]\nmax_rate = 'fast'", 2, "max_rate: 'fast' is not a rate"),
        ("[room]\nallow = [\n'10.0.0.0/8',\n3]", 2, "allow: expected a string, not 3"),
        ("[room]\nhost = []", 2, "host: expected a string, not an array"),
        ("[room]\nhost = ''", 2, "host: expected a string, not ''"),
        ('[room]\nruns = "a\\u0000b"', 2, "runs: a path has no zero byte"),
        ("[room]\nport = 1\ntls_key = '.'", 3, "TLS needs both, tls_cert and tls_key"),
        ("room = 3", 1, "room is a table: write [room] above its keys"),
        ("[service]\nid = 'a'", 1, "service is a list: write [[service]] above each one's keys"),
        ("service = ['a']", 1, "service is a list"),
        ("\n[[service]]\nid = 'a'", 2, "this service has no url"),
        ("\n[[service]]\nurl = 'http://h/'", 2, "this service has no id"),
        (SERVICE + "rate = 5", 4, "unknown key 'rate': did you mean profile?"),
        (SERVICE + "arival = 'poisson'", 4, "unknown key 'arival': did you mean arrivals?"),
        (SERVICE + "arrivals = 'poison'", 4, "arrivals: unknown arrivals 'poison': did you mean"),
        (SERVICE + "profile = '100..'", 4, ": profile '100..': the ramp needs an end"),
        (SERVICE + "profile = [\n3,\n]", 4, ": profile: expected a table"),
        (
            SERVICE
            + "profile = [\n {kind = 'constant', rate = 1, for = '1s'},\n {kind = 'up'},\n]",
            4,
            "profile, part 2: there is no profile 'up'",
        ),
        (SERVICE + "profile = 'trace(rates.csv)'", 4, "rates.csv"),
        (SERVICE + "slo = ['p99<1s',\n 'quick']", 4, "slo: 'quick' is not an SLO"),
        (SERVICE + "headers = {A = 3}", 4, "headers: expected a string, not 3"),
        (SERVICE + 'headers = {A = "b\\nc: d"}', 4, "is not a header"),
        (SERVICE + "headers = ['A: b']", 4, "headers: expected a table"),
        (SERVICE + "for = 0", 4, "for: expected a duration from 0.001 s"),
        (SERVICE + "start = 'yes'", 4, "start: expected true or false, not 'yes'"),
        (SERVICE + "text = 't'\nbody = '.'", 4, "body and text both say what to send"),
        (SERVICE + "body = 'absent.jpg'", 4, "absent.jpg: No such file"),
        (SERVICE + f"body = '{'x' * 999}'", 4, "xxx: File name too long"),
        (SERVICE + "ray = 'far'", 1, "service 'a': ray: a Ray cluster is auto or HOST:PORT"),
        (SERVICE + 'reuse = "random"', 1, "reuse: must be one of spread, fifo, lifo"),
        (SERVICE + "workers = 4\nconnections = 2", 1, "service 'a': connections: 2 are fewer"),
        (SERVICE + "method = 'G T'", 1, "service 'a': 'G T' is not an HTTP method"),
        ("[[service]]\nid = 'a b'\nurl = 'http://h/'", 1, "'a b' cannot be an id"),
        ("[[service]]\nid = 'a'\nurl = 'h:80'", 3, "url: 'h:80' is not a URL to load"),
        (SERVICE + SERVICE, 5, "a second service has the id 'a'"),
        (SERVICE + "metrics_url = 'no'", 4, "metrics_url: 'no' is not a URL"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        read_config(path)
    message = str(raised.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[room]\nport = ", "line 2, the last one"),
        ("[room\nport = 1", "line 1, column 6"),
        ("[room]\nport = 1\nport = 2\n", "line 3, column 9"),
        ('[room]\nhost = """\n', "line 2, the last one"),
    ],
)
def test_what_is_not_toml(tmp_path: Path, text: str, where: str) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        read_config(path)
    assert str(raised.value).startswith(f"{path}, {where}: ")


def test_what_is_no_text_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.toml"
    with pytest.raises(UsageError, match=r"cannot read .*tailrace.toml: No such file"):
        read_config(path)
    path.write_bytes(b"[room]\nhost = '\xff'")
    with pytest.raises(UsageError, match="not UTF-8 text: byte 16"):
        read_config(path)
    with pytest.raises(UsageError, match=r"is a directory, not a regular file"):
        read_config(tmp_path)
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match="brackets in brackets"):
        read_config(path)
    path.write_text("a = " + "9" * 100_000)
    with pytest.raises(UsageError, match="one of its numbers: Exceeds the limit"):
        read_config(path)


def test_the_line_of_every_key_of_a_file() -> None:
    """Compared with where the key's name stands in a file whose names tell them apart."""
    lines = FULL.splitlines()
    seconds = lines.index("[[service]]", lines.index("[[service]]") + 1)

    def expected(name: str, first: int, last: int) -> int:
        return next(n for n in range(first, last) if lines[n].startswith(f"{name} = ")) + 1

    document = tomllib.loads(FULL)
    for key in document["room"]:
        assert line_of(FULL, ("room", key)) == expected(key, 0, seconds)
    start = lines.index("[[service]]")
    for number, (first, last) in enumerate([(start, seconds), (seconds, len(lines))]):
        assert line_of(FULL, ("service", number)) == first + 1
        for key in document["service"][number]:
            assert line_of(FULL, ("service", number, key)) == expected(key, first, last)
    # Within a statement of several lines: where that begins.
    assert line_of(FULL, ("service", 0, "profile", 2, "rate")) == expected("profile", 0, seconds)
    assert line_of(FULL.replace("\n", "\r\n"), ("room", "tls_key")) == expected("tls_key", 0, 20)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), cuts=st.integers(1, 6))
def test_mutilated_files_are_refused_in_one_line_or_read(room: Path, seed: int, cuts: int) -> None:
    draw = random.Random(seed)
    text = FULL
    for _ in range(cuts):
        at = draw.randrange(len(text))
        match draw.randrange(5):
            case 0:
                text = text[:at] + text[at + draw.randrange(1, 40) :]
            case 1:
                text = text[:at] + draw.choice("[]{}=\"',.\n#0-\\\t\0é٣") + text[at:]
            case 2:
                lines = text.split("\n")
                draw.shuffle(lines)
                text = "\n".join(lines)
            case 3:
                values = [
                    "true",
                    "-1",
                    "nan",
                    "[]",
                    "{}",
                    "''",
                    "1e400",
                    "'a'",
                    "1979-05-27",
                    "[[]]",
                ]
                lines = text.split("\n")
                number = draw.randrange(len(lines))
                key = lines[number].partition("=")[0]
                lines[number] = f"{key} = {draw.choice(values)}"
                text = "\n".join(lines)
            case _:
                text = text[:at] + text[draw.randrange(len(text)) :][:30] + text[at:]
    path = write_config(room, text)
    try:
        read = read_config(path)
    except UsageError as error:
        message = str(error)
    else:
        message = f"{path}, {read.port}"
    assert message.startswith((f"{path}, ", f"{path} is not TOML"))
    assert "\n" not in message


def test_a_length_is_held_against_the_body_alone(tmp_path: Path) -> None:
    (tmp_path / "body").write_text("abc")
    (tmp_path / "tailrace.toml").write_text(
        '[[service]]\nid = "a"\nurl = "http://h"\nbody = "body"\nheaders = {Content-Length = "3"}\n'
    )
    (config,) = read_config(tmp_path / "tailrace.toml").services
    prepare(config)
    with pytest.raises(UsageError, match="Content-Length 4 contradicts"):
        prepare(msgspec.structs.replace(config, headers={"content-length": "4"}))
