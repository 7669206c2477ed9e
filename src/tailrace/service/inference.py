"""Computing a batch of requests, on an inference thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.models.model import Model
from tailrace.models.runtimes import RuntimeFailedError
from tailrace.service.errors import RequestError
from tailrace.service.stages import BATCH_WAIT, INFER, POSTPROCESS
from tailrace.service.work import Queued, Tensors, Work

Observe = Callable[[Model, int], None]
"""Is told the model and the rows of an inference."""

_Ready = Sequence[tuple[Queued, Tensors]]
_Run = Callable[[Work[Any], Tensors, int], list[NDArray[Any]]]


def compute(batch: Sequence[Queued], most_rows: int, began: Observe, succeeded: Observe) -> None:
    """Answers each of `batch`, all of one key, in one inference; a single one of more than
    `most_rows` in several, so that memory is bounded whatever a request brings.

    What is wrong with one of them is the answer to that one alone. `began` is told of each
    inference before it begins, `succeeded` when it has.
    """

    def run(work: Work[Any], tensors: Tensors, rows: int) -> list[NDArray[Any]]:
        began(work.model, rows)
        outputs = work.model.runtime.run(tensors, work.outputs)
        succeeded(work.model, rows)
        return outputs

    ready: list[tuple[Queued, Tensors]] = []
    for ticket in batch:
        if len(batch) > 1:
            ticket.work.clock.end(BATCH_WAIT)
        try:
            ready.append((ticket, ticket.work.prepare()))
        except Exception as error:  # noqa: BLE001 - it is the request's error, not the thread's
            ticket.fail(error)
    if ready:
        _infer(ready, most_rows, run)


def _infer(ready: _Ready, most_rows: int, run: _Run) -> None:
    several = len(ready) > 1
    if several:
        for ticket, _ in ready:
            ticket.work.clock.end(BATCH_WAIT)
    try:
        outputs = _outputs(ready, most_rows, run)
    except Exception as error:  # noqa: BLE001 - as above
        if not several:
            ready[0][0].fail(error)
            return
        # One of them is to blame; the others need not fail with it.
        for alone in ready:
            _infer([alone], most_rows, run)
        return
    for ticket, _ in ready:
        ticket.work.clock.end(INFER)
    for (ticket, _), tensors in zip(ready, outputs, strict=True):
        if several:
            ticket.work.clock.end(BATCH_WAIT)
        try:
            answer = ticket.work.finish(tensors)
        except Exception as error:  # noqa: BLE001 - as above
            ticket.fail(error)
        else:
            ticket.work.clock.end(POSTPROCESS)
            ticket.give(answer)


def _outputs(ready: _Ready, most_rows: int, run: _Run) -> list[list[NDArray[Any]]]:
    # The outputs of each.
    work = ready[0][0].work
    if len(ready) == 1:
        tensors = ready[0][1]
        if work.rows > most_rows:
            return [_in_turns(work, tensors, most_rows, run)]
        # Its outputs need have no dimension of the batch.
        return [run(work, tensors, work.rows)]
    ends = list(accumulate(ticket.work.rows for ticket, _ in ready))
    joined = {name: np.concatenate([tensors[name] for _, tensors in ready]) for name in ready[0][1]}
    outputs = run(work, joined, ends[-1])
    if not _have_rows(outputs, ends[-1]):
        raise RuntimeFailedError("the outputs of a batch cannot be told apart")
    return [[tensor[begin:end] for tensor in outputs] for begin, end in pairwise((0, *ends))]


def _in_turns(work: Work[Any], tensors: Tensors, most_rows: int, run: _Run) -> list[NDArray[Any]]:
    parts: list[list[NDArray[Any]]] = []
    for begin in range(0, work.rows, most_rows):
        rows = min(most_rows, work.rows - begin)
        part = {name: tensor[begin : begin + rows] for name, tensor in tensors.items()}
        parts.append(run(work, part, rows))
        if not _have_rows(parts[-1], rows):
            raise RequestError(
                f"the outputs of {work.model.spec.name} do not go by rows: send {most_rows} in one "
                "request at most (tailrace serve --max-batch)"
            )
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _have_rows(outputs: Sequence[NDArray[Any]], rows: int) -> bool:
    return all(tensor.shape[:1] == (rows,) for tensor in outputs)
