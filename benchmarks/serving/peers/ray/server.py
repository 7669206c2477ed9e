"""The model behind Ray Serve."""

import signal
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.serving import detector, environment

_LEAST_OBJECT_STORE_BYTES = 80 * 2**20


@serve.deployment(
    num_replicas=environment.workers(), max_ongoing_requests=100, ray_actor_options={"num_cpus": 1}
)
class Detector:
    def __init__(self) -> None:
        self.model = detector.load()

    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse(detector.detect(self.model, await request.body()))


if __name__ == "__main__":
    ray.init(
        num_cpus=environment.workers(),
        object_store_memory=_LEAST_OBJECT_STORE_BYTES,
        include_dashboard=False,
        _temp_dir=str(Path.cwd()),
    )
    serve.start(http_options={"host": "127.0.0.1", "port": environment.port()})
    serve.run(Detector.bind(), route_prefix="/predict")
    signal.pause()
