"""A batch is one inference, and what is wrong with one request is that one's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.models import zoo
from tailrace.models.model import Model
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.null import NullRuntime
from tailrace.service.errors import RequestError
from tailrace.service.inference import compute
from tailrace.service.stages import BATCH_WAIT, INFER, POSTPROCESS, StageClock
from tailrace.service.work import Ticket

POISON = 13


class OddRuntime:
    """Echoes; fails on POISON. What it calls `odd` has no dimension of the batch."""

    platform, device = "odd", "cpu"
    inputs = NullRuntime().inputs
    outputs = (*NullRuntime().outputs, TensorInfo("odd", "UINT8", (-1,)))

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.rows: list[int] = []

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        tensor = inputs["input"]
        self.rows.append(len(tensor))
        if POISON in tensor:
            raise self.error
        odd = {"odd": tensor.reshape(-1), "scalar": tensor.sum(), "output": tensor}
        return [np.asarray(odd[name]) for name in outputs]


class OddEcho:
    """Wants one value back, `rows` times, unless it is told to fail on its way."""

    kind = "echo"

    def __init__(self, model: Model, value: int, rows: int = 1, fails: str = "") -> None:
        self.model = model
        self.clock = StageClock()
        self.rows = rows
        self.outputs: Sequence[str] = ("output",)
        self.value = value
        self.fails = fails

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        if self.fails == "prepare":
            raise RequestError(f"{self.value}")
        return {"input": np.full((self.rows, 2), self.value, np.uint8)}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        if self.fails == "finish":
            raise ZeroDivisionError(f"{self.value}")
        return list(tensors)


@pytest.fixture
def runtime() -> OddRuntime:
    return OddRuntime(RuntimeFailedError("poison"))


@pytest.fixture
def model(runtime: OddRuntime) -> Model:
    spec = zoo.find("null")
    return Model(spec, replace(spec.formats[0]), runtime)


async def answered(works: Sequence[OddEcho], most_rows: int = 99) -> tuple[list[Any], list[int]]:
    """What each gives or raises, and the rows of the inferences that were noted."""
    tickets: list[Ticket[Any]] = [Ticket(work, None) for work in works]
    noted: list[int] = []
    compute(tickets, most_rows, lambda _, rows: noted.append(rows), lambda _, rows: None)
    waiting = asyncio.gather(*(ticket.answer for ticket in tickets), return_exceptions=True)
    return await asyncio.wait_for(waiting, 60), noted


async def test_each_gets_its_rows_of_one_inference(model: Model, runtime: OddRuntime) -> None:
    works = [OddEcho(model, value, rows) for value, rows in ((1, 2), (2, 1), (3, 4))]
    answers, noted = await answered(works)
    for work, (tensor,) in zip(works, answers, strict=True):
        assert tensor.tolist() == [[work.value, work.value]] * work.rows
    assert runtime.rows == noted == [7]


async def test_what_cannot_be_prepared_fails_alone(model: Model, runtime: OddRuntime) -> None:
    works = [OddEcho(model, value, fails="prepare" if value == 2 else "") for value in (1, 2, 3)]
    answers, noted = await answered(works)
    assert isinstance(answers[1], RequestError)
    assert [answers[i][0].tolist() for i in (0, 2)] == [[[1, 1]], [[3, 3]]]
    assert runtime.rows == noted == [2]
    answers, noted = await answered([OddEcho(model, 1, fails="prepare")])
    assert isinstance(answers[0], RequestError)
    assert noted == []


async def test_more_rows_than_one_inference_takes(model: Model, runtime: OddRuntime) -> None:
    [[tensor]], noted = await answered([OddEcho(model, 5, rows=11)], most_rows=4)
    assert tensor.tolist() == [[5, 5]] * 11
    assert runtime.rows == noted == [4, 4, 3]


async def test_outputs_that_do_not_go_by_rows_cannot_be_computed_in_turns(model: Model) -> None:
    work = OddEcho(model, 5, rows=3)
    work.outputs = ("odd",)
    [error], _ = await answered([work], most_rows=2)
    assert isinstance(error, RequestError)
    assert "send 2 in one request at most" in str(error)


async def test_inferences_are_told_once_they_have_succeeded(model: Model) -> None:
    tickets: list[Ticket[Any]] = [Ticket(OddEcho(model, i), None) for i in (1, POISON, 3)]
    began: list[int] = []
    succeeded: list[int] = []
    compute(tickets, 9, lambda _, rows: began.append(rows), lambda _, rows: succeeded.append(rows))
    assert (began, succeeded) == ([3, 1, 1, 1], [1, 1])
    await asyncio.gather(*(ticket.answer for ticket in tickets), return_exceptions=True)


@pytest.mark.parametrize("error", [RuntimeFailedError("poison"), MemoryError("poison")])
async def test_what_cannot_be_inferred_fails_alone(
    model: Model, runtime: OddRuntime, error: Exception
) -> None:
    runtime.error = error
    answers, noted = await answered([OddEcho(model, value) for value in (1, POISON, 3)])
    assert answers[1] is error
    assert [answers[i][0].tolist() for i in (0, 2)] == [[[1, 1]], [[3, 3]]]
    assert runtime.rows == noted == [3, 1, 1, 1]


async def test_what_cannot_be_finished_fails_alone(model: Model) -> None:
    works = [OddEcho(model, value, fails="finish" if value == 2 else "") for value in (1, 2, 3)]
    answers, _ = await answered(works)
    assert isinstance(answers[1], ZeroDivisionError)
    assert [answers[i][0].tolist() for i in (0, 2)] == [[[1, 1]], [[3, 3]]]


@pytest.mark.parametrize("output", ["odd", "scalar"])
async def test_outputs_that_cannot_be_told_apart_are_inferred_apart(
    model: Model, runtime: OddRuntime, output: str
) -> None:
    works = [OddEcho(model, value) for value in (1, 2)]
    for work in works:
        work.outputs = (output, "output")
    answers, _ = await answered(works)
    assert [[tensor.tolist() for tensor in answer] for answer in answers] == [
        [[1, 1] if output == "odd" else 2, [[1, 1]]],
        [[2, 2] if output == "odd" else 4, [[2, 2]]],
    ]
    assert runtime.rows == [2, 1, 1]


async def test_clocks_of_a_batch_share_the_inference(model: Model) -> None:
    works = [OddEcho(model, value) for value in range(5)]
    await answered(works)
    for work in works:
        assert sum(work.clock.spans_ns) == work.clock.total_ns
        assert work.clock.spans_ns[INFER] > 0
        assert work.clock.spans_ns[POSTPROCESS] > 0
        assert work.clock.spans_ns[BATCH_WAIT] > 0
    alone = OddEcho(model, 1)
    await answered([alone])
    assert alone.clock.spans_ns[BATCH_WAIT] == 0
