"""The files of deploy/, rendered and read as those who run them do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tailrace.cli import build

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("base", *(f"overlays/{path.name}" for path in (KUBERNETES / "overlays").iterdir()))
CUSTOM_KINDS = {"ServiceMonitor", "RayService"}
"""Kinds that come with operators: Kubernetes itself has no schema of them."""
Document = dict[str, Any]

_VARIABLE = re.compile(r"\$\((\w+)\)")


def tool(name: str) -> str:
    """The program of this name beside this Python, or on the path; the test is skipped without."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def render(overlay: str) -> list[Document]:
    """What `kubectl apply -k` would send to a cluster."""
    command = [tool("kubectl"), "kustomize", str(KUBERNETES / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def find(documents: Sequence[Document], kind: str, name: str | None = None) -> Document:
    """The one document of this kind, and this name if given."""
    (document,) = (
        document
        for document in documents
        if document["kind"] == kind and name in (None, document["metadata"]["name"])
    )
    return document


def pods(documents: Sequence[Document]) -> Iterator[Document]:
    """The pod templates among `documents`, those inside a Ray cluster's groups included."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document["spec"]["template"]
        elif document["kind"] == "RayService":
            cluster = document["spec"]["rayClusterConfig"]
            for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                yield group["template"]


def environment_of(container: Document, documents: Sequence[Document]) -> dict[str, str]:
    """The variables of a container; what only a cluster knows has the name as its value."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        values |= find(documents, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        values[variable["name"]] = variable.get("value", variable["name"])
    return values


def arguments(container: Document, values: Mapping[str, str]) -> list[str]:
    """The arguments of a container, with `$(VARIABLE)` replaced as Kubernetes does."""

    def value(match: re.Match[str]) -> str:
        assert match[1] in values, f"{match[0]} is not set"
        return values[match[1]]

    return [_VARIABLE.sub(value, argument) for argument in container["args"]]


def parse(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Command and options that `tailrace` reads from `words`; fails where it would refuse them."""
    group: Any = get_command(build())
    name, *rest = words
    context = group.commands[name].make_context(name, rest)
    return name, context.params
