"""MLPerf's four scenarios."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scenario:
    """How LoadGen issues queries, and what the result of a test is (MLPerf inference rules)."""

    name: str
    """On the command line."""
    loadgen_name: str
    """In LoadGen's settings, in its logs and in the folders of a submission."""
    streams: bool
    """Whether a query is issued when the one before it is answered."""
    network: bool
    """Whether MLPerf's Network division has it."""


SINGLE_STREAM = Scenario("single-stream", "SingleStream", streams=True, network=False)
MULTI_STREAM = Scenario("multi-stream", "MultiStream", streams=True, network=False)
SERVER = Scenario("server", "Server", streams=False, network=True)
OFFLINE = Scenario("offline", "Offline", streams=False, network=True)

SCENARIOS = (SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE)


def find_scenario(text: str) -> Scenario:
    """The scenario of this name, in either spelling: `single-stream` or `SingleStream`.

    Raises:
        UsageError: there is none.
    """
    plain = text.replace("-", "").replace("_", "").lower()
    for scenario in SCENARIOS:
        if scenario.loadgen_name.lower() == plain:
            return scenario
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    raise UsageError(f"there is no scenario {text!r}: there are {names}")
