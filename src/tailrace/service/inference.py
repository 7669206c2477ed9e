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
from tailrace.service.work import Queued, Tensors

Observe = Callable[[Model, int], None]
"""Is told the model and the rows of each inference, before it begins."""

_Ready = Sequence[tuple[Queued, Tensors]]


def compute(batch: Sequence[Queued], most_rows: int, observe: Observe) -> None:
    """Answers each of `batch`, all of one key, in one inference; a single one of more than
    `most_rows` in several, so that memory is bounded whatever a request brings.

    What is wrong with one of them is the answer to that one alone.
    """
    ready: list[tuple[Queued, Tensors]] = []
    for ticket in batch:
        if len(batch) > 1:
            ticket.work.clock.end(BATCH_WAIT)
        try:
            ready.append((ticket, ticket.work.prepare()))
        except Exception as error:  # noqa: BLE001 - it is the request's error, not the thread's
            ticket.fail(error)
    if ready:
        _infer(ready, most_rows, observe)


def _infer(ready: _Ready, most_rows: int, observe: Observe) -> None:
    several = len(ready) > 1
    if several:
        for ticket, _ in ready:
            ticket.work.clock.end(BATCH_WAIT)
    try:
        outputs = _run(ready, most_rows, observe)
    except Exception as error:  # noqa: BLE001 - as above
        if not several:
            ready[0][0].fail(error)
            return
        # One of them is to blame; the others need not fail with it.
        for alone in ready:
            _infer([alone], most_rows, observe)
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


def _run(ready: _Ready, most_rows: int, observe: Observe) -> list[list[NDArray[Any]]]:
    # The outputs of each.
    work = ready[0][0].work
    run = work.model.runtime.run
    if len(ready) == 1:
        if work.rows > most_rows:
            return [_run_in_turns(ready[0], most_rows, observe)]
        observe(work.model, work.rows)
        # Its outputs need have no dimension of the batch.
        return [run(ready[0][1], work.outputs)]
    ends = list(accumulate(ticket.work.rows for ticket, _ in ready))
    observe(work.model, ends[-1])
    joined = {name: np.concatenate([tensors[name] for _, tensors in ready]) for name in ready[0][1]}
    outputs = run(joined, work.outputs)
    if not _have_rows(outputs, ends[-1]):
        raise RuntimeFailedError("the outputs of a batch cannot be told apart")
    return [[tensor[begin:end] for tensor in outputs] for begin, end in pairwise((0, *ends))]


def _run_in_turns(
    ready: tuple[Queued, Tensors], most_rows: int, observe: Observe
) -> list[NDArray[Any]]:
    work, tensors = ready[0].work, ready[1]
    parts: list[list[NDArray[Any]]] = []
    for begin in range(0, work.rows, most_rows):
        rows = min(most_rows, work.rows - begin)
        observe(work.model, rows)
        part = {name: tensor[begin : begin + rows] for name, tensor in tensors.items()}
        parts.append(work.model.runtime.run(part, work.outputs))
        if not _have_rows(parts[-1], rows):
            raise RequestError(
                f"the outputs of {work.model.spec.name} do not go by rows: send {most_rows} in one "
                "request at most (tailrace serve --max-batch)"
            )
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _have_rows(outputs: Sequence[NDArray[Any]], rows: int) -> bool:
    return all(tensor.shape[:1] == (rows,) for tensor in outputs)
