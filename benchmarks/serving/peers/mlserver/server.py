"""The model behind MLServer, as a custom handler: its own protocol has no raw pictures."""

from typing import Annotated, Any

from fastapi import Body
from mlserver import MLModel
from mlserver.handlers import custom_handler

from benchmarks.serving import detector


class Detector(MLModel):
    async def load(self) -> bool:
        self.model = detector.load()
        return True

    @custom_handler(rest_path="/predict")
    async def detect(
        self, picture: Annotated[bytes, Body(media_type="image/jpeg")]
    ) -> dict[str, Any]:
        return detector.detect(self.model, picture)
