"""A test as a user asks for it, and all that it takes to begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tailrace.load.client.target import Tls
from tailrace.machine.hardware import read_machine
from tailrace.mlperf.data import TestData, open_data, truth_of
from tailrace.mlperf.local import LocalSystem
from tailrace.mlperf.network.system import NetworkSystem, Routing, connect
from tailrace.mlperf.rules import rules_for
from tailrace.mlperf.run import RunningTest, Test
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.settings import Wishes
from tailrace.mlperf.submission import machine
from tailrace.mlperf.submission.layout import Layout
from tailrace.mlperf.system import Payload
from tailrace.models.model import TWIN_NOTICE
from tailrace.models.zoo.spec import Format, ModelSpec
from tailrace.runs.directory import RUNS_DIR, new_directory
from tailrace.service.config import ServiceConfig

_AT_ONCE = 32
"""Samples to keep nodes busy whose number of threads is not known."""
SAME_HOST = (
    "client and system share a host: with no network between them, this is not a result of "
    "MLPerf's Network division"
)
AT_THE_EDGE = (
    "a peak is where the percentile as measured just holds: for a result, test a rate a little "
    "below it with --rate"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a user asks for."""

    spec: ModelSpec
    wishes: Wishes
    compute: ServiceConfig
    """How the model is computed in this process."""
    targets: Sequence[str]
    """URLs of the nodes to test instead."""
    payload: Payload
    routing: Routing
    connections: int
    timeout_s: float
    headers: Mapping[str, str]
    tls: Tls
    remote_name: str | None
    dataset: Path | None
    count: int | None
    out: Path | None
    division: str
    submitter: str
    system_name: str | None
    command: str
    """The command line, for the README.md of a submission."""


def prepare(plan: Plan, say: Callable[[str], None]) -> RunningTest:
    """Loads or finds the system, opens the data set, has a sample answered, and makes the folders.
    `say` is told what takes a while.

    Raises:
        UsageError: something asked for cannot be.
        TailraceError: a model cannot be loaded, a node does not answer, a file cannot be written.
    """
    plan.wishes.check()
    if not plan.targets:
        plan.compute.check_settings()
    layout = _layout(plan)
    if plan.out is not None:
        layout.check(plan.wishes.mode)
    data = open_data(plan.spec, plan.dataset, plan.count, say)
    if plan.wishes.mode == "accuracy":
        truth_of(plan.spec, data)
    system = _system(plan, say)
    try:
        return _prepare(plan, layout, data, system, say)
    except BaseException:
        system.close()
        raise


def _prepare(
    plan: Plan,
    layout: Layout,
    data: TestData,
    system: LocalSystem | NetworkSystem,
    say: Callable[[str], None],
) -> RunningTest:
    rules = rules_for(plan.spec, plan.wishes.scenario)
    if plan.out is None:
        layout = replace(layout, root=new_directory(RUNS_DIR, "mlperf"))
    test = Test(
        spec=plan.spec,
        wishes=plan.wishes,
        system=system,
        data=data,
        library=SampleLibrary(data.total, data.read, _form(system), plan.payload),
        performance_samples=min(rules.performance_sample_count, data.total),
        at_once=_at_once(plan),
        payload=plan.payload,
        targets=list(plan.targets),
        notes=_notes(plan, system),
        folder=layout.test_folder(plan.wishes.mode),
        write_conf=layout.write_user_conf,
    )
    running = RunningTest(test, say)
    layout.prepare(plan.wishes.mode)
    _describe(plan, layout, system)
    return running


def _layout(plan: Plan) -> Layout:
    compute = plan.compute
    return Layout(
        root=plan.out or RUNS_DIR,
        system=plan.system_name
        or machine.system_desc_id(
            read_machine(), compute.runtime, compute.device, remote=bool(plan.targets)
        ),
        model=plan.spec.name,
        scenario=plan.wishes.scenario,
        division=plan.division,
        submitter=plan.submitter,
    )


def _system(plan: Plan, say: Callable[[str], None]) -> LocalSystem | NetworkSystem:
    if not plan.targets:
        plan.compute.check(say)
        return LocalSystem(plan.compute, say)
    return connect(
        plan.spec,
        plan.targets,
        payload=plan.payload,
        routing=plan.routing,
        connections=plan.connections,
        timeout_s=plan.timeout_s,
        headers=plan.headers,
        tls=plan.tls,
        remote_name=plan.remote_name,
    )


def _form(system: LocalSystem | NetworkSystem) -> Format:
    return system.model.format if isinstance(system, LocalSystem) else system.form


def _at_once(plan: Plan) -> int:
    if plan.targets:
        return min(_AT_ONCE, plan.connections) * len(plan.targets)
    return 2 * plan.compute.threads * plan.compute.max_batch


def _notes(plan: Plan, system: LocalSystem | NetworkSystem) -> list[str]:
    notes = [AT_THE_EDGE] if plan.wishes.mode == "find-peak" else []
    if isinstance(system, NetworkSystem):
        notes += [SAME_HOST] if system.same_host else []
        # A service says in its name if its answers mean nothing.
        notes += [TWIN_NOTICE] if TWIN_NOTICE in system.name() else []
    else:
        notes += [system.model.notice] if system.model.notice else []
    return notes


def _describe(plan: Plan, layout: Layout, system: LocalSystem | NetworkSystem) -> None:
    network = None
    if isinstance(system, NetworkSystem):
        connections = plan.connections * len(plan.targets)
        network = machine.Network(connections=connections, same_host=system.same_host)
    compute = plan.compute
    layout.write_system(
        machine.describe(
            read_machine(),
            submitter=plan.submitter,
            division=plan.division,
            runtime=compute.runtime,
            device=compute.device,
            system_name=plan.system_name,
            network=network,
        )
    )
    layout.write_measurements(
        input_data_types=_form(system).input.datatype.lower(),
        retraining="No",
        starting_weights_filename=_weights(plan),
        weight_data_types="fp32",
        weight_transformations="No",
    )
    layout.write_readmes(plan.command)


def _weights(plan: Plan) -> str:
    if plan.targets:
        return "those of the service"
    if plan.compute.is_twin(plan.spec):
        return "random"
    ((_, file),) = plan.compute.files()
    return file.name if file is not None else "none"
