"""What MLPerf demands of a test, and what of a test's settings is not that.

The values are those of LoadGen 6.0's own mlperf.conf, of the MLPerf inference rules (benchmark and
scenario tables) and of MLPerf's submission checker (tools/submission, v6.0). For a model that
MLPerf has retired they are today's, with the bound and the sample count of the last version that
had it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.mlperf.data import layout_of
from tailrace.mlperf.scenario import MULTI_STREAM, OFFLINE, SERVER, SINGLE_STREAM, Scenario
from tailrace.models.zoo.spec import ModelSpec

DEFAULT_SERVER_LATENCY_MS = 100
"""The bound of the Server scenario for a model that MLPerf never had."""

_MIN_DURATION_MS = 600_000
_MIN_QUERIES = {SINGLE_STREAM: 100, MULTI_STREAM: 662, SERVER: 100, OFFLINE: 1}
_OFFLINE_SAMPLES = 24_576
_PERCENT = {SINGLE_STREAM: 90.0, MULTI_STREAM: 99.0, SERVER: 99.0}
_SAMPLES_PER_QUERY = {SINGLE_STREAM: 1, MULTI_STREAM: 8, SERVER: 1}
_PERFORMANCE_SAMPLES = {
    "resnet50": 1024,
    "mobilenet": 1024,
    "ssd-mobilenet": 256,
    "ssd-resnet34": 64,
    "retinanet": 64,
}
_OTHER_PERFORMANCE_SAMPLES = 256
_SEEDS = {
    "qsl_rng_seed": 2085463073848966840,
    "sample_index_rng_seed": 2747215439041700203,
    "schedule_rng_seed": 16159082839903944936,
}
_IN_LOADGENS_CONF = frozenset({"resnet50", "ssd-mobilenet", "retinanet"})
"""Models whose sample count LoadGen 6.0 knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an official test of a model in a scenario must have."""

    model: str
    scenario: Scenario
    in_mlperf: bool
    """Whether MLPerf has, or had, this model."""
    retired: str | None
    """The versions that had it, where today's does not."""
    min_duration_ms: int
    min_query_count: int
    """Streams and Server: early stopping may demand more. Offline: its only query."""
    min_sample_count: int | None
    """Offline: samples in its query."""
    percent: float | None
    """Of the latencies, that is bounded or reported; None offline."""
    target_latency_ns: int | None
    """Server: the bound; None where MLPerf never had one."""
    performance_sample_count: int
    """Samples that are in memory during a performance test, at least."""
    samples_per_query: int | None
    """None offline, where one query has all."""
    total_samples: int | None
    """Of the data set that accuracy is measured on."""
    qsl_rng_seed: int
    sample_index_rng_seed: int
    schedule_rng_seed: int

    @property
    def history(self) -> str | None:
        """What to know of a model that MLPerf has retired."""
        if self.retired is None:
            return None
        bound = ""
        if self.target_latency_ns is not None:
            bound = f"; the bound of {self.target_latency_ns / 1e6:g} ms is from then"
        return (
            f"MLPerf had {self.model} in {self.retired} and has retired it: judged by today's "
            f"rules{bound}"
        )


def rules_for(spec: ModelSpec, scenario: Scenario) -> Rules:
    """MLPerf's rules for a model in a scenario."""
    in_mlperf = bool(spec.server_latency_ms)
    versions, bound_ms = list(spec.server_latency_ms.items())[-1] if in_mlperf else ("", None)
    layout = layout_of(spec) if in_mlperf else None
    return Rules(
        model=spec.name,
        scenario=scenario,
        in_mlperf=in_mlperf,
        retired=versions if in_mlperf and not versions.endswith(" on") else None,
        min_duration_ms=_MIN_DURATION_MS,
        min_query_count=_MIN_QUERIES[scenario],
        min_sample_count=_OFFLINE_SAMPLES if scenario is OFFLINE else None,
        percent=_PERCENT.get(scenario),
        target_latency_ns=(
            round(bound_ms * 1e6) if scenario is SERVER and bound_ms is not None else None
        ),
        performance_sample_count=_PERFORMANCE_SAMPLES.get(spec.name, _OTHER_PERFORMANCE_SAMPLES),
        samples_per_query=_SAMPLES_PER_QUERY.get(scenario),
        total_samples=layout.total if layout else None,
        **_SEEDS,
    )


def deviations(
    rules: Rules, effective: Mapping[str, object], total_samples: int | None
) -> list[str]:
    """What of a test's settings is not official, a sentence each; none if all is.

    `effective` has LoadGen's `effective_*` keys, of which those that are missing are passed over;
    `total_samples` is the size of the data set, None if it is not known.
    """
    values = _Settings(effective)
    found = []
    if not rules.in_mlperf:
        found.append(f"{rules.model} is no model of MLPerf's")
    if values.text("test_mode") == "FindPeakPerformance":
        found.append("a search for the peak is no test that MLPerf takes")
    found += [*_too_short(rules, values), *_other_latency(rules, values)]
    found += _other_samples(rules, values, total_samples)
    for key, seed in _SEEDS.items():
        if (own := values.number(key)) not in (None, seed):
            found.append(f"{key} is {own}: MLPerf demands {seed}")
    for key in ("performance_issue_unique", "performance_issue_same"):
        if effective.get(f"effective_{key}") is True:
            found.append(f"{key} is on: MLPerf has samples drawn at random")
    return found


def user_conf(spec: ModelSpec, scenario: Scenario) -> str:
    """The lines of a user.conf with what LoadGen does not know of this model; a user's own lines go
    below them, and win. No newline at the end."""
    rules = rules_for(spec, scenario)
    lines = [f"# Values for {spec.name} that LoadGen's own mlperf.conf does not have."]
    if spec.name not in _IN_LOADGENS_CONF:
        lines += [
            _origin(rules, "sample count"),
            f"*.*.performance_sample_count_override = {rules.performance_sample_count}",
        ]
    if scenario is SERVER and (rules.retired or not rules.in_mlperf):
        bound_ms = DEFAULT_SERVER_LATENCY_MS
        if rules.target_latency_ns is not None:
            bound_ms = rules.target_latency_ns // 1_000_000
        lines += [_origin(rules, "bound"), f"*.Server.target_latency = {bound_ms}"]
    if rules.min_sample_count is not None:
        lines += [
            "# Samples in the one query, as MLPerf's submission checker demands.",
            f"*.Offline.min_query_count = {rules.min_sample_count}",
        ]
    if len(lines) == 1:
        lines = [f"# LoadGen's own mlperf.conf has all values for {spec.name}."]
    return "\n".join(lines)


class _Settings:
    """The `effective_*` keys, by what follows; None for what is missing or of another kind."""

    def __init__(self, effective: Mapping[str, object]) -> None:
        self._effective = effective

    def number(self, key: str) -> float | None:
        value = self._effective.get(f"effective_{key}")
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        value = self._effective.get(f"effective_{key}")
        return value if isinstance(value, str) else None


def _too_short(rules: Rules, values: _Settings) -> list[str]:
    found = []
    duration_ms = values.number("min_duration_ms")
    if duration_ms is not None and duration_ms < rules.min_duration_ms:
        found.append(
            f"min_duration is {duration_ms / 1000:g} s: MLPerf demands "
            f"{rules.min_duration_ms / 1000:g} s"
        )
    queries = values.number("min_query_count")
    if queries is not None and queries < rules.min_query_count:
        found.append(f"min_query_count is {queries:,.0f}: MLPerf demands {rules.min_query_count:,}")
    for key, unit, scale in (("max_duration_ms", " s", 1000), ("max_query_count", "", 1)):
        if limit := values.number(key):
            name = key.removesuffix("_ms")
            found.append(f"{name} is {limit / scale:,g}{unit}: MLPerf sets no such limit")
    return found


def _other_latency(rules: Rules, values: _Settings) -> list[str]:
    found = []
    percentile = values.number("target_latency_percentile")
    if rules.percent is not None and percentile is not None:
        percent = round(100 * percentile, 6)
        # A higher one is harder to meet where there is a bound to meet.
        if percent < rules.percent or (percent > rules.percent and rules.scenario is not SERVER):
            found.append(f"the percentile is p{percent:g}: MLPerf's is p{rules.percent:g}")
    bound_ns = values.number("target_latency_ns")
    official_ns = rules.target_latency_ns
    if official_ns is not None and bound_ns is not None and bound_ns > official_ns:
        found.append(
            f"the latency bound is {bound_ns / 1e6:g} ms: MLPerf's for {rules.model} is "
            f"{official_ns / 1e6:g} ms"
        )
    return found


def _other_samples(rules: Rules, values: _Settings, total: int | None) -> list[str]:
    found = []
    per_query = values.number("samples_per_query")
    if per_query is not None:
        wanted, least = rules.samples_per_query, rules.min_sample_count
        if wanted is not None and per_query != wanted:
            found.append(f"samples_per_query is {per_query:,.0f}: MLPerf demands {wanted}")
        if least is not None and per_query < least:
            found.append(f"the query has {per_query:,.0f} samples: MLPerf demands {least:,}")
    needed = rules.performance_sample_count
    loaded = values.number("performance_sample_count")
    if total is not None and total < needed:
        found.append(f"the data set has {total:,} samples: MLPerf has at least {needed:,} loaded")
    elif loaded is not None and loaded < needed:
        found.append(
            f"performance_sample_count is {loaded:,.0f}: MLPerf has at least {needed:,} loaded"
        )
    if values.text("test_mode") == "AccuracyOnly" and rules.total_samples is not None:
        counts = [each for each in (total, values.number("accuracy_sample_count")) if each]
        if counts and min(counts) < rules.total_samples:
            found.append(
                f"accuracy is of {min(counts):,.0f} samples: MLPerf's is of all "
                f"{rules.total_samples:,}"
            )
    return found


def _origin(rules: Rules, what: str) -> str:
    if rules.retired:
        return f"# MLPerf's historic {what}: it had {rules.model} in {rules.retired}."
    return f"# Tailrace's own {what}: MLPerf has no {rules.model}."
