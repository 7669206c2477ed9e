"""Monitoring: what is asked of Prometheus is what /metrics has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.manifests import KUBERNETES, Document, find, render

AUTHORIZED = {"Authorization": "Bearer secret"}
# A series and its selector; and what an aggregation keeps.
SERIES = re.compile(r"([a-z_]\w*)\{([^}]*)\}")
KEPT = re.compile(r"\bby \(([^)]*)\)")
LABEL = re.compile(r"(\w+)\s*=~?\s*\"([^\"]*)\"")
# Those that Prometheus itself sets on what it reads from a pod.
OF_PROMETHEUS = {"namespace", "pod"}
# Of machines that have a card.
GPU = {"tailrace_gpu_utilization_ratio": {"gpu", "name"}}

Labels = dict[str, set[str]]


@pytest.fixture(scope="module")
def exported(service: httpx.Client) -> dict[str, Labels]:
    """Every series of /metrics: its labels, and their values."""
    assert service.get("/gpu", headers=AUTHORIZED).status_code == 200
    found: dict[str, Labels] = {}
    text = service.get("/metrics", headers=AUTHORIZED).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def _panels() -> Iterator[tuple[str, str]]:
    dashboard = json.loads(
        find(render("overlays/monitoring"), "ConfigMap", "tailrace-dashboard")["data"][
            "tailrace.json"
        ]
    )
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _rules() -> list[Document]:
    file = KUBERNETES / "components/autoscaling/adapter-rules.yaml"
    rules: list[Document] = yaml.safe_load(file.read_text())["rules"]["custom"]
    return rules


def _check_metrics(query: str, exported: dict[str, Labels]) -> None:
    series = SERIES.findall(query)
    assert series, query
    for name, selector in series:
        labels = exported[name] if name not in GPU else {label: set() for label in GPU[name]}
        known = labels.keys() | OF_PROMETHEUS
        for label, value in LABEL.findall(selector):
            assert label in known, (name, label)
            if label in labels and not value.startswith("$"):
                assert value in labels[label], (name, label, value)
        for kept in KEPT.findall(query):
            assert {label.strip() for label in kept.split(",")} <= known | {"le"}, query
    assert query.count("(") == query.count(")")


def test_every_panel_shows_what_the_service_exports(exported: dict[str, Labels]) -> None:
    shown = list(_panels())
    assert {title for title, _ in shown} >= {
        "p50 by stage",
        "p99 by stage",
        "Queue",
        "Requests by outcome",
        "Batch size",
        "CPU",
    }
    for _, query in shown:
        _check_metrics(query, exported)


def test_a_query_of_something_else_is_noticed(exported: dict[str, Labels]) -> None:
    with pytest.raises(KeyError):
        _check_metrics('rate(tailrace_request_total{pod="x"}[1m])', exported)
    with pytest.raises(AssertionError):
        _check_metrics('rate(tailrace_requests_total{state="ok"}[1m])', exported)
    with pytest.raises(AssertionError):
        _check_metrics('rate(tailrace_stage_duration_seconds_sum{stage="wait"}[1m])', exported)


def test_autoscaler_follows_a_metric_that_the_adapter_makes(exported: dict[str, Labels]) -> None:
    (rule,) = _rules()
    scaler = find(render("overlays/autoscaling"), "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert rule["resources"]["overrides"].keys() == OF_PROMETHEUS
    _check_metrics(rule["seriesQuery"].replace('!=""', '="$any"'), exported)
    query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="$n"')
    _check_metrics(query.replace("(<<.GroupBy>>)", "(pod)"), exported)


def test_prometheus_reads_the_service(base: list[Document], service: httpx.Client) -> None:
    documents = render("overlays/monitoring")
    monitor = find(documents, "ServiceMonitor")["spec"]
    target = find(documents, "Service")
    assert monitor["selector"]["matchLabels"].items() <= target["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in target["spec"]["ports"]}
    assert service.get(endpoint["path"]).status_code == 401
    assert service.get(endpoint["path"], headers=AUTHORIZED).status_code == 200
    (container,) = find(base, "Deployment")["spec"]["template"]["spec"]["containers"]
    (token,) = (v for v in container["env"] if v["name"] == "TAILRACE_TOKEN")
    assert endpoint["authorization"]["credentials"] == token["valueFrom"]["secretKeyRef"]
