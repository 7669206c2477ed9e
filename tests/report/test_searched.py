"""The picture of a search: nothing in it is cut off."""

import re
from html import unescape

import msgspec

from tailrace.report.searched import draw_search
from tests.kit.samples import FOUND

LONGEST = 100
"""Characters that have room in the picture, in its own font."""


def test_a_long_reason_and_address_have_room() -> None:
    reason = (
        "400 requests a second, the most that was allowed, hold p99<200ms; none above was tried"
    )
    target = "http://127.0.0.1:8000/" + "a-model-of-a-long-name/" * 9 + "infer"
    found = msgspec.structs.replace(FOUND, reason=reason, target=target)
    texts = [
        unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", draw_search(found))
    ]
    titles = texts[: texts.index(next(text for text in texts if text.startswith("http")))]
    assert " ".join(titles) == reason
    assert max(map(len, texts)) <= LONGEST
    (told,) = [text for text in texts if text.startswith("http://127.0.0.1:8000/")]
    assert told.endswith("infer")
