"""The thread that publishes results, and what becomes of it where a subscriber holds it up.

No rclpy. A publication that hangs cannot be ended. It is given up where the pipeline stops: what
it still holds is marked, so that it sends nothing more when it comes back (``check_given_up``).
"""

import threading
import time

from demt_perception.inference.spare_threads import Work
from demt_perception.ros.frame import check_age, check_given_up, Result, Source
from demt_perception.ros.frame_guard import guard
from demt_perception.ros.frame_slot import FrameSlot
from demt_perception.ros.frame_statistics import PUBLISH
from demt_perception.ros.hang_watch import HangWatch
from demt_perception.ros.stamps import age_seconds

HANGS_AFTER = 10.0
"""Seconds for the publication of a frame; none takes one, but where a subscriber holds it up."""


class Publication:
    """Publishes one result after another; started and stopped once.

    Attributes:
        results: those that wait to be published.
        given_up: set where the thread was, for those who may still be at work for it.
        thread: to be joined.
    """

    def __init__(self) -> None:
        """Keep the parts; ``start`` of the thread begins."""
        self.results: FrameSlot[Result] = FrameSlot()
        self.given_up = threading.Event()
        self.thread = Work(self._run, name='publication')
        self._watch = HangWatch()
        self._camera: Source | None = None   # whose result is, or was the last

    @property
    def lost(self) -> bool:
        """Tell whether it was given up, and has not come back.

        Then it may still write into the messages that its cameras keep.
        """
        return self.given_up.is_set() and self.thread.is_alive()

    def hangs(self, step: float) -> tuple[float, str]:
        """Return for how many seconds it has hung, 0 for none, and the topic it is sending on.

        Args:
            step: seconds since the last call.

        Returns:
            seconds and topic; '' where it does something else.
        """
        seconds, camera = self._watch.look(step), self._camera
        return seconds, camera.sending if seconds and camera else ''

    def _run(self) -> None:
        while (result := self.results.take()) is not None:
            self._camera = result.camera
            self._watch.enter(HANGS_AFTER)
            with guard(result.camera, 'publish_error'):
                publish(result)
            self._watch.leave()


def publish(result: Result) -> None:
    """Publish a result, and count how long the stages of its frame took.

    Raises:
        BadImageError: it is too old by now, or its publication was given up.
    """
    begin, camera = time.monotonic(), result.camera
    check_given_up(result)
    check_age(camera, result.frame)
    sending = camera.publish(result)
    age = age_seconds(camera.now(), result.frame.stamp)
    stages = {**result.stages, **result.predictions.timings,
              'handover': begin - result.done, 'publish': sum(sending.values()),
              **{PUBLISH + topic: seconds for topic, seconds in sending.items()}}
    if age is not None:
        stages['total'] = age
        # From the camera's stamp to our callback: what the transport takes.
        stages['receive'] = age - (time.monotonic() - result.frame.received)
    camera.statistics.process(stages)
