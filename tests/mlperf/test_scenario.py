"""Names of scenarios."""

import pytest

from tailrace.errors import UsageError
from tailrace.mlperf.scenario import SCENARIOS, find_scenario


def test_both_spellings() -> None:
    for scenario in SCENARIOS:
        for text in (scenario.name, scenario.loadgen_name, scenario.name.replace("-", "_")):
            assert find_scenario(text) is scenario
    with pytest.raises(UsageError, match="there are single-stream, multi-stream, server, offline"):
        find_scenario("edge")
