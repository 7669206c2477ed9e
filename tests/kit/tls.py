"""A server's certificate, from an authority that the test may trust or not."""

import ssl

import trustme


def certified(host: str = "127.0.0.1", authority: trustme.CA | None = None) -> ssl.SSLContext:
    """What a server named `host` speaks TLS with; by default nobody trusts it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (authority or trustme.CA()).issue_cert(host).configure_cert(context)
    return context
