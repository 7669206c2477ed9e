"""Traffic: which requests go where, in which order; the schedule says when."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import UsageError
from tailrace.load.client.request import Body, Headers, Request, encode_requests
from tailrace.load.client.target import Endpoint, parse_target
from tailrace.load.client.turns import Order, Turns

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
    """How a server's certificate is checked, and what certificate it is shown.

    `ca_file` None trusts the system's authorities; `key` None is in the same file as `cert`.
    """

    verify: bool = True
    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.key is not None and self.cert is None:
            raise UsageError("a key (--key) needs the certificate (--cert) that it belongs to")


def weighted_url(text: str) -> tuple[float, str]:
    """(weight, URL) of `http://…`, whose weight is 1, or `3:http://…`."""
    match = _WEIGHTED.fullmatch(text)
    return (float(match[1]), match[2]) if match else (1.0, text)


def plan_traffic(
    urls: Sequence[str],
    *,
    method: str | None = None,
    headers: Headers = (),
    bodies: Sequence[Body] = (),
    order: Order = "sequential",
    unix_socket: Path | None = None,
    connect_to: tuple[str, int] | None = None,
    tls: Tls | None = None,
    keep_alive: bool = True,
) -> Traffic:
    """Traffic to one or several weighted URLs; every body goes to every one.

    `method` None is POST with bodies, else GET. A `unix_socket`, or the host and port `connect_to`,
    is connected to in place of each URL's host and port; all that is sent stays the URL's. Without
    `keep_alive` each request says that it is the last one on its connection.

    Raises:
        UsageError: a URL, weight, method or header cannot be used.
    """
    weights, endpoints, encoded = [], [], []
    tls = tls or Tls()
    if not keep_alive:
        headers = [*headers, ("Connection", "close")]
    if unix_socket is not None and connect_to is not None:
        raise UsageError("--unix-socket and --connect-to both say where to connect: give one")
    for number, (weight, url) in enumerate(map(weighted_url, urls)):
        target = parse_target(url)
        if not 0 < weight <= _MAX_WEIGHT:
            raise UsageError(
                f"the weight of {target.authority} must be more than 0 and at most 1e12"
            )
        weights.append(weight)
        host, port = connect_to or (target.host, target.port)
        endpoints.append(
            Endpoint(
                host=host,
                port=port,
                unix_socket=_text(unix_socket),
                tls=target.tls,
                server_name=target.server_name,
                verify=tls.verify,
                ca_file=_text(tls.ca_file),
                cert_file=_text(tls.cert),
                key_file=_text(tls.key),
            )
        )
        verb = method or ("POST" if bodies else "GET")
        encoded.append(encode_requests(target, verb, headers, bodies, number))
    return Traffic(
        endpoints,
        [request for own in encoded for request in own],
        Turns(tuple(map(len, encoded)), tuple(weights), order),
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None
