"""The picture of a search: all that was measured is in it, and nothing is cut off."""

import re
from html import unescape

import msgspec

from tailrace.load.search.answer import CurvePoint
from tailrace.view.search_curve import draw_search
from tests.kit.samples import FOUND

LONGEST = 100
"""Characters that have room in the picture, in its own font."""


def texts_of(drawing: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing)]


def test_a_long_reason_and_address_have_room() -> None:
    reason = (
        "400 requests a second, the most that was allowed, hold p99<200ms; none above was tried"
    )
    target = "http://127.0.0.1:8000/" + "a-model-of-a-long-name/" * 9 + "infer"
    found = msgspec.structs.replace(FOUND, reason=reason, target=target)
    texts = texts_of(draw_search(found))
    titles = texts[: texts.index(next(text for text in texts if text.startswith("http")))]
    assert " ".join(titles) == reason
    assert max(map(len, texts)) <= LONGEST
    (told,) = [text for text in texts if text.startswith("http://127.0.0.1:8000/")]
    assert told.endswith("infer")


def point(rate: float, share: float, ms: float | None) -> CurvePoint:
    return CurvePoint(
        rate_per_s=rate,
        seconds=3.0,
        requests=int(3 * rate),
        statistic_ms=ms,
        share=share,
        low=share / 2,
        high=share * 2,
    )


def test_the_curve_has_both_panels_and_the_interval() -> None:
    curve = (point(100, 0.0, 20), point(400, 0.008, 90), point(450, 0.03, None))
    found = msgspec.structs.replace(FOUND, curve=curve, interval_per_s=(420.0, 440.0))
    drawn = draw_search(found)
    # Each rate has a dot in the share's panel, and one in the latency's where there is a latency.
    assert len(re.findall(r'<circle[^>]*class="(?:holds|breaks)"[^>]*><title>', drawn)) == 5
    assert "3 % over the bound, of 1,350 requests" in drawn
    assert {"p99<100ms", "1 %", "420/s", "holds", "breaks"} <= set(texts_of(drawn))
    heights = [float(y) for y in re.findall(r'c?y[12]?="([\d.]+)"', drawn)]
    assert max(heights) <= float(re.findall(r'viewBox="0 0 \S+ (\S+)"', drawn)[0])


def test_an_slo_on_failures_bounds_no_latency() -> None:
    curve = (point(100, 0.0, None), point(400, 0.03, None))
    found = msgspec.structs.replace(FOUND, slo="failed<1%", curve=curve, steps=())
    drawn = draw_search(found)
    assert {"1 %", "100", "holds", "breaks"} <= set(texts_of(drawn))
    assert not re.search(r"\b(inf|nan)\b", drawn)


def test_a_search_that_has_nothing_yet_is_drawn() -> None:
    found = msgspec.structs.replace(FOUND, rate_per_s=None, steps=())
    assert "p99<100ms" in texts_of(draw_search(found))


def test_a_mean_is_drawn_as_a_share_of_its_bound() -> None:
    found = msgspec.structs.replace(FOUND, slo="mean<100ms", curve=(point(100, 0.2, 20),))
    assert "100 %" in texts_of(draw_search(found))
    assert "20 % of the bound" in draw_search(found)
