"""The model behind BentoML."""

from typing import Any

import bentoml

from benchmarks.serving import detector, environment


@bentoml.service(workers=environment.workers(), threads=1, logging={"access": {"enabled": False}})
class Detector:
    def __init__(self) -> None:
        self.model = detector.load()

    @bentoml.api
    def predict(self, image: bytes, /) -> dict[str, Any]:
        return detector.detect(self.model, image)
