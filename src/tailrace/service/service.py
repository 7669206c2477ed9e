"""One process's service: its models, its pool, and whether it is ready."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.datasets import coco
from tailrace.models import model as models
from tailrace.models.model import Model
from tailrace.service.config import ServiceConfig
from tailrace.service.errors import NoPicturesError, NotReadyError, UnknownModelError
from tailrace.service.pictures import DrawnPictures, FolderPictures, Pictures
from tailrace.service.pool import Pool


class Service:
    """What the routes work on. `load` may run on any thread, the rest on the event loop."""

    def __init__(self, config: ServiceConfig, stopping: Callable[[], bool]) -> None:
        """Loads nothing yet. `stopping` tells whether the process is about to end."""
        self.config = config
        self.pool = Pool(config.threads, config.queue)
        self._stopping = stopping
        self._models: dict[str, Model] = {}
        self._pictures: Pictures | None = None
        self._drawn = DrawnPictures()
        self._warm = False

    @property
    def ready(self) -> bool:
        """Whether every model is warm and the service is not stopping."""
        return self._warm and not self._stopping()

    def load(self) -> None:
        """Loads the models and looks the pictures up.

        Raises:
            UsageError: a file is not the model it should be, or the data set cannot be used.
        """
        if self.config.dataset is not None:
            self._pictures = FolderPictures(coco.image_files(self.config.dataset))
        for spec, file in self.config.files():
            self._models[spec.name] = models.load(spec, file, self.config.intra_op_threads)

    def warm_up(self) -> None:
        """Runs each loaded model once; the service is ready from then on.

        Raises:
            RuntimeFailedError: a model does not compute.
        """
        for model in self._models.values():
            model.warm_up()
        self._warm = True

    def model(self, name: str) -> Model:
        """The model of this name.

        Raises:
            UnknownModelError: it is not served here; the message names those that are.
            NotReadyError: it is, but is not loaded yet.
        """
        served = self.config.models
        if name not in served:
            raise UnknownModelError(
                f"no model {name!r} is served here: there is {', '.join(served)}"
            )
        if name not in self._models:
            raise NotReadyError(f"{name} is being loaded: try again in a second")
        return self._models[name]

    def pictures(self, model: Model) -> Pictures:
        """The pictures `/gpu` sends through `model`.

        Raises:
            NoPicturesError: there are none: no data set was given, and none can be drawn.
        """
        if self._pictures is not None:
            return self._pictures
        if model.spec.embedded is not None:
            return self._drawn
        raise NoPicturesError(
            f"there are no pictures for {model.spec.name}: start the service with --dataset DIR"
        )
