"""LoadGen's verdict on a performance test, worked out once more from the numbers it logged.

The conditions are those of LoadGen 6.0 (results.cc): minimum duration, minimum queries, the latency
bound, early stopping. It logs rates with six significant digits.
"""

from __future__ import annotations

import re

import msgspec

from tailrace.load.judge.confidence import estimate_rank, min_queries
from tailrace.mlperf.logs import Detail
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.scenario import MULTI_STREAM, OFFLINE, SERVER, SINGLE_STREAM, Scenario
from tailrace.units import format_duration

_DIGITS = 1e-5
_DISCARDED = re.compile(r"Would discard (\d+) highest")
_PEAK = re.compile(r"Found peak performance field: (\d+(?:\.\d*)?)")
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")


class Headline(msgspec.Struct, frozen=True):
    """The result of a test."""

    name: str
    value: float
    unit: str


def recount(detail: Detail, scenario: Scenario) -> list[str]:
    """Why a test is INVALID by LoadGen's conditions; also where LoadGen and its own numbers do not
    agree, or the numbers are not there."""
    ours = {
        ("result_min_duration_met", "the minimum duration"): _duration(detail, scenario),
        ("result_min_queries_met", "the minimum of queries"): _queries(detail),
        ("early_stopping_met", "early stopping"): _early(detail, scenario),
    }
    if scenario is SERVER:
        ours["result_perf_constraints_met", "the latency bound"] = _bound(detail)
    found = [
        reason
        for (key, what), wrong in ours.items()
        if (reason := _condition(detail.flag(key), what, wrong)) is not None
    ]
    return found + _estimate(detail, scenario)


def duration_s(detail: Detail, scenario: Scenario) -> float | None:
    """How long a test ran, as the minimum duration counts it: to the issue of the last query in the
    streams, to its scheduled time in Server, to the last answer offline. MultiStream logs no such
    time: it is what the log's own times leave, at most. None where the log does not say."""
    if scenario is OFFLINE:
        longest_ns = detail.number("result_max_latency_ns")
        return None if longest_ns is None else longest_ns / 1e9
    if scenario is MULTI_STREAM:
        began_ms = detail.times_ms.get("generated_query_duration")
        ended_ms = detail.times_ms.get("result_validity")
        return None if began_ms is None or ended_ms is None else (ended_ms - began_ms) / 1e3
    key = "scheduled_samples_per_sec" if scenario is SERVER else "qps_with_loadgen_overhead"
    rate, count = detail.number(f"result_{key}"), detail.number("result_query_count")
    return (count - 1) / rate if rate and count else None


def count_samples(detail: Detail, scenario: Scenario) -> float | None:
    """Samples that LoadGen issued and got an answer to."""
    queries = detail.number("result_query_count")
    each = detail.number("effective_samples_per_query")
    if queries is None or (each is None and scenario in (MULTI_STREAM, OFFLINE)):
        return None
    return queries * (each or 1)


def headline_of(detail: Detail, scenario: Scenario, mode: Mode) -> Headline | None:
    """The result, as MLPerf's submission checker takes it; None where there is none."""
    if mode == "find-peak":
        peaks = [match[1] for text in detail.messages if (match := _PEAK.search(text))]
        return Headline("peak rate", float(peaks[-1]), "queries/s") if peaks else None
    if scenario is SERVER:
        name, key = "completed samples within the bound", "result_completed_samples_per_sec"
    elif scenario is OFFLINE:
        name, key = "completed samples", "result_samples_per_second"
    else:
        what = "latency" if scenario is SINGLE_STREAM else "query latency"
        name = f"p{_percent(detail) or 0:g} {what}, early-stopping estimate"
        key = f"early_stopping_latency_{'ss' if scenario is SINGLE_STREAM else 'ms'}"
    value = detail.number(key)
    if not scenario.streams:
        return None if value is None else Headline(name, value, "samples/s")
    # LoadGen has 0 where too few queries ran for an estimate.
    return Headline(name, value / 1e6, "ms") if value else None


def figures_of(detail: Detail, scenario: Scenario) -> dict[str, float]:
    """What is worth knowing of a performance test."""
    query = "_per_query" if scenario is MULTI_STREAM else ""
    whole = "_query" if scenario is MULTI_STREAM else ""
    keys = {
        "queries": ("result_query_count", 1.0),
        "samples_per_query": ("effective_samples_per_query", 1),
        "over_latency_queries": ("result_overlatency_query_count", 1),
        "target_qps": ("effective_target_qps", 1),
        "target_latency_ms": ("effective_target_latency_ns", 1e6),
        "min_duration_s": ("effective_min_duration_ms", 1e3),
        "scheduled_samples_per_s": ("result_scheduled_samples_per_sec", 1),
        "completed_samples_per_s": ("result_completed_samples_per_sec", 1),
        "samples_per_s": ("result_samples_per_second", 1),
        "latency_min_ms": (f"result_min{whole}_latency_ns", 1e6),
        "latency_mean_ms": (f"result_mean{whole}_latency_ns", 1e6),
        **{
            f"latency_p{float(each):g}_ms": (f"result_{each}_percentile{query}_latency_ns", 1e6)
            for each in _PERCENTILES
        },
        "latency_max_ms": (f"result_max{whole}_latency_ns", 1e6),
    }
    if scenario is not SERVER:
        del keys["target_latency_ms"]
    found = {
        name: value / scale
        for name, (key, scale) in keys.items()
        if (value := detail.number(key)) is not None
    }
    if (seconds := duration_s(detail, scenario)) is not None:
        found["duration_s"] = seconds
    return found


def _condition(theirs: bool | None, what: str, ours: str | None) -> str | None:
    """What to say of a condition that LoadGen says is met or not; `ours` as below."""
    if ours:
        return f"{ours}, though LoadGen says that {what} is met" if theirs else ours
    if ours is None:
        return f"the log does not have the numbers to check {what} by"
    if theirs is False:
        return f"LoadGen says that {what} is not met, though by its numbers it is"
    return None


# Each of the following says what is wrong; nothing if all is well, None if it cannot be told.


def _duration(detail: Detail, scenario: Scenario) -> str | None:
    ran_s, least_ms = duration_s(detail, scenario), detail.number("effective_min_duration_ms")
    if ran_s is None or least_ms is None:
        return None
    if ran_s * (1 + _DIGITS) >= least_ms / 1e3:
        return ""
    return f"it ran {format_duration(ran_s)}, less than the {format_duration(least_ms / 1e3)} set"


def _queries(detail: Detail) -> str | None:
    count, least = detail.number("result_query_count"), detail.number("effective_min_query_count")
    if count is None or least is None:
        return None
    return "" if count >= least else f"it had {count:,.0f} queries, fewer than the {least:,.0f} set"


def _bound(detail: Detail) -> str | None:
    percent = _percent(detail)
    if percent is None:
        return None
    latency_ns = detail.number(f"result_{percent:.2f}_percentile_latency_ns")
    bound_ns = detail.number("effective_target_latency_ns")
    if latency_ns is None or bound_ns is None:
        return None
    if latency_ns <= bound_ns:
        return ""
    return (
        f"the p{percent:g} latency is {format_duration(latency_ns / 1e9)}, above the bound of "
        f"{format_duration(bound_ns / 1e9)}"
    )


def _early(detail: Detail, scenario: Scenario) -> str | None:
    if scenario is OFFLINE:
        return ""
    percent, queries = _percent(detail), detail.number("result_query_count")
    over = detail.number("result_overlatency_query_count") if scenario is SERVER else 1
    if percent is None or queries is None or over is None:
        return None
    try:
        least = min_queries(percent, int(over))
    except (ValueError, ArithmeticError):
        return None
    if queries >= least:
        return ""
    if scenario is SERVER:
        return (
            f"early stopping: with {over:,.0f} of {queries:,.0f} queries over the bound, "
            f"{least - queries:,.0f} more within it are needed for p{percent:g}"
        )
    return (
        f"early stopping: {queries:,.0f} queries are too few to estimate the p{percent:g}, which "
        f"takes {least:,}"
    )


def _estimate(detail: Detail, scenario: Scenario) -> list[str]:
    """Whether LoadGen's estimate of a stream's percentile is of the rank that it should be."""
    match = _DISCARDED.search(detail.text("early_stopping_result") or "")
    percent, queries = _percent(detail), detail.number("result_query_count")
    if not scenario.streams or match is None or percent is None or queries is None:
        return []
    try:
        rank = estimate_rank(percent, int(queries))
    except (ValueError, ArithmeticError):
        rank = None
    discarded = None if rank is None else int(queries) - rank - 1
    if discarded == int(match[1]):
        return []
    ours = "no estimate" if discarded is None else f"{discarded:,}"
    return [f"LoadGen's estimate discards the {int(match[1]):,} highest latencies, and ours {ours}"]


def _percent(detail: Detail) -> float | None:
    percentile = detail.number("effective_target_latency_percentile")
    return None if percentile is None else round(100 * percentile, 6)
