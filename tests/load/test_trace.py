from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from tailrace.errors import UsageError
from tailrace.load.arrivals import Arrivals, Poisson, parse_arrivals, share
from tailrace.load.profile import constant
from tailrace.load.schedule import NEVER_NS, Schedule
from tailrace.load.trace import Counts, Rates, Timestamps, read_trace

TWO = "0\n1\n"


def write(folder: Path, text: str, name: str = "trace.csv") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def replayed(arrivals: Arrivals, seed: int = 1) -> NDArray[np.float64]:
    """All instants at the natural rate, s."""
    rate = arrivals.natural_rate_per_s
    assert rate is not None
    chunks: list[NDArray[np.float64]] = []
    for chunk in arrivals.chunks(seed):
        assert len(chunk) == 4096
        chunks.append(constant(rate).inverse(chunk))
        if np.isinf(chunk[-1]):
            break
    times = np.concatenate(chunks)
    return times[np.isfinite(times)]


@pytest.mark.parametrize(
    "text",
    [
        "1.5\n2\n4.25\n",
        "timestamp\n1.5\n2\n4.25\n",
        "# recorded in May\n\nid, Time ,size\na,4.25,7\n\nb,1.5,9\nc,2,3\n",
        "anything\n1.5\n2\n4.25\n",
        "TIMESTAMP,n\n2024-05-10 13:00:01.500000,7\n2024-05-10 13:00:02,\n2024-05-10T13:00:04.25,1",
        "2024-05-10 13:00:01.5\n2024-05-10 13:00:02\n2024-05-10 13:00:04.25\n",
        "\ufefftimestamp\r\n1.5\r\n2\r\n4.25\r\n",
    ],
)
def test_timestamps(tmp_path: Path, text: str) -> None:
    trace = read_trace(write(tmp_path, text))
    assert isinstance(trace, Timestamps)
    assert trace.seconds.tolist() == [0, 0.5, 2.75]
    assert trace.total == 3
    assert trace.duration_s == pytest.approx(2.75 * 3 / 2)


def test_a_named_column(tmp_path: Path) -> None:
    path = write(tmp_path, "start,Sent at\n0,5\n1,7\n")
    trace = read_trace(path, "sent at")
    assert isinstance(trace, Timestamps)
    assert trace.seconds.tolist() == [0, 2]
    arrivals = parse_arrivals(f"trace:{path}?column=Sent%20at&speed=2")
    assert replayed(arrivals).tolist() == [0, 1]
    assert replayed(parse_arrivals(arrivals.expression)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "width_s", "counts"),
    [
        ("second,count\n10,3\n12,1\n10,2\n", 1, [5, 0, 1]),
        ("minute,requests\n0,7\n1,0\n", 60, [7, 0]),
        ("HashApp,Trigger,1,2,3\na,http,1,0,5\nb,timer,0,0,2\n", 60, [1, 0, 7]),
    ],
)
def test_counts(tmp_path: Path, text: str, width_s: float, counts: list[int]) -> None:
    trace = read_trace(write(tmp_path, text))
    assert isinstance(trace, Counts)
    assert (trace.width_s, trace.counts.tolist()) == (width_s, counts)


@pytest.mark.parametrize("text", ["t_s,rate\n5,10\n7,0\n", "5,10\n7,0\n", "time,rps\n5,10\n7,0\n"])
def test_rates(tmp_path: Path, text: str) -> None:
    trace = read_trace(write(tmp_path, text))
    assert isinstance(trace, Rates)
    assert (trace.starts_s.tolist(), trace.rates_per_s.tolist()) == ([0, 2], [10, 0])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("\n# nothing\n", "is empty"),
        ("timestamp\n1\n", "at least two arrivals"),
        ("timestamp\n1\n1\n", "at one instant"),
        ("timestamp\n1\nsoon\n", "line 3: expected a time in seconds"),
        ("timestamp\n1\n\ninf\n", "line 4: expected a time in seconds"),
        ("date\n2024-05-10\nsoon\n", "line 3: expected a date and time"),
        ("id,timestamp\na,1\nb\n", "line 3: expected a time in seconds.* not 'b'"),
        ("id,size\na,1\n", "names no column of timestamps"),
        ("1,2,3\n4,5,6\n", "3 columns and no header"),
        ("second,count\n0,1\n1,-3\n", "line 3: a count is a whole number"),
        ("second,count\n0,1\n1,1.5\n", "line 3: a count is a whole number"),
        ("second,count\n0.5,1\n", "line 2: a bucket's number is a whole one"),
        ("second,count\n0,1\n99999999999,1\n", "span more than"),
        ("second,count\n0,0\n", "no arrivals"),
        ("second,count\n", "no arrivals"),
        ("app,1,2\na,1\n", "line 2: expected 2 counts a minute"),
        ("app,1,2\na,1,x\n", "line 2: expected counts a minute"),
        ("app,1,2\na,1,-2\n", "line 2: a count is a whole number"),
        ("app,1,3\na,1,2\n", "minutes 1, 2, 3"),
        ("t_s,rate\n0,1\n5,-1\n", "line 3: a rate is a number from 0"),
        ("t_s,rate\n0,1\n0,2\n", "line 3: the times of a trace of rates must rise"),
        ("t_s,rate\n0,1\n3\n", "line 3: expected a time in seconds and a rate"),
        ("t_s,rate\n", "no rates"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_trace(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in ("nowhere.csv", str(tmp_path), "/dev/zero", "a\0b", "\ud800"):
        with pytest.raises(UsageError, match="trace"):
            read_trace(path)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UsageError, match="cannot be read as CSV text"):
        read_trace(str(binary))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("0123456789.,-eE \n\"'#timecountra_s")), max_size=60))
def test_any_text_is_a_trace_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = write(tmp_path_factory.getbasetemp(), text, "fuzzed.csv")
    try:
        trace = read_trace(path)
    except UsageError:
        return
    assert isinstance(trace, Timestamps | Counts | Rates)


def test_a_trace_is_replayed_as_recorded(tmp_path: Path) -> None:
    recorded = np.sort(np.random.default_rng(3).uniform(0, 100, 10_000))
    path = write(tmp_path, "\n".join(f"{1e6 + t:.6f}" for t in recorded))
    arrivals = parse_arrivals(f"trace:{path}")
    times = replayed(arrivals)
    assert times == pytest.approx(recorded - recorded[0], abs=2e-6)
    assert arrivals.natural_rate_per_s == pytest.approx(100, rel=0.01)
    assert arrivals.natural_duration_s == pytest.approx(100, rel=0.01)
    positions = next(arrivals.chunks(1))
    assert np.diff(positions).mean() == pytest.approx(1, rel=0.05)
    fast = replayed(parse_arrivals(f"trace:{path}", speed=10))
    assert fast * 10 == pytest.approx(times, rel=1e-12)
    assert np.array_equal(replayed(arrivals, seed=2), times)


def test_after_the_last_arrival_none_follow(tmp_path: Path) -> None:
    path = write(tmp_path, "0\n1\n2\n")
    schedule = Schedule(parse_arrivals(f"trace:{path}"), constant(2), seed=1, worker=1, workers=2)
    due = schedule.next_piece()
    assert due[0] == 500_000_000
    assert (due[1:] == NEVER_NS).all()
    assert (schedule.next_piece() == NEVER_NS).all()
    assert (schedule.change(0.1, constant(5), 0) == NEVER_NS).all()


@pytest.mark.parametrize("size", [4095, 4096, 4097, 8192])
def test_a_trace_of_any_length_is_whole(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "\n".join(map(str, range(size))))
    assert len(replayed(parse_arrivals(f"trace:{path}"))) == size


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.0, 3.5])
def test_scale_multiplies_timestamps(tmp_path: Path, scale: float) -> None:
    recorded = np.cumsum(np.random.default_rng(3).exponential(0.1, 20_000)).round(2)
    path = write(tmp_path, "\n".join(map(str, recorded.tolist())))
    arrivals = parse_arrivals(f"trace:{path}", scale=scale)
    times = replayed(arrivals)
    spread = 4 * np.sqrt(20_000 * (scale % 1) * (1 - scale % 1))
    assert len(times) == pytest.approx(20_000 * scale, abs=spread)
    assert arrivals.natural_rate_per_s == pytest.approx(10 * scale, rel=0.03)
    # Every arrival lies within the file's hundredths of one that was recorded.
    known = (recorded - recorded[0]).round(9)
    lag = times - known[np.searchsorted(known, times + 1e-9, side="right") - 1]
    assert lag.max() <= 0.01 + 1e-9
    moved = np.isin(times.round(9), known, invert=True)
    assert moved.mean() == pytest.approx(max(0, 1 - 1 / scale), abs=0.02)
    if scale == 1:
        assert times == pytest.approx(recorded - recorded[0], abs=1e-9)


@pytest.mark.parametrize("scale", [0.1, 1.0, 2.5])
def test_counts_are_spread_evenly_within_their_bucket(tmp_path: Path, scale: float) -> None:
    counts = [400, 0, 9000, 120, 3000] * 4
    path = write(
        tmp_path, "second,count\n" + "\n".join(f"{n},{count}" for n, count in enumerate(counts))
    )
    arrivals = parse_arrivals(f"trace:{path}?scale={scale}")
    times = replayed(arrivals)
    assert arrivals.natural_duration_s == 20
    assert arrivals.natural_rate_per_s == pytest.approx(sum(counts) * scale / 20)
    assert (np.diff(times) >= 0).all()
    seen, _ = np.histogram(times, np.arange(21))
    if scale == 1:
        assert seen.tolist() == counts
    else:
        slack = 4 * np.sqrt(np.array(counts) * 0.25) + 1e-9
        assert (np.abs(seen - np.array(counts) * scale) <= slack).all()
    assert stats.kstest(times[(times >= 2) & (times < 3)] - 2, "uniform").pvalue > 0.01
    assert not np.array_equal(times, replayed(arrivals, seed=2))
    assert np.array_equal(times, replayed(parse_arrivals(arrivals.expression)))


def test_counts_of_poisson_traffic_give_poisson_traffic_back(tmp_path: Path) -> None:
    """Uniform within a bucket of a Poisson count is Poisson: gaps and dispersion say so."""
    original = next(Poisson().chunks(5)) / 50
    counts = np.bincount(original[original < 75].astype(int), minlength=75)
    path = write(
        tmp_path, "second,count\n" + "\n".join(f"{n},{count}" for n, count in enumerate(counts))
    )
    times = replayed(parse_arrivals(f"trace:{path}"))
    gaps = np.diff(times)
    assert stats.kstest(gaps, "expon", args=(0, gaps.mean())).pvalue > 0.01
    for width in (0.05, 0.2, 1.0):
        seen, _ = np.histogram(times, np.arange(0, 75 + width / 2, width))
        assert seen.var() / seen.mean() == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("workers", [1, 2, 4, 10])
def test_workers_together_replay_the_one_trace(tmp_path: Path, workers: int) -> None:
    path = write(tmp_path, "minute,count\n0,9000\n1,700\n2,5000\n")
    arrivals = parse_arrivals(f"trace:{path}?scale=1.5")
    whole = np.concatenate(list(islice(arrivals.chunks(7), 8)))
    parts = [
        np.concatenate(list(islice(share(arrivals.chunks(7), worker, workers), 8)))
        for worker in range(workers)
    ]
    for worker, part in enumerate(parts):
        assert np.array_equal(part, whole[worker::workers])


def test_expressions(tmp_path: Path) -> None:
    path = write(tmp_path, "0\n1\n", "what? (a,b).csv")
    for options in ("?scale=1", "?scale=2&speed=0.5"):
        expression = f"trace:{path}{options}"
        assert parse_arrivals(expression).expression == expression
    plain = f"trace:{write(tmp_path, TWO)}"
    assert parse_arrivals(plain).expression == plain
    assert parse_arrivals(plain, scale=2, speed=3).expression == f"{plain}?scale=2&speed=3"
    assert parse_arrivals(f"{plain}?scale=2", scale=2).expression == f"{plain}?scale=4"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("?scale=0", "scale must be more than 0"),
        ("?speed=-1", "speed must be more than 0"),
        ("?speed=fast", "speed is a number, not 'fast'"),
        ("?loop=1", "no option 'loop'"),
        ("?column=size", "no header to find column 'size' in"),
    ],
)
def test_option_errors(tmp_path: Path, options: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_arrivals(f"trace:{write(tmp_path, TWO)}{options}")


def test_rates_are_no_arrivals_and_arrivals_no_rates(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--profile 'trace\("):
        parse_arrivals(f"trace:{write(tmp_path, '0,5')}")
    with pytest.raises(UsageError, match="no such file"):
        parse_arrivals("trace:nowhere.csv")
    with pytest.raises(UsageError, match=r"has no column 'x', only \['a', 'time'\]"):
        parse_arrivals(f"trace:{write(tmp_path, 'a,time')}?column=x")
