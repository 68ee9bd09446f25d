"""A loaded model at work in a node: its cameras, and the pipeline that they share."""

import threading
import time

from rclpy.lifecycle import LifecycleNode

from demt_perception.inference import Predictor
from demt_perception.inference.task_sets import TaskSets
from demt_perception.model_card import ModelCard
from demt_perception.ros.camera import Camera
from demt_perception.ros.engine_care import EngineCare
from demt_perception.ros.health import Inference
from demt_perception.ros.parameters import Settings
from demt_perception.ros.pipeline import Pipeline
from demt_perception.tasks import both_names, task_name


class Perception:
    """Exists while the node is configured; works between ``activate`` and ``deactivate``.

    For the executor's thread.

    Attributes:
        settings: as they are now.
        cameras: in the order of the parameter.
        loads: how often another predictor came.
        closed: whether ``close`` was called.
        building: how far the engine is that is to come, for reports; '' where none is to come.
        failure: why it does not come; ''.
        keeps_shape: whether the model cannot take the shape of the images: see ``match_aspect``.
        care: of the engine at work.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, predictor: Predictor) -> None:
        """Advertise the topics of a warm predictor, which is closed by ``close``.

        Raises:
            ValueError: the settings do not suit the model.
        """
        self._node = node
        self.settings = settings
        _check_classes(settings, predictor.card)
        self._predictors = self._task_sets(predictor)
        self._used: list[tuple[TaskSets, threading.Thread]] = []
        self._pipeline: Pipeline | None = None
        self.cameras: list[Camera] = []
        try:
            for name in settings.cameras:
                self.cameras.append(Camera(node, name, settings, predictor.card))
        except Exception:
            self._destroy_cameras()
            raise
        self.loads = 0
        self.closed = False
        self.building = self.failure = ''
        self.keeps_shape = False
        self.care = EngineCare()
        self._pipelines: list[Pipeline] = []   # that have lost threads

    def activate(self, enabled: bool) -> None:
        """Begin to work, and, where enabled, to listen.

        Raises:
            RuntimeError: a publication of before has not come back.
        """
        # It may still fill the messages that the cameras keep, under the stamp of its old frame.
        if any(pipeline.publication.lost for pipeline in self._pipelines):
            raise RuntimeError(self._lost_text())
        self._pipeline = Pipeline(self._predictors, self.cameras)
        self._pipeline.start()
        self.enable(enabled)

    def _lost_text(self) -> str:
        topic = next(filter(None, (camera.sending for camera in self.cameras)), '')
        at = f', on {topic}: find its subscriber (ros2 topic info -v {topic}) and end it' if (
            topic) else ''
        return ('a publication has not come back since the node was deactivated' + at +
                '; wait until it does, or clean up and configure')

    def enable(self, enabled: bool) -> None:
        """Listen to the cameras or not; without effect unless active."""
        for camera in self.cameras:
            if not enabled:
                camera.ignore()
            elif self._pipeline is not None and camera.reception is None:
                camera.listen(self._pipeline)

    def deactivate(self) -> None:
        """Stop listening, finish the frame in hand, publish nothing more."""
        # The pipeline first: the frame in hand still needs its camera_info.
        if self._pipeline is not None:
            self._pipeline.stop()
            if self._pipeline.lost:
                self._pipelines.append(self._pipeline)
            self._pipeline = None
        self.enable(False)

    def close(self) -> None:
        """Stop, take back the topics and free the model."""
        self.deactivate()
        self._destroy_cameras()
        self.cameras.clear()   # with the messages that they fill
        self._free(self._predictors)
        self.closed = True

    def look_after_engine(self) -> bool:
        """Return whether another engine is to be loaded; called again and again.

        See ``EngineCare.look``.
        """
        self._prune()   # what has ended holds memory, on a GPU too
        return self.care.look(self._pipeline, time.monotonic())

    @property
    def exchanges(self) -> int:
        """Return how often another predictor was wanted: not in place of one that was given up."""
        return self.loads - self.care.restarts

    def runs(self, card: ModelCard) -> bool:
        """Tell whether this is the card of the model at work, to the last figure."""
        return self._predictors.whole.card == card

    def replace(self, predictor: Predictor, settings: Settings) -> None:
        """Go on with another warm predictor, and all its tasks, from the next frame on.

        The old one is closed when the frame in it is done.

        Raises:
            ValueError: the settings do not suit the model; nothing was changed.
        """
        _check_classes(settings, predictor.card)
        self.go_on_with(predictor, settings)
        self.keeps_shape = False
        self.choose_tasks(None)

    def go_on_with(self, predictor: Predictor, settings: Settings) -> None:
        """Replace the engine of the same model: the tasks that were chosen stay."""
        _check_classes(settings, predictor.card)
        # Topics before the model that feeds them: an old frame leaves out those that are gone.
        at_once = self._pipeline is None
        try:
            for camera in self.cameras:
                camera.offer(predictor.card, at_once)
        except Exception:   # an override of a topic's quality of service that cannot be
            for camera in self.cameras:
                camera.offer(self._predictors.whole.card, at_once)
            raise
        self._use(settings)
        self.failure = ''
        self.care.renew()
        old, self._predictors = self._predictors, self._task_sets(predictor)
        self.loads += 1
        if self._pipeline is None:
            self._free(old)
        else:
            self._prune()
            self._used.append((old, self._pipeline.go_on_with(self._predictors)))

    def apply(self, settings: Settings) -> None:
        """Take over what can change at any time (``Settings.live``).

        Raises:
            ValueError: it does not suit the model or the images; nothing was changed.
        """
        old = self.settings
        _check_classes(settings, self._predictors.whole.card)
        for camera in self.cameras:
            camera.check(settings)
        anew = (settings.image_transport, settings.rectified) != (
            old.image_transport, old.rectified) and any(
            camera.reception is not None for camera in self.cameras)
        try:
            self._change(settings, settings.confidence != old.confidence, anew)
        except Exception:   # an override of a topic's quality of service that cannot be
            self._change(old, settings.confidence != old.confidence, anew)
            raise

    def _change(self, settings: Settings, offer: bool, anew: bool) -> None:
        """Use settings; advertise the topics and listen anew where that is needed."""
        self._use(settings)
        for camera in self.cameras if offer else ():
            camera.offer(self._predictors.whole.card)
        if anew:
            self.enable(False)
            self.enable(True)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that are published."""
        chosen, tasks = self.cameras[0].chosen, self._predictors.whole.card.tasks
        return tuple(name for name in tasks if chosen is None or name in chosen)

    def set_tasks(self, names: list[str]) -> None:
        """Publish only these tasks; none means all of the model's.

        Args:
            names: of tasks, or of their topic folders: ``semseg`` or ``semantic``.

        Raises:
            ValueError: a name is unknown, given twice, or not a task of the model.
        """
        card = self._predictors.whole.card
        try:
            chosen = card.only(map(task_name, names)).tasks if names else None
        except ValueError:
            raise ValueError(f'tasks {names} cannot be chosen: want some of model {card.name}, '
                             f'each at most once: {both_names(card.tasks)}') from None
        self.choose_tasks(chosen)

    def choose_tasks(self, chosen: tuple[str, ...] | None) -> None:
        """Publish these tasks of all cameras, where the model has them; None: all."""
        for camera in self.cameras:
            camera.chosen = chosen

    def size_to_match(self) -> tuple[int, int] | None:
        """Return (height, width) of the images where the model is to be loaded for them, once."""
        settings = self.settings
        if not settings.match_aspect or settings.input_size or settings.image_size or (
                self.keeps_shape):
            return None
        return next(filter(None, (camera.size_analysed() for camera in self.cameras)), None)

    def inference(self) -> Inference:
        """Return what runs, for reports."""
        whole = self._predictors.whole
        engine = whole.engine
        return Inference(whole.card.name, engine.name, engine.device, engine.precision,
                         self.building, self._predictors.slow, self.care.name, self.care.restarts)

    def is_preparing(self) -> bool:
        """Tell whether a thread is preparing or freeing an engine, or is lost in one."""
        self._prune()
        return _prepares(self._predictors) or self._lost() or bool(self._used)

    def _prune(self) -> None:
        self._used = [(used, thread) for used, thread in self._used if _lives(used, thread)]

    def _free(self, predictors: TaskSets) -> None:
        """Close predictors that no pipeline uses."""
        if not self._lost():
            predictors.close()
            return
        # That waits for who is in them, maybe for ever.
        thread = threading.Thread(target=predictors.close, name='retire_model', daemon=True)
        thread.start()
        self._used.append((predictors, thread))

    def _lost(self) -> bool:
        """Tell whether a thread is lost in an engine, or in a publication."""
        self._pipelines = [pipeline for pipeline in self._pipelines if pipeline.lost]
        return bool(self._pipelines)

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        for camera in self.cameras:
            camera.settings = settings

    def _destroy_cameras(self) -> None:
        for camera in self.cameras:
            camera.close()

    def _task_sets(self, predictor: Predictor) -> TaskSets:
        def say(line: str) -> None:
            if self._node.context.ok():
                self._node.get_logger().info(line)

        return TaskSets(predictor, say)


def _check_classes(settings: Settings, card: ModelCard) -> None:
    unknown = [name for name in settings.classes if name not in card.classes]
    if unknown:
        raise ValueError(
            f'classes {unknown} are not those of model {card.name}: want some of '
            f"{', '.join(card.classes)}, or [''] for all")


def _lives(predictors: TaskSets, thread: threading.Thread) -> bool:
    return thread.is_alive() or _prepares(predictors)


def _prepares(predictors: TaskSets) -> bool:
    return predictors.preparing is not None and predictors.preparing.is_alive()
