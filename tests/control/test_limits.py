"""Where load may go, how much of it, and which files may be sent."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.control.interface import NotAllowedError
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.errors import UsageError
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import parse_profile

LAB = Limits(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "*.lab", "triton", "web-?.example.org"))


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/",
        "https://10.255.255.255:8443/a?b",
        "http://192.0.2.7:8000/",
        "http://[2001:db8::1]/",
        "http://[2001:0DB8:0:0::5]:8000/",
        "http://[::ffff:10.1.2.3]/",
        "http://[::ffff:0a01:0203]/",
        "http://gpu.lab/",
        "http://a.b.lab:5000/predict",
        "http://GPU.Lab/",
        "http://gpu.lab./",
        "http://triton:8000/v2",
        "http://TRITON./",
        "http://web-1.example.org/",
        "http://user:password@gpu.lab/",
        "http://192.0.2.99@10.1.2.3/",
        # Other notations of addresses, as the resolver reads them.
        "http://167838211/",
        "http://012.1.2.3/",
        "http://0x0a.1.2.3/",
        "http://10.66051/",
    ],
)
async def test_listed_targets_are_allowed(url: str) -> None:
    await LAB.check_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://11.0.0.1/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[2001:db9::1]/",
        "http://[::ffff:11.0.0.1]/",
        "http://192.0.2.8/",
        "http://10.1.2.3@192.0.2.8/",
        "http://gpu.lab@192.0.2.8/",
        "http://gpu.lab:80@192.0.2.8:80/",
        "http://192.0.2.8/gpu.lab",
        "http://192.0.2.8?gpu.lab",
        "http://192.0.2.8#.lab",
        "http://192.0.2.8:80#@gpu.lab/",
        "http://3221225992/",
        "http://0300.0.2.8/",
        "http://0xc0.0.2.8/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.1/",
    ],
)
async def test_other_targets_are_refused(url: str) -> None:
    with pytest.raises(NotAllowedError, match=r"add '.+' under `allow`"):
        await LAB.check_target(url)


@pytest.mark.parametrize("host", ["lab", "gpu.lab.invalid", "web-12.invalid", "xlab"])
async def test_a_name_without_an_address_is_refused(host: str) -> None:
    with pytest.raises(NotAllowedError, match="no address"):
        await LAB.check_target(f"http://{host}/")


async def test_the_refusal_names_the_entry_that_would_allow_it() -> None:
    with pytest.raises(NotAllowedError) as refused:
        await Limits(("10.0.0.0/8",)).check_target("http://LOCALHOST:80/")
    assert "add 'localhost' under" in str(refused.value)
    for url in ("http://192.0.2.8/", "http://[::ffff:192.0.2.8]/", "http://3221225992/"):
        with pytest.raises(NotAllowedError) as refused:
            await LAB.check_target(url)
        entry = str(refused.value).split("'")[1]
        await Limits((entry,)).check_target(url)


async def test_a_name_is_allowed_where_all_its_addresses_are() -> None:
    await Limits(("127.0.0.0/8", "::1")).check_target("http://localhost/")
    await Limits(("localhost",)).check_target("http://localhost/")


async def test_loopback_alone() -> None:
    limits = Limits(LOOPBACK)
    for host in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"):
        await limits.check_target(f"http://{host}:5000/")
    for host in ("10.0.0.1", "0.0.0.0", "[fe80::1]", "128.0.0.1"):
        with pytest.raises(NotAllowedError):
            await limits.check_target(f"http://{host}:5000/")


async def test_a_name_beyond_ascii_is_the_one_that_is_looked_up() -> None:
    for entry in ("bücher.lab", "BÜCHER.lab", "xn--bcher-kva.lab", "*.lab"):
        await Limits((entry,)).check_target("http://bücher.lab/")
        await Limits((entry,)).check_target("http://xn--bcher-kva.lab/")
    with pytest.raises(NotAllowedError):
        await Limits(("bucher.lab",)).check_target("http://bücher.lab/")


async def test_no_list_allows_everything_and_an_empty_one_nothing() -> None:
    await Limits().check_target("http://192.0.2.8/")
    await Limits(("*",)).check_target("http://192.0.2.8/")
    with pytest.raises(NotAllowedError):
        await Limits(()).check_target("http://127.0.0.1/")


@pytest.mark.parametrize("url", ["ftp://gpu.lab/", "gpu.lab", "http://", "http://[::1/", ""])
async def test_what_is_no_url_is_refused_as_such(url: str) -> None:
    for limits in (LAB, Limits()):
        with pytest.raises(UsageError):
            await limits.check_target(url)


@given(st.ip_addresses(v=4))
async def test_an_address_is_allowed_just_where_its_network_is(address: object) -> None:
    first = int(str(address).split(".")[0])
    limits = Limits((f"{first}.0.0.0/8",))
    await limits.check_target(f"http://{address}/")
    await limits.check_target(f"http://[::ffff:{address}]/")
    with pytest.raises(NotAllowedError):
        await Limits((f"{(first + 1) % 256}.0.0.0/8",)).check_target(f"http://{address}/")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "10.0.0.5/8",
        "10.0.0.0/33",
        "300.1.1.1",
        "10.*",
        "*.1",
        "0x7f.1",
        "http://gpu.lab",
        "gpu.lab:80",
        "gpu.lab/",
        "a b",
        "a..b",
        "[a-z].lab",
        "::1::",
        "bü cher.lab",
    ],
)
def test_an_entry_that_cannot_be_meant_is_named(entry: str) -> None:
    with pytest.raises(UsageError) as refused:
        Limits((*LOOPBACK, entry))
    assert repr(entry) in str(refused.value)


def test_the_cap_holds_for_the_highest_rate_of_a_profile() -> None:
    limits = Limits(max_rate_per_s=500)
    for text in ("500", "0", "100..500/60s,100", "sine(mean=300,amp=200,period=60s)"):
        limits.check_profile(parse_profile(text))
    for text in (
        "501",
        "100..501/60s,100",
        "100@1h,600",
        "sine(mean=300,amp=201,period=60s)",
        "burst(base=10,peak=501,every=60s,for=1s)",
    ):
        with pytest.raises(NotAllowedError, match=r"cap of 500$"):
            limits.check_profile(parse_profile(text))
    Limits().check_profile(parse_profile("1000000"))
    with pytest.raises(NotAllowedError, match=r"^1,000,000.5 .* 1,000,000$"):
        Limits(max_rate_per_s=1e6).check_profile(parse_profile("1000000.5"))


@pytest.mark.parametrize("cap", [-1.0, float("nan"), float("inf")])
def test_a_cap_that_is_no_rate_is_refused(cap: float) -> None:
    with pytest.raises(UsageError, match="cap"):
        Limits(max_rate_per_s=cap)


def test_files_lie_below_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = tmp_path / "bodies"
    (bodies / "below").mkdir(parents=True)
    (tmp_path / "bodies-too").mkdir()
    (tmp_path / "secret").write_text("")
    (bodies / "picture").write_text("")
    (bodies / "out").symlink_to(tmp_path / "secret")
    (bodies / "in").symlink_to(bodies / "picture")
    (tmp_path / "door").symlink_to(bodies)
    limits = Limits(bodies=bodies)
    for path in (bodies, bodies / "picture", bodies / "below", bodies / "in", bodies / "new"):
        limits.check_file(path)
    limits.check_file(bodies / "below" / ".." / "picture")
    limits.check_file(tmp_path / "door" / "picture")
    Limits(bodies=tmp_path / "door").check_file(bodies / "picture")
    for path in (tmp_path, tmp_path / "secret", bodies / "out", tmp_path / "bodies-too"):
        with pytest.raises(NotAllowedError, match="bodies"):
            limits.check_file(path)
    with pytest.raises(NotAllowedError):
        limits.check_file(bodies / ".." / "secret")
    monkeypatch.chdir(bodies)
    limits.check_file(Path("picture"))
    with pytest.raises(NotAllowedError):
        limits.check_file(Path("../secret"))
    Limits().check_file(Path("/etc/hostname"))


def test_a_trace_may_not_be_read_where_files_are_limited(tmp_path: Path) -> None:
    limits = Limits(bodies=tmp_path)
    rates = tmp_path / "rates.csv"
    rates.write_text("t_s,rate\n0,5\n")
    seen = tmp_path / "seen.csv"
    seen.write_text("timestamp\n0\n1\n")
    for text in ("200", "100..1000/60s"):
        parse_profile(text, limits.files)
    for text in ("poisson", "gamma:2"):
        parse_arrivals(text, files=limits.files)
    for text in ("trace({})", "100@1s, TRACE ( {} , scale=2)", '5@1s,trace("{}")'):
        with pytest.raises(NotAllowedError, match="only the configuration file"):
            parse_profile(text.format(rates), limits.files)
        parse_profile(text.format(rates), Limits().files)
    for text in ("trace:{}", "Trace : {}", " TRACE:{}?scale=2"):
        with pytest.raises(NotAllowedError, match="only the configuration file"):
            parse_arrivals(text.format(seen), files=limits.files)
        parse_arrivals(text.format(seen), files=Limits().files)
