import json
import shutil
from pathlib import Path

import pytest

from tailrace.load.measure.measurement import COUNTS
from tailrace.report.facts import health
from tailrace.report.subject import read_subjects


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        ({"10.0.0.1:80": 1200, "[fe80::1]:80": 1199}, ["10.0.0.1:80 1,200", "[fe80::1]:80 1,199"]),
        # Nothing to compare.
        ({"10.0.0.1:80": 1200}, []),
        (None, []),
    ],
)
def test_requests_by_address(
    runs: Path, tmp_path: Path, addresses: dict[str, int] | None, shown: list[str]
) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "run")
    result = json.loads((path / "result.json").read_text())
    del result["addresses"]
    if addresses is not None:
        result["addresses"] = addresses
    (path / "result.json").write_text(json.dumps(result))
    text = str(health(read_subjects([path]), None))
    assert [address for address in shown if address in text] == shown
    assert ("10.0.0.1" in text) is bool(shown)


def test_every_count_that_says_so_has_a_row(runs: Path) -> None:
    (subject,) = read_subjects([runs / "fast"])
    text = str(health([subject], None))
    said = [count.health for count in COUNTS.values() if count.health]
    assert said
    assert [name for name in said if name in text] == said
    assert subject.asked is not None
    assert f"of {subject.asked.connections:,}" in text
