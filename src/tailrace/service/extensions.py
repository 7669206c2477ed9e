"""Extensions of the Open Inference Protocol as Triton has them, read-only: a model's configuration,
its statistics, and the repository's index. Triton's clients and perf_analyzer ask for them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request

from tailrace.models.model import Model
from tailrace.models.runtimes import TensorInfo
from tailrace.service.bodies import read_body
from tailrace.service.calls import Call
from tailrace.service.errors import NotReadyError, RequestError
from tailrace.service.infer_messages import VERSION
from tailrace.service.meter import Counts
from tailrace.service.service import Service
from tailrace.service.tensors import size_bytes

NAMES = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
"""As `GET /v2` names them."""

_TYPES = {"BYTES": "TYPE_STRING"}
_BACKENDS = {"onnx_onnxv1": "onnxruntime", "tensorflow_graphdef": "tensorflow"}
_INDEX_BYTES = 64 * 2**10
# What a request says of its tensors, before their bytes.
_HEAD_BYTES = 4 * 2**10


def configuration(service: Service, model: Model) -> dict[str, Any]:
    """How a model is served, as Triton's ModelConfig says it."""
    config = service.config
    most_rows = _most_rows(model, config.body_limit_bytes)
    on_card = model.runtime.device != "cpu"
    batching = {
        "dynamic_batching": {
            "preferred_batch_size": [config.max_batch],
            "max_queue_delay_microseconds": round(config.batch_window_s * 1e6),
        }
    }
    return {
        "name": model.spec.name,
        "platform": model.runtime.platform,
        "backend": _BACKENDS.get(model.runtime.platform, "tailrace"),
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": most_rows,
        "input": [
            {
                **_tensor(tensor, most_rows),
                "format": "FORMAT_NONE",
                "is_shape_tensor": False,
                "allow_ragged_batch": False,
                "optional": False,
            }
            for tensor in model.runtime.inputs
        ],
        "output": [
            {**_tensor(tensor, most_rows), "label_filename": "", "is_shape_tensor": False}
            for tensor in model.runtime.outputs
        ],
        "instance_group": [
            {
                "name": model.spec.name,
                "kind": "KIND_GPU" if on_card else "KIND_CPU",
                "count": config.workers * config.threads,
                "gpus": [int(model.runtime.device.partition(":")[2] or 0)] if on_card else [],
            }
        ],
        "model_transaction_policy": {"decoupled": False},
        "parameters": {},
    } | (batching if config.max_batch > 1 and most_rows else {})


def _most_rows(model: Model, body_bytes: int) -> int:
    # Of one request; 0 if its tensors have no dimension of the batch.
    tensors = (*model.runtime.inputs, *model.runtime.outputs)
    if any(tensor.shape[:1] != (-1,) for tensor in tensors):
        return 0
    row_bytes = sum(
        size_bytes(tensor.datatype, [abs(size) for size in tensor.shape[1:]]) or 1
        for tensor in model.runtime.inputs
    )
    return min(model.max_batch or 2**31 - 1, max(1, (body_bytes - _HEAD_BYTES) // row_bytes))


def _tensor(tensor: TensorInfo, most_rows: int) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "data_type": _TYPES.get(tensor.datatype, f"TYPE_{tensor.datatype}"),
        "dims": list(tensor.shape[1:] if most_rows else tensor.shape),
    }


async def statistics(service: Service, names: list[str]) -> dict[str, Any]:
    """What has been counted of models, by the names of Triton's statistics extension."""
    snapshot = await asyncio.to_thread(service.siblings.snapshot)
    return {"model_stats": [_counted(name, snapshot.models[name]) for name in names]}


def _counted(name: str, counts: Counts) -> dict[str, Any]:
    answered = counts.outcomes["ok"]
    spent_ns = {stage: histogram.sum for stage, histogram in counts.stages.items()}

    def duration(*stages: str) -> dict[str, int]:
        return {"count": answered, "ns": sum(spent_ns[stage] for stage in stages)}

    none = {"count": 0, "ns": 0}
    return {
        "name": name,
        "version": VERSION,
        "last_inference": counts.latest_ms,
        "inference_count": counts.rows,
        "execution_count": counts.inferences,
        "inference_stats": {
            "success": {"count": answered, "ns": counts.total.sum},
            "fail": {
                "count": sum(counts.outcomes.values()) - answered,
                "ns": counts.failed_ns,
            },
            "queue": duration("queue", "batch-wait"),
            "compute_input": duration("decode", "preprocess"),
            "compute_infer": duration("infer"),
            "compute_output": duration("postprocess"),
            "cache_hit": none,
            "cache_miss": none,
        },
        # Executions are counted by rows in /metrics, but not timed by them.
        "batch_stats": [],
    }


async def index(service: Service, request: Request) -> list[dict[str, str]]:
    """The models, and whether they are ready; those alone that are, if the request says so.

    Raises:
        RequestError: it is no request for an index.
    """
    body = await read_body(Call(request.scope, request.receive), _INDEX_BYTES)
    try:
        asked = msgspec.json.decode(body, type=_Asked) if body else _Asked()
    except msgspec.MsgspecError as error:
        raise RequestError(f"this is no request for an index: {error}") from error
    models = [_state(service, name) for name in service.config.models]
    return [model for model in models if model["state"] == "READY" or not asked.ready]


class _Asked(msgspec.Struct, frozen=True):
    ready: bool = False


def _state(service: Service, name: str) -> dict[str, str]:
    reason = ""
    try:
        service.model(name)
    except NotReadyError as error:
        reason = str(error)
    else:
        if not service.ready:
            reason = "not every worker of the service is ready"
    return {
        "name": name,
        "version": VERSION,
        "state": "UNAVAILABLE" if reason else "READY",
        "reason": reason,
    }
