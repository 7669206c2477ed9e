"""The manifests: they render, Kubernetes' schemas take them, and the CLI takes what they say."""

from __future__ import annotations

from typing import Any

import httpx
import kubernetes_validate
import pytest

from tailrace.load.client.request import parse_header
from tailrace.load.judge.slo import parse_slo
from tailrace.load.schedule.schedule import Part, parse_part
from tailrace.models import zoo
from tailrace.models.runtimes.device import parse_device
from tailrace.service.supervisor import KILL_AFTER_S
from tailrace.units import parse_duration_s, parse_rate_per_s
from tests.deploy.manifests import (
    CUSTOM_KINDS,
    OVERLAYS,
    Document,
    arguments,
    environment_of,
    find,
    parse,
    pods,
    render,
)

VERSION = "1.37"
FUTURE = "2999-01-01T00:00:00Z"


def _container(document: Document) -> Document:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_schemas_of_kubernetes_take_it(overlay: str) -> None:
    documents = render(overlay)
    assert documents
    for document in documents:
        if document["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(document, VERSION, strict=True)
    for template in pods(documents):
        metadata = {"name": "x"} | template.get("metadata", {})
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        kubernetes_validate.validate(pod, VERSION, strict=True)


def test_schemas_refuse_what_is_wrong(base: list[Document]) -> None:
    deployment: Any = find(base, "Deployment")
    broken = deployment | {"spec": deployment["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_may_more_than_it_needs(overlay: str) -> None:
    for template in pods(render(overlay)):
        pod = template["spec"]["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 10001
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in template["spec"]["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            # Ray writes into its own image.
            assert security.get("readOnlyRootFilesystem") or container["name"] == "ray"
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounts == {volume["name"] for volume in template["spec"].get("volumes", ())}


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ("base", {"models": ["shapes"], "device": "cpu", "workers": 1, "dataset": None}),
        ("overlays/autoscaling", {"models": ["shapes"], "device": "cpu"}),
        ("overlays/monitoring", {"models": ["shapes"], "device": "cpu"}),
        ("overlays/gpu", {"models": ["ssd-mobilenet"], "device": "cuda", "workers": 8}),
    ],
)
def test_service_is_asked_for_what_it_can(overlay: str, expected: dict[str, Any]) -> None:
    documents = render(overlay)
    deployment = find(documents, "Deployment")
    container = _container(deployment)
    values = environment_of(container, documents)
    command, options = parse(arguments(container, values))
    assert command == "serve"
    assert {key: options[key] for key in expected} == expected
    zoo.find(*options["models"])
    parse_device(options["device"], ("cpu", "cuda", "tensorrt"), "ONNX Runtime")
    assert options["host"] == "0.0.0.0"
    assert "TAILRACE_TOKEN" in values

    (port,) = container["ports"]
    assert options["port"] == port["containerPort"] == 5000
    service = find(documents, "Service")["spec"]
    (outside,) = service["ports"]
    assert (outside["port"], outside["nodePort"]) == (5000, 31500)
    assert outside["targetPort"] == port["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (service["selector"], deployment["spec"]["selector"]["matchLabels"]):
        assert selector
        assert selector.items() <= labels.items()

    # What is stopped at the end of the grace period has had all of its own.
    stopping_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    stopping_s += parse_duration_s(options["grace"]) + KILL_AFTER_S
    assert stopping_s < deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    # A fraction of a CPU would be no thread's, and is throttled.
    assert float(container["resources"]["limits"]["cpu"]).is_integer()
    assert container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"]


def test_gpu_has_a_card_and_its_files() -> None:
    documents = render("overlays/gpu")
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = environment_of(container, documents)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert values["CUDA_VISIBLE_DEVICES"] == "0"
    assert container["image"].endswith(":cuda")
    _, options = parse(arguments(container, values))
    paths = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "hostPath" in volumes[paths[str(options["dataset"])]]
    assert "hostPath" in volumes[paths["/models"]]
    assert zoo.find(*options["models"]).needs_file


def test_probes_are_answered_without_the_token(base: list[Document], service: httpx.Client) -> None:
    container = _container(find(base, "Deployment"))
    names = [port["name"] for port in container["ports"]]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] in names
        assert service.get(asked["path"]).status_code == 200
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    # And all else needs it.
    assert service.get("/gpu").status_code == 401
    assert service.get("/gpu", headers={"Authorization": "Bearer secret"}).text == "ok"


def test_autoscaler_alone_says_how_many_pods_there_are() -> None:
    documents = render("overlays/autoscaling")
    deployment = find(documents, "Deployment")
    assert "replicas" not in deployment["spec"]
    scaler = find(documents, "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert 1 <= scaler["minReplicas"] < scaler["maxReplicas"]


def test_fleet_sends_each_part_of_one_schedule() -> None:
    documents = render("overlays/fleet")
    job = find(documents, "Job")
    parts = job["spec"]["completions"]
    assert job["spec"]["completionMode"] == "Indexed"
    # All at once: a part that waits for another's end would be late.
    assert job["spec"]["parallelism"] == parts
    container = _container(job)
    asked = []
    for index in range(parts):
        values = environment_of(container, documents)
        # What a cluster sets.
        values |= {"JOB_COMPLETION_INDEX": str(index), "START_AT": FUTURE}
        command, options = parse(arguments(container, values))
        assert command == "load"
        parse_rate_per_s(options["rate"])
        parse_duration_s(options["duration_s"])
        assert [parse_slo(text).expression for text in options["slo"]] == ["p99<100ms"]
        assert dict(map(parse_header, options["headers"])) == {
            "Authorization": "Bearer TAILRACE_TOKEN"
        }
        assert options["start_at"] == FUTURE
        asked.append((parse_part(options["part"]), options["out"]))
    assert [part for part, _ in asked] == [Part(index, parts) for index in range(parts)]
    assert len({out for _, out in asked}) == parts
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert all(str(out).startswith(f"{mounts['runs']}/") for _, out in asked)
    labels = job["spec"]["template"]["metadata"]["labels"]
    (spread,) = job["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_fleet_aims_at_the_service(base: list[Document]) -> None:
    service = find(base, "Service")
    (port,) = service["spec"]["ports"]
    values = find(render("overlays/fleet"), "ConfigMap")["data"]
    assert values["URL"] == f"http://{service['metadata']['name']}:{port['port']}/gpu"
