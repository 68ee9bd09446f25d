"""A loaded model at work in a node: reception, pipeline and outlet put together."""

import time
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode

from demt_perception.inference import Predictor
from demt_perception.ros.compressed import decode
from demt_perception.ros.conversions import to_bgr
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.health import Inference
from demt_perception.ros.outlet import Outlet
from demt_perception.ros.parameters import Settings
from demt_perception.ros.pipeline import Pipeline, Result
from demt_perception.ros.reception import Reception
from demt_perception.tasks import get_tasks


class Perception:
    """Exists while the node is configured; works between ``activate`` and ``deactivate``.

    Its methods up to ``close`` are for the executor's thread; the rest is what the pipeline's
    threads call (``pipeline.Surroundings``).

    Attributes:
        settings: what it was configured with, and loaded since.
        statistics: counts since configuration.
        tasks: names of the tasks that are published.
        reception: the subscriptions, while active; else None.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, predictor: Predictor) -> None:
        """Advertise the topics of a warm predictor, which is closed by ``close``."""
        self._node = node
        self.settings = settings
        self._predictor = predictor
        self._pipeline: Pipeline | None = None
        self._outlet = Outlet(node, predictor.card)
        self.statistics = Statistics()
        self.tasks: tuple[str, ...] = predictor.card.tasks
        self.reception: Reception | None = None

    def activate(self) -> None:
        """Begin to listen and to work."""
        self._start_pipeline()
        self.reception = Reception(
            self._node, self.settings.image_transport == 'compressed', self.statistics,
            self._submit, self.report_drop)

    def deactivate(self) -> None:
        """Stop listening, finish the frame in hand, publish nothing more."""
        # The pipeline first: the frame in hand still needs its camera_info.
        self._stop_pipeline()
        if self.reception is not None:
            self.reception.destroy()
            self.reception = None

    def close(self) -> None:
        """Stop, take back the topics and free the model."""
        self.deactivate()
        self._outlet.destroy()
        self._predictor.close()

    def replace(self, predictor: Predictor, settings: Settings) -> None:
        """Go on with another warm predictor, and all its tasks; close the old one."""
        active = self._pipeline is not None
        self._stop_pipeline()
        self._predictor.close()
        self._predictor = predictor
        self.settings = settings
        self._outlet.set_card(predictor.card)
        self.tasks = predictor.card.tasks
        if active:
            self._start_pipeline()

    def set_tasks(self, names: list[str]) -> None:
        """Publish only these tasks; none means all of the model's.

        Raises:
            ValueError: a name is unknown, given twice, or not a task of the model.
        """
        own = self._predictor.card.tasks
        tasks = tuple(task.name for task in get_tasks(names or own))
        missing = [name for name in tasks if name not in own]
        if missing:
            raise ValueError(f'model {self._predictor.card.name} has no task '
                             f'{", ".join(missing)}; it has {", ".join(own)}')
        self.tasks = tasks

    def inference(self) -> Inference:
        """Return what runs, for reports."""
        engine = self._predictor.engine
        return Inference(self._predictor.card.name, engine.name, engine.device, engine.precision)

    def frame_age(self) -> float:
        """Return the node's time minus the newest stamp in seconds; -1 before the first frame."""
        if self.reception is None or self.reception.newest is None:
            return -1.0
        return (self.now() - self.reception.newest) / 1e9

    def _submit(self, message: Any, stamp: int) -> None:
        if self._pipeline is not None:
            self._pipeline.submit(message, stamp)

    def _start_pipeline(self) -> None:
        self._pipeline = Pipeline(self._predictor, self, self.statistics,
                                  self.settings.max_age, self.settings.output_scale)
        self._pipeline.start()

    def _stop_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def decode(self, message: Any) -> np.ndarray:
        """Return BGR pixels; raises BadImageError."""
        bgr = (decode if self.settings.image_transport == 'compressed' else to_bgr)(message)
        reception = self.reception
        if reception is not None:
            reception.note_size(bgr.shape[1], bgr.shape[0])
        return bgr

    def now(self) -> int:
        """Return the node's clock in nanoseconds."""
        return int(self._node.get_clock().now().nanoseconds)

    def wanted(self) -> frozenset[str]:
        """Return the topics to publish now."""
        return self._outlet.wanted(self.tasks)

    def camera_info(self, width: int, height: int) -> Any:
        """Return the checked camera_info of images of this size, or None."""
        reception = self.reception
        return None if reception is None else reception.camera_info(width, height)

    def publish(self, result: Result) -> float:
        """Publish everything wanted; return the seconds spent on filling and sending."""
        return self._outlet.publish(result, self.tasks)

    def report_drop(self, reason: str, text: str) -> None:
        """Count a dropped frame; log the first of its reason."""
        if self._node.context.ok() and self.statistics.drop(reason, text):
            self._node.get_logger().warning(
                f'frame dropped ({reason}): {text}; more of these are only counted, see '
                '/diagnostics')


def load_predictor(settings: Settings) -> Predictor:
    """Load and warm up; raises what ``Predictor`` raises."""
    predictor = Predictor(settings.model, settings.engine, settings.threads, settings.input_size)
    predictor.warm_up()
    return predictor


def describe(predictor: Predictor, begin: float) -> str:
    """Return one line about a predictor that was loaded since ``begin`` (monotonic)."""
    engine = predictor.engine
    height, width = predictor.input_size
    return (f'model {predictor.card.name} at {width}x{height} on {engine.name}, {engine.device}, '
            f'{engine.precision} ({engine.reason}), loaded in {time.monotonic() - begin:.1f} s')
