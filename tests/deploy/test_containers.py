"""Dockerfile and compose file: linted, and what they start is what the CLI accepts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tailrace.control.config_file import read_config
from tailrace.models import zoo
from tailrace.units import parse_duration_s
from tests.deploy.manifests import DEPLOY, Document, find, parse, tool
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    import httpx

    from tests.kit.programs import LaunchRoom

ROOT = DEPLOY.parent
PINNED = re.compile(r"^([a-z0-9][\w.-]*)(?:\[\S*\])?==(\S+)((?: ;.*?)?) *\\?$", re.MULTILINE)
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


@pytest.fixture(scope="module")
def dockerfile() -> str:
    # Continued lines are one.
    return (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


@pytest.fixture(scope="module")
def compose() -> Document:
    document: Document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def _last(instruction: str, dockerfile: str) -> str:
    return re.findall(rf"^{instruction} +(.*)$", dockerfile, re.MULTILINE)[-1].strip()


def _locked(name: str) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for package, version, marker in PINNED.findall((ROOT / name).read_text()):
        found.setdefault(package, set()).add((version, marker.strip()))
    return found


def test_hadolint_has_nothing_to_say() -> None:
    command = [tool("hadolint"), str(DEPLOY / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_image_starts_what_the_cli_accepts(dockerfile: str, base: list[Document]) -> None:
    assert json.loads(_last("ENTRYPOINT", dockerfile)) == ["tailrace"]
    command, options = parse(json.loads(_last("CMD", dockerfile)))
    assert command == "serve"
    zoo.find(*options["models"])
    assert options["host"] == "0.0.0.0"
    assert str(options["port"]) in _last("EXPOSE", dockerfile).split()
    pod = find(base, "Deployment")["spec"]["template"]["spec"]
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert _last("USER", dockerfile) == user
    assert _last("STOPSIGNAL", dockerfile) == "SIGTERM"
    volumes = set(json.loads(_last("VOLUME", dockerfile)))
    (container,) = pod["containers"]
    assert volumes < {mount["mountPath"] for mount in container["volumeMounts"]}


def test_health_check_passes_for_a_service_and_fails_without(
    dockerfile: str, service: httpx.Client
) -> None:
    (check,) = re.findall(r"^HEALTHCHECK .*?CMD +(\[.*\])$", dockerfile, re.MULTILINE)
    python, *words = json.loads(check)
    assert python == "python3"
    for port, healthy in ((service.base_url.port, True), (1, False)):
        asked = [word.replace(":5000/", f":{port}/") for word in words]
        done = subprocess.run([sys.executable, *asked], capture_output=True, timeout=60)
        assert (done.returncode == 0) == healthy


def test_what_is_copied_is_there_and_sent(dockerfile: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert any(Path(source).match(pattern) for pattern in kept), source


def test_variants_differ_in_their_own_packages_alone() -> None:
    common = _locked("requirements.lock")
    cuda, ray = (_locked(f"deploy/requirements-{name}.lock") for name in ("cuda", "ray"))
    never = {(version, "; sys_platform == 'never'") for version, _ in common["onnxruntime"]}
    assert cuda["onnxruntime"] == never
    assert {"onnxruntime-gpu", "nvidia-cudnn-cu13"} <= cuda.keys()
    assert "ray" in ray
    for package in common.keys() - {"onnxruntime"}:
        assert cuda[package] == common[package]
    for package, pinned in common.items():
        assert {version for version, _ in ray[package]} == {version for version, _ in pinned}


def test_compose_starts_what_the_cli_accepts(compose: Document) -> None:
    services: dict[str, Any] = compose["services"]
    for name in ("service", "service-gpu"):
        service = services[name]
        command, options = parse([DEFAULT.sub(r"\1", word) for word in service["command"]])
        assert command == "serve"
        zoo.find(*options["models"])
        assert options["host"] == "0.0.0.0"
        assert service["ports"] == [f"127.0.0.1:5000:{options['port']}"]
        grace_s = parse_duration_s(options["grace"])
        assert parse_duration_s(service["stop_grace_period"]) > grace_s + 1
    assert options["device"] == "cuda"
    assert services["service-gpu"]["profiles"] == ["gpu"]
    assert services["service-gpu"]["build"]["args"] == {"VARIANT": "cuda"}
    assert services["service-gpu"]["networks"]["default"]["aliases"] == ["service"]
    for service in services.values():
        assert service["environment"]["TAILRACE_TOKEN"].startswith("${TAILRACE_TOKEN:?")
        assert service["cap_drop"] == ["ALL"]
    build = services["service"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_compose_file_is_dockers(compose: Document) -> None:
    """By Docker itself, where it has its compose plugin; it needs no daemon for this."""
    docker = tool("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker has no compose plugin")
    command = [docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "--profile", "gpu", "config"]
    environment = os.environ | {"TAILRACE_TOKEN": "secret"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == compose["services"].keys()


def test_room_of_the_compose_file_is_up_and_loads_its_service(
    compose: Document, tmp_path: Path, control_room: LaunchRoom, service: httpx.Client
) -> None:
    room = compose["services"]["room"]
    command, options = parse(room["command"])
    assert command == "dashboard"
    (source,) = room["configs"]
    assert str(options["config"]) == source["target"]
    content = compose["configs"][source["source"]]["content"]
    file = tmp_path / "room.toml"
    file.write_text(content.replace("${TAILRACE_TOKEN}", "secret"))
    config = read_config(file)
    assert config.host == "0.0.0.0"
    published = [port.split(":")[-1] for port in room["ports"]]
    assert published == [str(config.port), str(config.rpc_port)]
    (aimed,) = config.services
    assert aimed.url == "http://service:5000/gpu"
    assert dict(aimed.headers) == {"Authorization": "Bearer secret"}

    # It runs, here on ports of its own and without leaving its folder; its health check passes.
    text = file.read_text().replace("/home/tailrace/runs", str(tmp_path / "runs"))
    text = text.replace('["service"]', '["127.0.0.1"]')
    file.write_text(text.replace("http://service:5000", str(service.base_url).rstrip("/")))
    running = control_room(
        *("--config", str(file), "--host", "127.0.0.1", "--port", "0", "--rpc-port", "0"),
        environment={"TAILRACE_TOKEN": "secret"},
    ).ready()
    port = running.url.rpartition(":")[2]
    _, _, _, script = room["healthcheck"]["test"]
    for asked, healthy in ((port, True), ("1", False)):
        words = [sys.executable, "-c", script.replace("8080", asked)]
        done = subprocess.run(words, capture_output=True, timeout=60)
        assert (done.returncode == 0) == healthy

    # The service takes its load, and tells it alone what CPU it uses.
    authorized = {"Authorization": "Bearer secret"}
    running.ask("POST", "/services/service/start", headers=authorized)

    def with_cpu() -> Any:
        point = running.ask("GET", "/services/service/latest", headers=authorized)
        return point if point and "cpu_percent" in point["server"] else None

    point = wait_until(with_cpu)
    assert point["failed"] == {}
