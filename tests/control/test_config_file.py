"""tailrace.toml: what it says is done; what cannot be used is told by line and reason."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.control.config import ServiceConfig
from tailrace.control.config_file import RoomConfig, read_config
from tailrace.control.limits import Limits
from tailrace.errors import UsageError
from tailrace.load.session.plan import read_plan
from tailrace.net import Certificate

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
profile = "100..1000/60s,burst(base=100,peak=1000,every=30s,for=2s)@600s,200"
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
        allow=("10.0.0.0/8", "*.lab"),
        max_rate_per_s=50_000.0,
        bodies=room / "pictures",
        tls_cert=room / "room.pem",
        tls_key=room / "room.key",
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


def test_limits_and_tls_follow(room: Path) -> None:
    config = read_config(write_config(room, FULL))
    assert config.limits == Limits(("10.0.0.0/8", "*.lab"), 50_000.0, room / "pictures")
    assert config.tls == Certificate(room / "room.pem", room / "room.key")
    assert RoomConfig().tls is None


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
        """,
    )
    for place in (tmp_path.parent, tmp_path):
        monkeypatch.chdir(place)
        (a,) = read_config(path).services
        assert a.profile == (
            f'5@1s,trace({tmp_path}/rates.csv,scale=2)@10s,trace("{tmp_path}/b (2).csv")'
        )
        assert a.arrivals == f"trace:{tmp_path}/seen.csv?scale=2"


SERVICE = '[[service]]\nid = "a"\nurl = "http://h/"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[rom]\nport = 1", "unknown key 'rom': did you mean room?"),
        ("[room]\nprot = 1", "room: unknown key 'prot': did you mean port?"),
        ("[room]\nwindowSize = 60", "room: unknown key 'windowSize': did you mean window?"),
        ("[room]\nrmiPort = 2222", "room: unknown key 'rmiPort': did you mean rpc_port?"),
        ("[room]\nfrequency = 1", "room: unknown key 'frequency': there are host, port, rpc_port,"),
        (
            SERVICE + "slo = 'p99<100'",
            "service[0].slo: 'p99<100': the bound has no unit: write p99<10",
        ),
        (
            SERVICE + "slo = ['p99<1s', 'p0<1s']",
            "service[0].slo: 'p0<1s': a percentile is 0.001 to 99.9999999, ",
        ),
        (
            SERVICE + "slo = 'max<15s'\ntimeout = '3s'",
            "service[0].timeout: 3 s is shorter than the bound of ma",
        ),
        ("[room]\nport = 80.0", "room.port: expected a whole number, not 80.0"),
        ("[room]\nport = true", "room.port: expected a whole number, not true"),
        ("[room]\nport = 70000", "room.port: must be 0 to 65,535, not 70,000"),
        (
            "[room]\nport = 0x" + "f" * 9999,
            "room.port: must be 0 to 65,535, not a number beyond 64 bits",
        ),
        ("[room]\nrpc_port = true", "room.rpc_port: expected a whole number, not true"),
        ("[room]\nwindow = 0", "room.window: must be 1 to 3,600, not 0"),
        (
            "[room]\ninterval = 'soon'",
            "room.interval: 'soon' is not a duration: write 30s, 250ms, 5m ",
        ),
        ("[room]\ninterval = '1ms'", "room.interval: must be 100 ms to 60 min, not 1 ms"),
        ("[room]\ninterval = nan", "room.interval: must be 100 ms to 60 min, not nan"),
        ("[room]\ninterval = 07:32:00", "room.interval: expected a duration, as 30s, not 07:32:00"),
        ("[room]\nmax_rate = 0", "room.max_rate: must be more than 0 to 1e+12, not 0"),
        (
            "[room]\nmax_rate = 'fast'",
            "room.max_rate: 'fast' is not a rate: write 200, 200/s or 12k/m",
        ),
        (
            "[room]\nallow = [\n'10.0.0.0/8',\n3]",
            "room.allow: expected a string, or several, not an array",
        ),
        ("[room]\nallow = '10.0.0.0/99'", "room.allow: '10.0.0.0/99' is no network"),
        ("[room]\nhost = []", "room.host: expected a string, not an array"),
        ("[room]\nhost = ''", "room.host: expected an address, not an empty string"),
        ('[room]\nruns = "a\\u0000b"', "room.runs: expected a path, not 'a\\x00b'"),
        ("[room]\nport = 1\ntls_key = '.'", "room: TLS needs both, tls_cert and tls_key"),
        ("room = 3", "room is a table: write [room] above its keys"),
        ("[service]\nid = 'a'", "service is a list: write [[service]] above each one's keys"),
        ("service = ['a']", "service is a list: write [[service]] above each one's keys"),
        ("\n[[service]]\nid = 'a'", "service[0].url is missing"),
        ("\n[[service]]\nurl = 'http://h/'", "service[0].id is missing"),
        (SERVICE + "rate = 5", "service[0]: unknown key 'rate': did you mean profile?"),
        (
            SERVICE + "arival = 'poisson'",
            "service[0]: unknown key 'arival': did you mean arrivals?",
        ),
        (
            SERVICE + "arrivals = 'poison'",
            "service[0].arrivals: unknown arrivals 'poison': did you mean p",
        ),
        (
            SERVICE + "profile = '100..'",
            "service[0].profile: profile '100..': the ramp needs an end and",
        ),
        (SERVICE + "profile = [\n3,\n]", "service[0].profile: expected a string, not an array"),
        (
            SERVICE + "profile = 'trace(rates.csv)'",
            "service[0].profile: profile 'trace(rates.csv)': trace 'rates.c",
        ),
        (
            SERVICE + "slo = ['p99<1s',\n 'quick']",
            "service[0].slo: 'quick' is not an SLO: write p99<100ms, p99.9<",
        ),
        (
            SERVICE + "headers = {A = 3}",
            "service[0].headers: expected a table such as {Accept = 'image/",
        ),
        (SERVICE + "for = 0", "service[0].for: must be 1 ms to 8,760 h, not 0 µs"),
        (SERVICE + "start = 'yes'", "service[0].start: expected true or false, not 'yes'"),
        (
            SERVICE + "text = 't'\nbody = '.'",
            "service[0].body and text both say the same: give one of them",
        ),
        (
            SERVICE + "body = 'absent.jpg'",
            "service[0].body: cannot read absent.jpg: No such file or direc",
        ),
        (SERVICE + f"body = '{'x' * 999}'", "service[0].body: cannot read "),
        (SERVICE + "ray = 'far'", "service[0].ray: a Ray cluster is auto or HOST:PORT of its head"),
        (
            SERVICE + 'reuse = "random"',
            "service[0].reuse: must be one of spread, fifo, lifo, not 'rand",
        ),
        (
            SERVICE + "workers = 4\nconnections = 2",
            "service[0].connections: 2 are fewer than the 4 load workers",
        ),
        (SERVICE + "method = 'G T'", "service[0]: 'G T' is not an HTTP method"),
        (
            "[[service]]\nid = 'a b'\nurl = 'http://h/'",
            "service[0].id: must be up to 64 letters, digits, ",
        ),
        (
            "[[service]]\nid = 'a'\nurl = 'h:80'",
            "service[0]: 'h:80' is not a URL to load: write http://HOST[:PO",
        ),
        (SERVICE + SERVICE, "service[1].id: a second service has the id 'a'"),
        (
            SERVICE + "metrics_url = 'no'",
            "service[0]: 'no' is not a URL to load: write http://HOST[:PORT",
        ),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        read_config(path)
    message = str(raised.value)
    assert message.replace(f"{tmp_path}/", "").startswith(f"tailrace.toml: {reason}")
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


@settings(max_examples=150, deadline=None)
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
    assert message.startswith((f"{path}, ", f"{path}: ", f"{path} is not TOML"))
    assert "\n" not in message


def test_a_length_is_held_against_the_body_alone(tmp_path: Path) -> None:
    (tmp_path / "body").write_text("abc")
    (tmp_path / "tailrace.toml").write_text(
        '[[service]]\nid = "a"\nurl = "http://h"\nbody = "body"\nheaders = {Content-Length = "3"}\n'
    )
    (config,) = read_config(tmp_path / "tailrace.toml").services
    read_plan(config)
    with pytest.raises(UsageError, match="Content-Length 4 contradicts"):
        read_plan(msgspec.structs.replace(config, headers={"content-length": "4"}))
