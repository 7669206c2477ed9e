"""The RayService: Ray's own schema takes it, and so does the application it names."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import yaml

from tailrace.service.on_ray.replicas import read_arguments
from tests.deploy.manifests import DEPLOY, find, render

# Ray's own schema, of an older pydantic.
pytestmark = pytest.mark.filterwarnings("ignore:Using extra keyword arguments")


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    spec: dict[str, Any] = find(render("overlays/ray"), "RayService")["spec"]
    return spec


def test_ray_serve_takes_its_configuration(service: dict[str, Any]) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = yaml.safe_load(service["serveConfigV2"])
    schema = ServeDeploySchema.model_validate(config)
    cluster = service["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["serve"] == schema.http_options.port == 5000


def test_application_takes_its_arguments(
    service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_TOKEN", "secret")
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    module, _, builder = application["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), builder))
    config, scale = read_arguments(application["args"])
    config.check_settings()
    (group,) = service["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    # A replica takes a worker pod's CPUs whole, so that there may be one a pod.
    cpus = config.threads * config.intra_op_threads
    assert int(container["resources"]["limits"]["cpu"]) == cpus
    assert (group["minReplicas"], group["maxReplicas"]) == (scale.fewest, scale.most)
    grace_s = group["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > config.grace_s


def test_cluster_runs_the_images_ray(service: dict[str, Any]) -> None:
    lock = (DEPLOY / "requirements-ray.lock").read_text()
    (pinned,) = re.findall(r"^ray==(\S+)", lock, re.MULTILINE)
    assert service["rayClusterConfig"]["rayVersion"] == pinned
