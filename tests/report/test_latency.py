import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tailrace.load.measure.histogram import Histogram
from tailrace.report.latency import draw_distribution, draw_percentiles
from tailrace.report.subject import Subject, read_subjects
from tests.kit.queues import Queue, stretches_of


def subjects(runs: Path, *names: str) -> list[Subject]:
    return read_subjects([runs / name for name in names])


def corners_of(path: str) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def lines(svg: str, of: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg)
    return [corners_of(p.attrib["d"]) for p in root.iter("path") if of in p.attrib.get("class", "")]


def test_the_curve_rises_and_stays_within_its_band(runs: Path) -> None:
    (subject,) = subjects(runs, "fast")
    queue = Queue("M/D/1", 200.0, 0.5)
    stretches = stretches_of(queue.draw(np.random.default_rng(1), 60.0), 60.0, 200.0)
    subject = replace(subject, latency=stretches.latency)
    vars(subject)["stretches"] = stretches
    svg = draw_percentiles([subject])
    assert svg is not None
    (curve,), (band,) = lines(svg, "line"), lines(svg, "band")
    xs, ys = zip(*curve, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)
    half = len(band) // 2
    lower, upper = band[:half], band[half:][::-1]
    places = dict(curve)
    for (x, low), (same, high) in zip(lower, upper, strict=True):
        assert x == same
        assert high <= places[min(places, key=lambda at: abs(at - x))] <= low


def test_each_run_has_a_curve_of_its_own(runs: Path) -> None:
    svg = draw_percentiles(subjects(runs, "fast", "slow", "killed"))
    assert svg is not None
    assert all(f'class="run-{number}"' in svg for number in range(3))
    fast, slow, killed = lines(svg, "line")
    assert slow == killed
    assert min(y for _, y in slow) < min(y for _, y in fast) or max(y for _, y in slow) < max(
        y for _, y in fast
    )


def test_shares_of_the_distribution_add_up(runs: Path) -> None:
    (subject,) = subjects(runs, "slow")
    svg = draw_distribution([subject])
    assert svg is not None
    (outline,) = lines(svg, "line")
    base = outline[0][1]
    texts = ElementTree.fromstring(svg).findall("text")
    levels = {
        text.text: float(text.attrib["y"]) - 4
        for text in texts
        if text.attrib["class"] == "end" and text.text != "0"
    }
    label, y = next(iter(levels.items()))
    per_share = (base - y) / (float(label or 0) / 100)
    heights = [(base - y) / per_share for _, y in outline[1:-1:2]]
    assert sum(heights) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("times_ms", [[], [5.0], [5.0, 5.0], [0.0], [1.0, 3_000_000.0]])
def test_few_or_odd_answers_are_drawn_too(runs: Path, times_ms: list[float]) -> None:
    (subject,) = subjects(runs, "fast")
    latency = Histogram.of(np.array([int(1e6 * ms) for ms in times_ms], dtype=np.int64))
    odd = Subject("", subject.path, subject.record, {}, latency)
    for draw in (draw_percentiles, draw_distribution):
        svg = draw([odd])
        assert (svg is None) == (not times_ms)
        if svg is not None:
            assert "nan" not in svg
            ElementTree.fromstring(svg)
