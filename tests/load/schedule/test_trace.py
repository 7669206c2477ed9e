import os
import resource
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.arrivals import Arrivals, Poisson, parse_arrivals, share
from tailrace.load.schedule.profile import constant, parse_profile
from tailrace.load.schedule.schedule import NEVER_NS, Schedule
from tailrace.load.schedule.trace import ArrivalCounts, ArrivalRates, Replay, Timestamps
from tailrace.load.schedule.trace_file import read_trace

TWO = "0\n1\n"


def write_recording(folder: Path, text: str, name: str = "trace.csv") -> str:
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
    trace = read_trace(write_recording(tmp_path, text))
    assert isinstance(trace, Timestamps)
    assert (trace.times_ns / 1e9).tolist() == [0, 0.5, 2.75]
    assert trace.total == 3
    assert trace.duration_s == pytest.approx(2.75 * 3 / 2)


def test_a_named_column(tmp_path: Path) -> None:
    path = write_recording(tmp_path, "start,Sent at\n0,5\n1,7\n")
    trace = read_trace(path, "sent at")
    assert isinstance(trace, Timestamps)
    assert (trace.times_ns / 1e9).tolist() == [0, 2]
    arrivals = parse_arrivals(f"trace:{path}?column=Sent%20at&speed=2")
    assert replayed(arrivals).tolist() == [0, 1]
    assert replayed(parse_arrivals(arrivals.expression)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("timestamp\n1500\n2000\n4250\n", "unit=ms"),
        ("timestamp_ms,n\n1500,1\n2000,2\n4250,3\n", ""),
        ("Sent_us\n1500000\n2000000\n4250000\n", "column=sent_us"),
        ("ts\n1715346001500000001\n1715346002000000001\n1715346004250000001\n", "unit=ns"),
        ("t\n1715346001500\n1715346002000\n1715346004250\n", "unit=ms"),
        ("t\n1715346001.5\n1715346002\n1715346004.250\n", ""),
        ("t_ms\n1.5e3\n2000\n+4250\n", ""),
        ('# May\n{"timestamp": 1.5, "n": 7}\n\n{"timestamp": 2}\n{"timestamp": 4.25}\n', ""),
        ('{"timestamp":1500,"x":{"y":[1]}}\n{"timestamp":2000}\n{"timestamp":4250}', "unit=ms"),
        (('{"at":"2024-05-10T13:00:01.5Z"}\n{"at":"2024-05-10T13:00:02Z"}\n'
         '{"at":"2024-05-10T13:00:04.25Z"}'), "column=at"),
        # Azure's traces of large language models, of 2023 and 2024.
        (("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
         "2023-11-16 18:15:47.1805900,396,109\n2023-11-16 18:15:49.4305900,879,55\n"), ""),
        (("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
         "2024-05-10 00:00:00.509930+00:00,2399,6\n2024-05-10 00:00:02.759930+00:00,76,15\n"), ""),
        (("date\n2024-05-10 00:00:00.1234567+02:00\n2024-05-09T22:00:00.6234567Z\n"
         "\"2024-05-09 19:30:02,8734567-0230\"\n"), ""),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_units_lines_of_json_and_zones(tmp_path: Path, text: str, options: str) -> None:
    arrivals = parse_arrivals(f"trace:{write_recording(tmp_path, text)}?{options}")
    assert isinstance(arrivals, Replay)
    assert isinstance(arrivals.recording, Timestamps)
    assert arrivals.recording.times_ns.tolist() == [0, 500_000_000, 2_750_000_000]
    again = parse_arrivals(arrivals.expression)
    assert np.array_equal(replayed(again), replayed(arrivals))


@pytest.mark.parametrize(
    ("first", "unit"),
    [
        ("1715346001500", "ms"),
        ("1715346001500.25", "ms"),
        ("1715346001500000", "us"),
        ("1715346001500000000", "ns"),
        ("99999999990", "ms"),
    ],
)
def test_numbers_that_can_only_be_of_another_unit_are_refused(
    tmp_path: Path, first: str, unit: str
) -> None:
    path = write_recording(tmp_path, f"timestamp\n{first}\n{first}1\n")
    with pytest.raises(UsageError, match=f"line 2: .* since 1970: say so with unit={unit}"):
        read_trace(path)
    read_trace(write_recording(tmp_path, f"timestamp\n{first}\n{first[:-1]}9\n"), unit=unit)


@pytest.mark.parametrize(
    "text",
    [
        "date\n2262-04-11\n2262-04-12\n",
        "date\n1600-01-01\n2024-01-01\n",
        "date\n9999-12-31 23:59:59\n2024-01-01\n",
        "t\n0\n1e999999\n",
        "t\n0\n9300000000\n",
        "t_ns\n0\n99999999999999999999\n",
    ],
)
def test_instants_beyond_64_bits_of_nanoseconds_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="an instant lies between 1677 and 2262"):
        read_trace(write_recording(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "date\n2024-05-10\n2024-13-10\n",
        "date\n2024-05-10\n2024-05-10 24:61\n",
        'date\n2024-05-10\n""x',
    ],
)
def test_dates_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="line 3: expected a date and time"):
        read_trace(write_recording(tmp_path, text))


def test_a_unit_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unit is one of s, ms, us, ns, not 'min'"):
        parse_arrivals(f"trace:{write_recording(tmp_path, TWO)}?unit=min")


def test_rates_have_units_as_well(tmp_path: Path) -> None:
    for text, options in (("t_ms,rate\n5000,10\n7000,0\n", ""), ("5000,10\n7000,0\n", ",unit=ms")):
        profile = parse_profile(f"trace({write_recording(tmp_path, text)}{options})")
        assert (profile.rate(1.9), profile.rate(2.1)) == (10, 0)
        assert parse_profile(profile.expression).rate(1.9) == 10


def test_objects_that_are_none(tmp_path: Path) -> None:
    for text, complaint in (
        ('{"t": 1}\n[2]\n', "line 2: expected a JSON object"),
        ('{"t": 1}\n{"t": 2\n', "line 2: expected a JSON object"),
        ('{"t": 1}\n\n{"u": 2}\n', "line 3: expected a time in seconds"),
        ('{"t": 1}\n{"t": null}\n', "line 2: expected a time in seconds"),
        ('{"t": 1}\n{"t": ' + "[" * 100_000 + "\n", "line 2: expected a JSON object"),
        ('{"size": 1, "n": 2}\n', "names no column of timestamps"),
    ):
        with pytest.raises(UsageError, match=complaint):
            read_trace(write_recording(tmp_path, text))


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "long"
    for begin in (b"1\n", b"timestamp\n", b'{"t": 1}\n{"t": ', b""):
        path.write_bytes(begin)
        with path.open("ab") as file:
            file.truncate(8 << 30)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UsageError, match="trace"):
            read_trace(str(path))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="it is no file"):
        read_trace(str(tmp_path / "pipe"))


@pytest.mark.parametrize("options", ["", "?scale=0.5&speed=3", "?scale=7.5"])
def test_a_compact_copy_is_the_same_schedule(tmp_path: Path, options: str) -> None:
    recorded = np.random.default_rng(3).uniform(0, 50, 20_000).round(3)
    path = write_recording(tmp_path, "time_s,n\n" + "\n".join(f"{t},7" for t in recorded.tolist()))
    arrivals = parse_arrivals(f"trace:{path}{options}")
    assert isinstance(arrivals, Replay)
    compact = parse_arrivals(arrivals.compact(tmp_path / "a.npy").expression)
    assert isinstance(compact.recording.times_ns, np.memmap)  # type: ignore[attr-defined]
    assert compact.natural_rate_per_s == arrivals.natural_rate_per_s
    assert np.array_equal(replayed(compact), replayed(arrivals))


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, 5, 3]),
        np.array([1, 2, 3]),
        np.array([0.0, 1.0]),
        np.array([0]),
        np.array([0, 0]),
        np.zeros((2, 2), dtype=np.int64),
        np.array([{}, {}], dtype=object),
    ],
)
def test_an_array_that_is_no_recording(tmp_path: Path, array: NDArray[np.int64]) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UsageError, match="trace"):
        read_trace(str(tmp_path / "a.npy"))


def test_chunks_of_a_large_recording_take_no_longer_than_those_of_a_small_one(
    tmp_path: Path,
) -> None:
    """Of ten times as many arrivals, each with a copy, the first chunk looks at as many."""
    looked: list[int] = []

    class Watched(np.ndarray):  # type: ignore[type-arg]
        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            looked.append(np.size(found))
            return found

    for count in (20_000, 200_000):
        looked.clear()
        recording = Timestamps(np.arange(count).view(Watched))
        next(recording.arrivals(np.random.default_rng(1), 2.0, 4096))
        # Besides a sample for the resolution.
        assert max(looked[1:]) <= 4096
        assert looked[0] <= 100_000


def test_a_bucket_of_any_size_is_spread_in_pieces() -> None:
    counts = ArrivalCounts(np.array([3, 10_000_000_000_000, 4]), 1.0)
    pieces = counts.arrivals(np.random.default_rng(1), 1.0, 4096)
    first = [piece for piece in islice(pieces, 4) if len(piece)]
    times = np.concatenate(first)
    assert max(map(len, first)) <= 1 << 20
    assert (np.diff(times) >= 0).all()
    assert times[:3].max() < 1 < times[3]
    whole = ArrivalCounts(np.array([3_000_000, 4]), 2.0)
    spread = np.concatenate(list(whole.arrivals(np.random.default_rng(1), 1.0, 4096)))
    assert len(spread) == 3_000_004
    assert scipy.stats.kstest(spread[:3_000_000:100] / 2, "uniform").pvalue > 0.001


@pytest.mark.parametrize(
    ("text", "width_s", "counts"),
    [
        ("second,count\n10,3\n12,1\n10,2\n", 1, [5, 0, 1]),
        ("minute,requests\n0,7\n1,0\n", 60, [7, 0]),
        ("HashApp,Trigger,1,2,3\na,http,1,0,5\nb,timer,0,0,2\n", 60, [1, 0, 7]),
    ],
)
def test_counts(tmp_path: Path, text: str, width_s: float, counts: list[int]) -> None:
    trace = read_trace(write_recording(tmp_path, text))
    assert isinstance(trace, ArrivalCounts)
    assert (trace.width_s, trace.counts.tolist()) == (width_s, counts)


@pytest.mark.parametrize("text", ["t_s,rate\n5,10\n7,0\n", "5,10\n7,0\n", "time,rps\n5,10\n7,0\n"])
def test_rates(tmp_path: Path, text: str) -> None:
    trace = read_trace(write_recording(tmp_path, text))
    assert isinstance(trace, ArrivalRates)
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
        read_trace(write_recording(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in ("nowhere.csv", str(tmp_path), "/dev/zero", "a\0b", "\ud800"):
        with pytest.raises(UsageError, match="trace"):
            read_trace(path)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UsageError, match="cannot be read as CSV text"):
        read_trace(str(binary))


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from(list("0123456789.,-eE \n\"'#timecountra_s")), max_size=60))
def test_any_text_is_a_trace_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = write_recording(tmp_path_factory.getbasetemp(), text, "fuzzed.csv")
    try:
        trace = read_trace(path)
    except UsageError:
        return
    assert isinstance(trace, Timestamps | ArrivalCounts | ArrivalRates)


def test_a_trace_is_replayed_as_recorded(tmp_path: Path) -> None:
    recorded = np.sort(np.random.default_rng(3).uniform(0, 100, 10_000))
    path = write_recording(tmp_path, "\n".join(f"{1e6 + t:.6f}" for t in recorded))
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
    path = write_recording(tmp_path, "0\n1\n2\n")
    schedule = Schedule(parse_arrivals(f"trace:{path}"), constant(2), seed=1, worker=1, workers=2)
    due = schedule.next_piece()
    assert due[0] == 500_000_000
    assert (due[1:] == NEVER_NS).all()
    assert (schedule.next_piece() == NEVER_NS).all()
    assert (schedule.change(0.1, constant(5), 0) == NEVER_NS).all()


@pytest.mark.parametrize("size", [4095, 4096, 4097, 8192])
def test_a_trace_of_any_length_is_whole(tmp_path: Path, size: int) -> None:
    path = write_recording(tmp_path, "\n".join(map(str, range(size))))
    assert len(replayed(parse_arrivals(f"trace:{path}"))) == size


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.0, 3.5])
def test_scale_multiplies_timestamps(tmp_path: Path, scale: float) -> None:
    recorded = np.cumsum(np.random.default_rng(3).exponential(0.1, 20_000)).round(2)
    path = write_recording(tmp_path, "\n".join(map(str, recorded.tolist())))
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
    path = write_recording(
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
    assert scipy.stats.kstest(times[(times >= 2) & (times < 3)] - 2, "uniform").pvalue > 0.01
    assert not np.array_equal(times, replayed(arrivals, seed=2))
    assert np.array_equal(times, replayed(parse_arrivals(arrivals.expression)))


def test_counts_of_poisson_traffic_give_poisson_traffic_back(tmp_path: Path) -> None:
    """Uniform within a bucket of a Poisson count is Poisson: gaps and dispersion say so."""
    original = next(Poisson().chunks(5)) / 50
    counts = np.bincount(original[original < 75].astype(int), minlength=75)
    path = write_recording(
        tmp_path, "second,count\n" + "\n".join(f"{n},{count}" for n, count in enumerate(counts))
    )
    times = replayed(parse_arrivals(f"trace:{path}"))
    gaps = np.diff(times)
    assert scipy.stats.kstest(gaps, "expon", args=(0, gaps.mean())).pvalue > 0.01
    for width in (0.05, 0.2, 1.0):
        seen, _ = np.histogram(times, np.arange(0, 75 + width / 2, width))
        assert seen.var() / seen.mean() == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("workers", [1, 2, 4, 10])
def test_workers_together_replay_the_one_trace(tmp_path: Path, workers: int) -> None:
    path = write_recording(tmp_path, "minute,count\n0,9000\n1,700\n2,5000\n")
    arrivals = parse_arrivals(f"trace:{path}?scale=1.5")
    whole = np.concatenate(list(islice(arrivals.chunks(7), 8)))
    parts = [
        np.concatenate(list(islice(share(arrivals.chunks(7), worker, workers), 8)))
        for worker in range(workers)
    ]
    for worker, part in enumerate(parts):
        assert np.array_equal(part, whole[worker::workers])


def test_expressions(tmp_path: Path) -> None:
    path = write_recording(tmp_path, "0\n1\n", "what? (a,b).csv")
    for options in ("?scale=1", "?scale=2&speed=0.5"):
        expression = f"trace:{path}{options}"
        assert parse_arrivals(expression).expression == expression
    plain = f"trace:{write_recording(tmp_path, TWO)}"
    assert parse_arrivals(plain).expression == plain
    assert parse_arrivals(plain, scale=2, speed=3).expression == f"{plain}?scale=2&speed=3"
    assert parse_arrivals(f"{plain}?scale=2", scale=2).expression == f"{plain}?scale=4"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("?scale=0", "scale must be more than 0"),
        ("?scale=1e9", "scale must be more than 0 and at most 1e6"),
        ("?scale=nan", "scale must be more than 0"),
        ("?speed=inf", "speed must be more than 0 and at most 1e9"),
        ("?speed=-1", "speed must be more than 0"),
        ("?speed=fast", "speed is a number, not 'fast'"),
        ("?loop=1", "no option 'loop'"),
        ("?column=size", "no header to find column 'size' in"),
    ],
)
def test_option_errors(tmp_path: Path, options: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_arrivals(f"trace:{write_recording(tmp_path, TWO)}{options}")


def test_rates_are_no_arrivals_and_arrivals_no_rates(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--profile 'trace\("):
        parse_arrivals(f"trace:{write_recording(tmp_path, '0,5')}")
    with pytest.raises(UsageError, match="no such file"):
        parse_arrivals("trace:nowhere.csv")
    with pytest.raises(UsageError, match=r"has no column 'x', only \['a', 'time'\]"):
        parse_arrivals(f"trace:{write_recording(tmp_path, 'a,time')}?column=x")
