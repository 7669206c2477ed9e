"""What LoadGen is asked to do: MLPerf's settings for the model, the user's own, and the flags'.

All of it goes through one `user.conf`, which LoadGen reads after the `mlperf.conf` that it carries,
and which stays beside the logs: what was asked for is on record. In it, later lines win, and lines
that name the model win over those for all (`*`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlperf_loadgen as lg

from tailrace.errors import UsageError
from tailrace.mlperf.calibration import Estimate
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.rules import user_conf
from tailrace.mlperf.scenario import OFFLINE, SERVER, Scenario
from tailrace.models.zoo.spec import ModelSpec

_SHARES: Mapping[Mode, float] = {"find-peak": 0.25, "accuracy": 0.5}
"""Server: of the throughput, the rate of arrivals. A search begins there, and LoadGen does not look
below; where accuracy is measured, no latency is."""
_PRECISION = 0.01
_SHORTEST_S = 100e-6
"""LoadGen makes all queries of a stream beforehand, 200 bytes each, twice as many as it expects."""
_MARGIN = 1.2
"""By which a system may be faster in the test than it was measured to be."""
# It passes over what has no spaces without a word, and drops the whole file for some other lines.
_LINE = re.compile(r"#.*|[^.\s]+\.[^.\s]+\.[^.\s]+ += +[0-9.]+")
_MODES = {
    "performance": lg.TestMode.PerformanceOnly,
    "accuracy": lg.TestMode.AccuracyOnly,
    "find-peak": lg.TestMode.FindPeakPerformance,
}


@dataclass(frozen=True, slots=True)
class UserConf:
    """A user's own user.conf."""

    name: str
    text: str

    @classmethod
    def read(cls, file: Path) -> UserConf:
        """Reads it, once: it may be a pipe.

        Raises:
            UsageError: it cannot be read, or LoadGen would not take a line of it.
        """
        try:
            text = file.read_text(encoding="utf-8").rstrip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot read {file}: {reason}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not _LINE.fullmatch(line.strip()):
                raise UsageError(
                    f"{file}, line {number}: LoadGen takes 'MODEL.SCENARIO.KEY = VALUE', with "
                    f"spaces around the =, not {line.strip()!r}"
                )
        return cls(file.name, text)

    def has(self, scenario: Scenario, key: str) -> bool:
        """Whether it says this of the scenario, for whichever model."""
        lines = [line for line in self.text.splitlines() if not line.lstrip().startswith("#")]
        names = [line.partition("=")[0].strip().split(".")[1:] for line in lines]
        return [scenario.loadgen_name, key] in names


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a user asks for; None is what MLPerf says."""

    scenario: Scenario
    mode: Mode = "performance"
    rate_per_s: float | None = None
    """Server: of the Poisson arrivals; offline: expected, from which the samples are counted."""
    latency_s: float | None = None
    """Server: the bound on its percentile."""
    percent: float | None = None
    """Server: that percentile."""
    min_duration_s: float | None = None
    min_queries: int | None = None
    user_conf: UserConf | None = None

    def check(self) -> None:
        """Finds what LoadGen would not take.

        Raises:
            UsageError: it is that.
        """
        if self.mode == "find-peak" and self.scenario is not SERVER:
            raise UsageError("--find-peak is for --scenario server: it looks for a rate")
        if self.latency_s is not None and self.scenario is not SERVER:
            raise UsageError(f"--slo is for --scenario server: {self.scenario.name} has no bound")
        if self.rate_per_s is not None and self.scenario.streams:
            raise UsageError(
                f"--rate is for server and offline: in {self.scenario.name} a query follows the "
                "answer to the one before it"
            )
        if self.rate_per_s is not None and self.rate_per_s <= 0:
            raise UsageError("--rate must be more than 0")
        rated = self.rate_per_s is not None or self._conf_has("target_qps")
        if self.scenario is SERVER and self.mode == "performance" and not rated:
            raise UsageError(
                "--scenario server needs --rate (queries a second), target_qps in --user-conf, "
                "or --find-peak to look for the highest"
            )

    @property
    def needs_estimate(self) -> bool:
        """Whether LoadGen has to be told how fast the system is."""
        if self.mode == "accuracy" and self.scenario is not SERVER:
            return False
        key = "target_latency" if self.scenario.streams else "target_qps"
        return self.rate_per_s is None and not self._conf_has(key)

    def _conf_has(self, key: str) -> bool:
        return self.user_conf is not None and self.user_conf.has(self.scenario, key)


def conf_text(spec: ModelSpec, wishes: Wishes, estimate: Estimate | None) -> str:
    """The whole user.conf of a test."""
    parts = [user_conf(spec, wishes.scenario)]
    if estimate is not None:
        parts.append("# As measured before the test.")
        parts += _expectations(wishes, estimate)
    if wishes.user_conf is not None:
        parts += [f"# {wishes.user_conf.name}", wishes.user_conf.text]
    if flags := _flags(spec, wishes):
        parts += ["# The command line.", *flags]
    return "\n".join(parts) + "\n"


def loadgen_settings(spec: ModelSpec, wishes: Wishes, conf: Path) -> lg.TestSettings:
    """LoadGen's settings, from the user.conf written. Once a process: LoadGen reads its own
    mlperf.conf with the first user.conf alone.

    Raises:
        UsageError: LoadGen cannot read it.
    """
    settings = lg.TestSettings()
    if settings.FromConfig(str(conf), spec.name, wishes.scenario.loadgen_name, 1) != 0:
        raise UsageError(f"LoadGen cannot read {conf}")
    settings.scenario = getattr(lg.TestScenario, wishes.scenario.loadgen_name)
    settings.mode = _MODES[wishes.mode]
    if wishes.latency_s is not None:
        # The file takes whole milliseconds alone.
        settings.server_target_latency_ns = round(wishes.latency_s * 1e9)
    if wishes.percent is not None:
        settings.server_target_latency_percentile = wishes.percent / 100
    if wishes.mode == "find-peak":
        fine = settings.server_target_qps / _SHARES[wishes.mode] * _PRECISION
        settings.server_find_peak_qps_decimals_of_precision = max(0, -math.floor(math.log10(fine)))
    return settings


def _expectations(wishes: Wishes, estimate: Estimate) -> list[str]:
    name = wishes.scenario.loadgen_name
    if wishes.scenario is OFFLINE:
        return [f"*.{name}.target_qps = {_MARGIN * estimate.samples_per_s:.6g}"]
    if wishes.scenario is SERVER:
        return [f"*.{name}.target_qps = {_SHARES[wishes.mode] * estimate.samples_per_s:.6g}"]
    expected_s = max(estimate.query_s / _MARGIN, _SHORTEST_S)
    return [f"*.{name}.target_latency = {expected_s * 1e3:.6g}"]


def _flags(spec: ModelSpec, wishes: Wishes) -> list[str]:
    values: dict[str, str] = {}
    if wishes.rate_per_s is not None:
        values["target_qps"] = f"{wishes.rate_per_s:.9g}"
    if wishes.min_duration_s is not None:
        values["min_duration"] = str(round(wishes.min_duration_s * 1000))
    if wishes.min_queries is not None:
        values["min_query_count"] = str(wishes.min_queries)
    name = wishes.scenario.loadgen_name
    lines = [f"{spec.name}.{name}.{key} = {value}" for key, value in values.items()]
    if wishes.latency_s is not None:
        lines.append(f"# target_latency: {wishes.latency_s * 1e3:.9g} ms")
    if wishes.percent is not None:
        lines.append(f"# target_latency_percentile: {wishes.percent:g}")
    return lines
