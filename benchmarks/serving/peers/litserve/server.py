"""The model behind LitServe."""

from typing import Annotated, Any

import litserve
from fastapi import Body

from benchmarks.serving import detector, environment


class Detector(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = detector.load()

    # LitServe hands the annotation on to FastAPI, which leaves a body that is no JSON as it is.
    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> bytes:
        return request

    def predict(self, x: bytes) -> dict[str, Any]:
        return detector.detect(self.model, x)


if __name__ == "__main__":
    litserve.LitServer(
        Detector(),
        accelerator="cpu",
        workers_per_device=environment.workers(),
        fast_queue=True,
    ).run(
        host="127.0.0.1",
        port=environment.port(),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
