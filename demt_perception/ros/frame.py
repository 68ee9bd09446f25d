"""A frame on its way through the pipeline, and what that needs of a camera. No rclpy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import threading
import time
from typing import Any, NamedTuple, Protocol

import numpy as np

from demt_perception.inference import Predictions
from demt_perception.model_card import ModelCard
from demt_perception.ros.bad_image import BadImageError
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


class Wanted(NamedTuple):
    """What is to be published of a frame: topics, the tasks that are run for them, and scale."""

    topics: frozenset[str]
    tasks: tuple[str, ...]
    output_scale: float


class Picture(NamedTuple):
    """What is analysed of a frame.

    Attributes:
        bgr: uint8 HxWx3, C-contiguous.
        camera_info: of these pixels, checked; None where there is none.
        focal: (fx, fy) in these pixels; None where the card's field of view holds for them.
    """

    bgr: np.ndarray
    camera_info: Any
    focal: tuple[float, float] | None


class Source(Protocol):
    """What the pipeline needs of a camera. Called from both threads."""

    statistics: Statistics

    def __hash__(self) -> int:
        """Return what tells cameras apart."""

    @property
    def max_age(self) -> float:
        """Return the seconds beyond which a frame is dropped; 0 = no limit."""

    @property
    def sending(self) -> str:
        """Return the topic that a message is being sent on; '' for none."""

    def look(self, message: Any, card: ModelCard) -> Picture:
        """Return the pixels of a message that are to be analysed; raises BadImageError."""

    def now(self) -> int:
        """Return the node's clock in nanoseconds."""

    @property
    def is_simulated(self) -> bool:
        """Tell whether that clock is simulated: then it may be slow, or stand still."""

    def wanted(self, card: ModelCard) -> Wanted | None:
        """Return what is to be published of the next frame, of a model; None for nothing."""

    def publish(self, result: 'Result') -> Mapping[str, float]:
        """Publish everything wanted; return the seconds of filling and sending by topic.

        Raises:
            BadImageError: the frame became too old meanwhile: see ``check_age``.
        """

    def report_drop(self, reason: str, text: str) -> None:
        """Count a dropped frame, and say so."""


@dataclass(frozen=True)
class Result:
    """Predictions on their way to be published; ``done`` in monotonic seconds.

    ``given_up`` is set where the thread that publishes them has been: see ``check_given_up``.
    """

    camera: Source
    frame: Frame
    predictions: Predictions
    camera_info: Any
    wanted: frozenset[str]
    stages: dict[str, float]
    done: float
    given_up: threading.Event = field(default_factory=threading.Event)


def check_given_up(result: Result) -> None:
    """Raise BadImageError (``given_up``) where nobody waits for a publication any more.

    To be called like ``check_age``: a thread that comes back late must publish nothing.
    """
    if result.given_up.is_set():
        raise BadImageError('given_up', 'the node was deactivated while the frame was being '
                            'published, and that did not come back in time')


def check_age(camera: Source, frame: Frame) -> None:
    """Raise BadImageError (``too_old``) where a frame is older than the camera's ``max_age``.

    By its stamp, and by how long it has been here: a stamp may be missing, or ahead. To be called
    before work is done for it, and right before anything of it is published.
    """
    age, max_age = age_seconds(camera.now(), frame.stamp), camera.max_age
    if max_age and age is not None and age > max_age:
        raise BadImageError('too_old', too_old_text(age, max_age))
    here = 0.0 if camera.is_simulated else time.monotonic() - frame.received
    if max_age and here > max_age:
        raise BadImageError(
            'too_old', f'a frame has been in the node for {here:.3g} s, max_age is {max_age:g} s: '
            'the model or a subscriber takes that long; set max_age higher, or to 0 for no limit')


def too_old_text(age: float, max_age: float) -> str:
    """Return why a frame is too old, and what to do."""
    text = f'a frame is {age:.3g} s old, max_age is {max_age:g} s: '
    if age > 60:
        return text + ('is it a recording? Play it with --clock and set use_sim_time, or set '
                       'max_age to 0')
    return text + ('the clocks of camera and node differ, or the camera sends late; set max_age '
                   'higher, or to 0 for no limit')
