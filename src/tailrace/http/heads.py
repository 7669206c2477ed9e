"""What a server must refuse in the head of a request though it can be parsed (RFC 9112, 3)."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

# uri-host [":" port] (RFC 9110, 7.2; RFC 3986, 3.2.2). It may be empty.
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-fvV:.~-]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?", re.ASCII
)


def fault(
    version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[int, str] | None:
    """Status and reason of the refusal of a head, by its version such as `1.1`, its target and its
    headers, names in lower case; None if it passes."""
    hosts = 0
    host = b""
    for name, value in headers:
        if name == b"host":
            hosts, host = hosts + 1, value
    if hosts == 1 and version == "1.1" and b"#" not in target and _is_host(host):
        return None
    if version not in ("1.1", "1.0"):
        return 505, f"HTTP/{version} is not spoken here: send HTTP/1.1"
    if hosts != 1 and (hosts or version == "1.1"):
        return 400, f"there are {hosts} Host headers: send one"
    if not _is_host(host):
        return 400, "the Host header names no host"
    if b"#" in target:
        return 400, "the request's target has a fragment: leave out '#' and what follows"
    return None


@functools.lru_cache(64)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None
