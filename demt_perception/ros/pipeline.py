"""Two threads behind the subscription: one converts and infers, one publishes. No rclpy.

    reception -> slot (the newest frame wins) -> inference -> slot -> publication

Inference takes a frame only when its last result has been taken, so the frame is the newest that
there is. Publication holds Python's global lock (rclpy copies and sends under it), but the
engine and OpenCV do not: that is what makes the two threads worth having.
"""

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any, Protocol

import numpy as np

from demt_perception.inference import Predictions, Predictor
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import focal_lengths
from demt_perception.ros.frame_slot import FrameSlot
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.stamps import age_seconds


@dataclass(frozen=True)
class Frame:
    """A camera message on its way.

    Attributes:
        message: sensor_msgs/Image or CompressedImage.
        stamp: of the camera, nanoseconds.
        received: monotonic seconds.
    """

    message: Any
    stamp: int
    received: float


@dataclass(frozen=True)
class Result:
    """Predictions on their way to be published; ``done`` in monotonic seconds."""

    frame: Frame
    predictions: Predictions
    camera_info: Any
    wanted: Any
    stages: dict[str, float]
    done: float


class Surroundings(Protocol):
    """What the pipeline needs of the node."""

    def decode(self, message: Any) -> np.ndarray:
        """Return BGR pixels; raises BadImageError."""

    def now(self) -> int:
        """Return the node's clock in nanoseconds."""

    def wanted(self) -> Any:
        """Return what is to be published now; false where nobody listens."""

    def camera_info(self, width: int, height: int) -> Any:
        """Return the checked camera_info of images of this size, or None."""

    def publish(self, result: Result) -> float:
        """Publish everything wanted; return the seconds spent on filling and sending."""

    def report_drop(self, reason: str, text: str) -> None:
        """Count a dropped frame, and say so."""


class Pipeline:
    """Runs a predictor on the newest frame; started and stopped once."""

    def __init__(self, predictor: Predictor, node: Surroundings, statistics: Statistics,
                 max_age: float, output_scale: float) -> None:
        """Keep the parts; ``start`` begins.

        Args:
            predictor: warm.
            node: the callbacks, called from both threads.
            statistics: counts what happens.
            max_age: seconds beyond which a frame is dropped; 0 = no limit.
            output_scale: size of the outputs relative to the image.
        """
        self._predictor = predictor
        self._node = node
        self._statistics = statistics
        self._max_age = max_age
        self._output_scale = output_scale
        self._arrived: FrameSlot[Frame] = FrameSlot()
        self._ready: FrameSlot[Result] = FrameSlot()
        self._threads = [threading.Thread(target=self._run_inference, name='inference'),
                         threading.Thread(target=self._run_publication, name='publication')]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the work in hand, throw away what waits, and end both threads."""
        self._arrived.close()
        self._ready.close()
        for thread in self._threads:
            thread.join()

    def submit(self, message: Any, stamp: int) -> None:
        """Hand over a frame. Never blocks."""
        if self._arrived.put(Frame(message, stamp, time.monotonic())):
            self._statistics.drop('superseded')

    def _run_inference(self) -> None:
        while self._ready.wait_empty() and (frame := self._arrived.take()) is not None:
            self._drop_on_error(self._infer, frame, 'engine_error')

    def _run_publication(self) -> None:
        while (result := self._ready.take()) is not None:
            self._drop_on_error(self._publish, result, 'publish_error')

    def _drop_on_error(self, work: Callable[[Any], None], item: Any, reason: str) -> None:
        """Keep the thread alive whatever a frame does to it; count it for a reason."""
        try:
            work(item)
        except BadImageError as error:
            self._node.report_drop(error.reason, str(error))
        except Exception as error:
            self._node.report_drop(reason, f'{type(error).__name__}: {error}')

    def _infer(self, frame: Frame) -> None:
        begin = time.monotonic()
        if self._is_too_old(frame):
            return
        wanted = self._node.wanted()
        if not wanted:
            self._statistics.rest()
            return
        bgr = self._node.decode(frame.message)
        converted = time.monotonic()
        height, width = bgr.shape[:2]
        info = self._node.camera_info(width, height)
        focal = None if info is None else focal_lengths(info)
        predictions = self._predictor.predict(bgr, focal, self._output_scale)
        self._ready.put(Result(
            frame, predictions, info, wanted,
            {'wait': begin - frame.received, 'convert': converted - begin}, time.monotonic()))

    def _is_too_old(self, frame: Frame) -> bool:
        age = age_seconds(self._node.now(), frame.stamp)
        if not self._max_age or age is None or age <= self._max_age:
            return False
        self._node.report_drop('too_old', too_old_text(age, self._max_age))
        return True

    def _publish(self, result: Result) -> None:
        begin = time.monotonic()
        if self._is_too_old(result.frame):  # it may have aged in work: a hanging engine
            return
        sending = self._node.publish(result)
        age = age_seconds(self._node.now(), result.frame.stamp)
        stages = {**result.stages, **result.predictions.timings,
                  'handover': begin - result.done, 'publish': sending}
        if age is not None:
            stages['total'] = age
        self._statistics.process(stages)


def too_old_text(age: float, max_age: float) -> str:
    """Return why a frame is too old, and what to do."""
    text = f'a frame is {age:.3g} s old, max_age is {max_age:g} s: '
    if age > 60:
        return text + ('is it a recording? Play it with --clock and set use_sim_time, or set '
                       'max_age to 0')
    return text + ('the clocks of camera and node differ, or the camera sends late; set max_age '
                   'higher, or to 0 for no limit')
