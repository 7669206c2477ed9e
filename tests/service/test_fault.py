"""A fault in each stage, and the X-ray that has to find it: services, generator and all between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from tailrace.errors import UsageError
from tailrace.load.client.request import Body
from tailrace.load.session.result import build_result
from tailrace.load.session.session import Session
from tailrace.service.fault import Fault, parse_fault
from tailrace.service.stages import STAGES
from tests.kit.plans import make_plan
from tests.kit.programs import ServerProcess

DELAY_MS = 500
"""Far more than what other programs on a busy machine add."""


@pytest.fixture(scope="module")
def faulty() -> Iterator[Mapping[str, ServerProcess]]:
    """A service for each stage, with a fault in it; they start beside each other."""
    servers = {
        stage: ServerProcess(
            *("null", "--port", "0", "--concurrency", "8"),
            *("--fault", f"stage={stage},delay={DELAY_MS}ms,share=0.03"),
        )
        for stage in STAGES
    }
    try:
        for server in servers.values():
            server.start()
        yield servers
    finally:
        for server in servers.values():
            server.process.terminate()
        for server in servers.values():
            server.close()


@pytest.mark.slow("a service and a run for each stage")
@pytest.mark.parametrize("stage", STAGES)
async def test_the_xray_names_the_faulty_stage(
    faulty: Mapping[str, ServerProcess], stage: str
) -> None:
    server = faulty[stage]
    assert f"{DELAY_MS} ms in {stage} on purpose" in " ".join(server.heard)
    url = f"{server.url}/predict/null"
    plan = make_plan(url, "80", [Body(b"no picture", "image/jpeg")], duration_s=2.0)
    session = Session(plan)
    await session.start()
    async for _ in session.intervals():
        pass
    result = build_result(session, None)
    assert result.failed == {}
    xray = result.xray
    assert xray is not None
    assert xray.explains == stage, xray
    assert xray.tail_ms[stage] > 0.9 * DELAY_MS
    # The one request in 33 that is hit is none of those around the median.
    assert xray.median_ms[stage] < 0.1 * DELAY_MS
    assert xray.share is not None
    assert xray.share > 0.5
    assert set(STAGES) - {"batch-wait"} <= xray.tail_ms.keys()


def test_a_fault_is_read() -> None:
    assert parse_fault("stage=batch-wait,delay=50ms,share=0.02") == Fault(
        stage="batch-wait", delay_s=0.05, share=0.02
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("infer", "--fault is stage=NAME"),
        ("stage=infer,delay=1s", "--fault is stage=NAME"),
        ("stage=infer,delay=1s,share=1,more=1", "--fault is stage=NAME"),
        ("stage=inference,delay=1s,share=0.1", "'inference'"),
        ("stage=infer,delay=soon,share=0.1", "'soon' is not a duration"),
        ("stage=infer,delay=1s,share=1.5", "from 0 to 1, not '1.5'"),
        ("stage=infer,delay=1s,share=nan", "from 0 to 1, not 'nan'"),
        ("stage=infer,delay=1s,share=some", "from 0 to 1, not 'some'"),
    ],
)
def test_what_is_no_fault(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        parse_fault(text)
