"""One process's service: its models, its queue, and whether it is ready."""

from __future__ import annotations

import time

from tailrace.datasets.files import image_files
from tailrace.models import model as models
from tailrace.models.model import Model
from tailrace.service.batcher import Batcher
from tailrace.service.config import ServiceConfig
from tailrace.service.errors import NoPicturesError, NotReadyError, UnknownModelError
from tailrace.service.faults import Faults
from tailrace.service.meter import Meter, Siblings
from tailrace.service.pictures import DrawnPictures, FolderPictures, Pictures
from tailrace.service.predict import PictureWork
from tailrace.service.stages import StageClock


class Service:
    """What the routes work on. `load` and `warm_up` may run on any thread, the rest on the loop."""

    def __init__(
        self, config: ServiceConfig, meter: Meter, siblings: Siblings | None = None
    ) -> None:
        """Loads nothing yet. What happens is noted in `meter`; `siblings` are the service's
        workers, those of the meter's sheet if left out."""
        self.config = config
        self.meter = meter
        self.siblings: Siblings = siblings or meter
        self.batcher = Batcher(
            config.threads,
            config.queue,
            config.max_batch,
            int(config.batch_window_s * 1e9),
            meter.observe_batch,
            meter.observe_success,
            meter.set_levels,
        )
        self.faults = None if config.fault is None else Faults(config.fault)
        self.slowest_s = 0.0
        """The longest inference of the warm-up."""
        self.stopping = False
        """Whether whoever serves it has begun to end: requests cancelled from then on are refused,
        earlier their clients have left."""
        self._models: dict[str, Model] = {}
        self._pictures: Pictures | None = None
        self._drawn = DrawnPictures()

    @property
    def ready(self) -> bool:
        """Whether every process of the service is warm, and none is stopping."""
        return self.siblings.all_ready

    def load(self) -> None:
        """Loads the models and looks the pictures up.

        Raises:
            UsageError: a file is not the model it should be, or takes no batches though they were
                asked for, or the data set cannot be used.
        """
        if self.config.dataset is not None:
            self._pictures = FolderPictures(image_files(self.config.dataset))
        loaded = {
            spec.name: models.load(spec, file, self.config.options, self.config.is_twin(spec))
            for spec, file in self.config.files()
        }
        self.config.check_batch(loaded.values())
        self._models = loaded

    def warm_up(self) -> None:
        """Starts the inference threads, of which each sends a picture through each loaded model,
        and a batch of each size; then it is ready.

        Raises:
            UsageError: the machine does not give so many threads.
            RuntimeFailedError: a model does not compute.
        """
        self.batcher.start(self._warm_up_thread)

    def _warm_up_thread(self) -> None:
        for model in self._models.values():
            work = PictureWork(model, lambda: self._drawn.draw().data, 0.0, StageClock())
            work.finish(model.runtime.run(work.prepare(), work.outputs))
            for batch in range(1, min(self.config.max_batch, model.max_batch or 2**31) + 1):
                began_s = time.monotonic()
                model.warm_up(batch)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

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
        if not model.spec.needs_file or model.twin:
            return self._drawn
        raise NoPicturesError(
            f"there are no pictures for {model.spec.name}: start the service with --dataset DIR"
        )
