"""A service, started with the very arguments that the manifests give."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import httpx
import pytest

from tests.deploy.manifests import Document, arguments, environment_of, find, render
from tests.kit import cli
from tests.kit.waiting import TIMEOUT_S

TOKEN = "secret"


@pytest.fixture(scope="session")
def base() -> list[Document]:
    return render("base")


@contextlib.contextmanager
def _serving(words: Sequence[str]) -> Iterator[str]:
    process = cli.start(*words, env=os.environ | {"TAILRACE_TOKEN": TOKEN}, stdout=None)
    assert process.stderr is not None
    try:
        url = ""
        for line in process.stderr:
            url = line.split()[-1] if " on http://" in line else url
            if line == "tailrace: ready\n":
                break
        assert url
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture(scope="session")
def service(base: list[Document]) -> Iterator[httpx.Client]:
    """The base's service on a port of its own, without the token."""
    (container,) = find(base, "Deployment")["spec"]["template"]["spec"]["containers"]
    words = arguments(container, environment_of(container, base))
    replaced = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": "--port=0"}
    assert replaced.keys() <= set(words)
    with (
        _serving([replaced.get(word, word) for word in words]) as url,
        httpx.Client(base_url=url, timeout=TIMEOUT_S) as client,
    ):
        yield client
