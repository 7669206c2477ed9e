"""What is typed in the form of a service, as a configuration and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.control.config import ServiceConfig
from tailrace.dashboard.service_form import FIELDS, read_config, show_config
from tailrace.load.settings import SettingError

WORDS = st.text("abcXYZ09._-", min_size=1, max_size=12)
SECONDS = st.one_of(
    st.integers(1, 100_000).map(float), st.floats(0.001, 1e5).map(lambda s: round(s, 3))
)
CONFIGS = st.builds(
    ServiceConfig,
    id=WORDS,
    url=WORDS.map("http://127.0.0.1/{}".format),
    name=st.none() | WORDS,
    method=st.none() | st.sampled_from(["GET", "PUT"]),
    headers=st.dictionaries(WORDS, WORDS | st.just("one\ntwo"), max_size=3),
    body=st.none() | WORDS.map(Path),
    text=st.none() | WORDS.map(lambda word: f" {word}\n"),
    arrivals=st.sampled_from(["poisson", "gamma:2"]),
    profile=st.sampled_from(["50", "100..1000/60s,sine(mean=3,amp=1,period=2s)"]),
    duration_s=st.none() | SECONDS,
    slo=st.sampled_from([(), ("p99<100ms",), ("p99<100ms", "mean<5ms")]),
    seed=st.integers(0, 2**40),
    workers=st.integers(1, 64),
    ray=st.sampled_from([None, "auto", "10.0.0.1:6379"]),
    connections=st.integers(1, 10_000),
    timeout_s=SECONDS,
    min_duration_s=st.none() | st.just(0.0) | SECONDS,
    mlperf=st.booleans(),
    verify=st.booleans(),
    ca_file=st.none() | WORDS.map(Path),
    metrics_url=st.sampled_from([None, "", "http://127.0.0.1/metrics"]),
    abort_on=st.sampled_from([(), ("failed>50%@10s", "failed>=1%@1m")]),
    reuse=st.sampled_from(["spread", "fifo", "lifo"]),
    order=st.sampled_from(["sequential", "random"]),
    expect_status=st.none() | st.just("2xx,304"),
    expect_body=st.sampled_from([(), ("body contains a, b", "json !error")]),
    expect_size=st.none() | st.just("100.."),
    keep_alive=st.booleans(),
    connect_timeout_s=st.none() | SECONDS,
    first_byte_timeout_s=st.none() | SECONDS,
    unix_socket=st.none() | WORDS.map(Path),
    connect_to=st.none() | st.just("10.0.0.1:80"),
    cert_file=st.none() | WORDS.map(Path),
    key_file=st.none() | WORDS.map(Path),
    part=st.sampled_from(["0/1", "3/8"]),
    start_at=st.none() | st.just("2026-11-26T22:00:00Z"),
    interval_s=st.none() | SECONDS,
    spin=st.booleans(),
)


@given(CONFIGS)
def test_a_configuration_comes_back_from_the_form(config: ServiceConfig) -> None:
    assert read_config(show_config(config)) == config


def test_every_setting_has_a_field() -> None:
    assert set(FIELDS) == set(ServiceConfig.__struct_fields__)


def test_what_is_left_empty_is_the_default() -> None:
    typed = dict.fromkeys(FIELDS, " ") | {"id": "a", "url": "http://127.0.0.1"}
    assert read_config(typed) == ServiceConfig(id="a", url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("field", "typed", "reason"),
    [
        ("id", "", "Id is missing"),
        ("url", " ", "URL is missing"),
        ("duration_s", "soon", "Duration: 'soon' is not a duration"),
        ("workers", "two", "Load workers: 'two' is not a whole number"),
        ("headers", "Accept", "Headers: 'Accept' is not a header"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(field: str, typed: str, reason: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_config({"id": "a", "url": "http://127.0.0.1", field: typed})
    assert raised.value.names == (field,)
    assert raised.value.worded(lambda name: FIELDS[name].label).startswith(reason)


@pytest.mark.parametrize(("seconds", "text"), [(600, "10m"), (90, "90s"), (0.25, "0.25s")])
def test_durations_are_written_as_people_do(seconds: float, text: str) -> None:
    config = ServiceConfig(id="a", url="u", timeout_s=seconds)
    assert show_config(config)["timeout_s"] == text
