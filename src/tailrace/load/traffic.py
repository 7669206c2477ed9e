"""Traffic: which requests go where, in which order; the schedule says when."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import UsageError
from tailrace.load.request import Body, Request, encode_requests
from tailrace.load.target import Endpoint, parse_target
from tailrace.load.turns import Order, Turns

_WEIGHTED = re.compile(r"(\d+(?:\.\d+)?):(https?://.*)")
_MAX_WEIGHT = 1e12


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests, the endpoints that they name by number, and how they take turns."""

    endpoints: list[Endpoint]
    requests: list[Request]
    turns: Turns


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server's certificate is checked; `ca_file` None trusts the system's authorities."""

    verify: bool = True
    ca_file: Path | None = None


def weighted_url(text: str) -> tuple[float, str]:
    """(weight, URL) of `http://…`, whose weight is 1, or `3:http://…`."""
    match = _WEIGHTED.fullmatch(text)
    return (float(match[1]), match[2]) if match else (1.0, text)


def plan_traffic(
    urls: Sequence[str],
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    bodies: Sequence[Body] = (),
    order: Order = "sequential",
    unix_socket: Path | None = None,
    tls: Tls | None = None,
) -> Traffic:
    """Traffic to one or several weighted URLs; every body goes to every one.

    `method` None is POST with bodies, else GET. A `unix_socket` takes the place of each URL's host
    and port.

    Raises:
        UsageError: a URL, weight, method or header cannot be used.
    """
    weights, endpoints, encoded = [], [], []
    tls = tls or Tls()
    for number, (weight, url) in enumerate(map(weighted_url, urls)):
        if not 0 < weight <= _MAX_WEIGHT:
            raise UsageError(f"the weight of {url} must be more than 0 and at most 1e12")
        target = parse_target(url)
        weights.append(weight)
        endpoints.append(
            Endpoint(
                host=target.host,
                port=target.port,
                unix_socket=str(unix_socket) if unix_socket is not None else None,
                tls=target.tls,
                verify=tls.verify,
                ca_file=str(tls.ca_file) if tls.ca_file is not None else None,
            )
        )
        verb = method or ("POST" if bodies else "GET")
        encoded.append(encode_requests(target, verb, headers or {}, bodies, number))
    return Traffic(
        endpoints,
        [request for own in encoded for request in own],
        Turns(tuple(map(len, encoded)), tuple(weights), order),
    )
