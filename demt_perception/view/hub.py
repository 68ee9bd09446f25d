"""What viewers wait for: the newest frames, the node's state, and who looks at what.

The bridge to ROS puts in, in its thread; the web server takes out, each viewer in a thread. A
viewer is whoever asked lately: it asks for the next moment when it has drawn the last one, so
that a slow one simply gets fewer.
"""

from collections import deque
from collections.abc import Collection, Mapping
import threading
import time
from typing import Any, NamedTuple

from demt_perception.view.frame import Frame
from demt_perception.view.topics import Topic
from demt_perception.view.values import pixel_text
from demt_perception.view.viewers import LEASE, Viewer, Viewers

LINGER = 0.1
"""Seconds that the first picture of a frame waits for the others."""
STALE = 1.0
"""Seconds after which a topic no longer holds up the others."""
RECENT = 3
RECENT_INPUTS = 12
"""Frames of a camera that are kept until its outputs have come: all that are on the way."""
HISTORY = 600
"""Reports of a camera that are kept for the plots."""


class ClosedError(Exception):
    """The server is ending."""


class Moment(NamedTuple):
    """What is new for a viewer.

    Attributes:
        pictures: frames by topic, only those that it does not have.
        state: the node's, or None where it has that.
        version: of the state.
        reports: statistics with their numbers, those that it does not have.
        complete: the values that belong to these pictures are here, too.
    """

    pictures: Mapping[str, Frame]
    state: dict[str, Any] | None
    version: int
    reports: list[dict[str, Any]]
    complete: bool


class Hub:
    """The meeting place of bridge and server."""

    def __init__(self, state: dict[str, Any]) -> None:
        """Begin with a state that can be written as JSON, and no topics."""
        self._changed = threading.Condition()
        self._state, self._version = state, 1
        self._topics: dict[str, Topic] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._frames: dict[str, deque[Frame]] = {}
        self._reports: dict[str, deque[dict[str, Any]]] = {}
        self._count = self._number = 0
        self._viewers = Viewers()
        self._closed = False

    # From the bridge.

    def put(self, topic: str, frame: Frame) -> None:
        """Add a frame of a topic that is known; wakes those who wait."""
        with self._changed:
            if topic in self._topics:
                self._count += 1
                frame.number = self._count
                kept = RECENT_INPUTS if self._topics[topic].input else RECENT
                self._frames.setdefault(topic, deque(maxlen=kept)).append(frame)
                self._changed.notify_all()

    def set_state(self, state: dict[str, Any], topics: Collection[Topic],
                  labels: Mapping[str, tuple[str, ...]]) -> None:
        """Replace the state, the topics, and the class names by camera, where they changed."""
        with self._changed:
            known = {topic.name: topic for topic in topics}
            if (state, known, labels) == (self._state, self._topics, self._labels):
                return
            self._state, self._topics, self._labels = state, known, dict(labels)
            self._version += 1
            for name in self._frames.keys() - known.keys():
                del self._frames[name]
            self._changed.notify_all()

    def add_report(self, report: Mapping[str, Any]) -> None:
        """Add statistics to those that the plots show."""
        with self._changed:
            self._number += 1
            kept = self._reports.setdefault(report.get('camera', ''), deque(maxlen=HISTORY))
            kept.append({'number': self._number, **report})
            self._changed.notify_all()

    def wanted(self) -> tuple[bool, frozenset[str]]:
        """Return whether anybody looks, and the topics that are wanted now.

        Frames of the others are forgotten: who asks for them again wants new ones.
        """
        with self._changed:
            viewers = self._viewers.here()
            topics: set[str] = set()
            for viewer in viewers:
                topics |= viewer.shown & self._topics.keys()
                if viewer.probing:
                    topics |= self._valued(viewer.shown)
            for name in self._frames.keys() - topics:
                del self._frames[name]
            return bool(viewers), frozenset(topics)

    def close(self) -> None:
        """Wake everybody who waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # From the server.

    def next(self, name: str, have: Mapping[str, int], version: int = 0, number: int = 0,
             probing: bool = False, patience: float = 1.0) -> Moment:
        """Wait for something that a viewer does not have, or until its patience ends.

        Args:
            name: of the viewer.
            have: the topics that it shows, and the number of the frame that it has of each; 0
                for none.
            version: of the state that it has; 0 for none.
            number: of the last statistics that it has.
            probing: it wants values, too.
            patience: seconds.

        Raises:
            TooManyViewersError: it is one too many.
            ClosedError: there is nothing more to wait for.
        """
        with self._changed:
            viewer = self._viewers.enter(name)
            viewer.shown, viewer.probing = frozenset(have), probing
            viewer.until = time.monotonic() + patience + LEASE
            viewer.turn = turn = viewer.turn + 1

            def over() -> bool:   # a newer request of the same viewer: nobody reads this answer
                return self._closed or viewer.turn != turn

            self._changed.notify_all()
            self._changed.wait_for(
                lambda: over() or version != self._version or number != self._number
                or self._newer(have), patience)
            if self._newer(have):
                self._changed.wait_for(lambda: over() or self._whole(have), LINGER)
            if self._closed:
                raise ClosedError('demt view is ending')
            pictures = self._newer(have)
            if pictures and viewer.turn == turn:
                viewer.stamp = max(frame.stamp for frame in pictures.values())
                viewer.values = self._values_near(viewer)
            viewer.until = time.monotonic() + LEASE
            return Moment(
                pictures, self._state if version != self._version else None, self._version,
                self._reports_after(number),
                bool(pictures) and self._complete(viewer))

    def renew(self, name: str, seconds: float) -> None:
        """Let a viewer be here for so long from now: it cannot ask while its answer is sent."""
        with self._changed:
            viewer = self._viewers.find(name)
            if viewer is not None:
                viewer.until = time.monotonic() + seconds

    def values(self, name: str, camera: str, u: float, v: float) -> list[dict[str, Any]]:
        """Return what the pixel at a place says, of the pictures that the viewer has."""
        with self._changed:
            viewer = self._viewers.find(name)
            if viewer is None:
                return []
            if not self._complete(viewer):   # asked before they came
                viewer.values |= self._values_near(viewer, exact=bool(viewer.values))
            looks = [(topic, viewer.values[topic.name],
                      topic.names or self._labels.get(camera) or ())
                     for topic in self._topics.values()
                     if topic.camera == camera and topic.name in viewer.values]
        # Decoding takes its time: without the lock.
        texts = []
        for topic, frame, names in looks:
            try:
                texts.append(pixel_text(topic, frame.pixels, u, v, names))
            except ValueError as error:
                texts.append({'title': topic.title, 'text': f'damaged: {error}'})
        return texts

    def _reports_after(self, number: int) -> list[dict[str, Any]]:
        """Return the reports of all cameras after a number, in its order."""
        return sorted((report for reports in self._reports.values() for report in reports
                       if report['number'] > number), key=lambda report: report['number'])

    def _newer(self, have: Mapping[str, int]) -> dict[str, Frame]:
        """Return what a viewer does not have: newest outputs, and the camera's image of these."""
        outputs = self._outputs(have)
        chosen = {topic: self._frames[topic][-1] for topic in have if self._frames.get(topic)}
        stamps = [frame.stamp for frame in self._alive(have)]
        for topic in chosen.keys() - outputs if stamps else ():
            # Where that is no longer kept the oldest one: in time it never goes back.
            kept = self._frames[topic]
            chosen[topic] = max((frame for frame in kept if frame.stamp <= max(stamps)),
                                key=lambda frame: (frame.stamp, frame.number), default=kept[0])
        return {topic: frame for topic, frame in chosen.items() if frame.number != have[topic]}

    def _whole(self, have: Mapping[str, int]) -> bool:
        """Tell whether all outputs that are alive have their picture of the newest frame."""
        return len({frame.stamp for frame in self._alive(have)}) <= 1

    def _alive(self, names: Collection[str]) -> list[Frame]:
        """Return the newest frames of those outputs that came lately."""
        now = time.time()
        newest = [self._frames[name][-1] for name in self._outputs(names)
                  if self._frames.get(name)]
        return [frame for frame in newest if now - frame.received < STALE]

    def _outputs(self, names: Collection[str]) -> set[str]:
        return {name for name in names if name in self._topics and not self._topics[name].input}

    def _valued(self, shown: Collection[str]) -> set[str]:
        cameras = {self._topics[name].camera for name in shown if name in self._topics}
        return {topic.name for topic in self._topics.values()
                if topic.valued and topic.camera in cameras}

    def _values_near(self, viewer: Viewer, exact: bool = False) -> dict[str, Frame]:
        """Return the values of the frame that a viewer sees; else, unless exact, the newest.

        For one that shows nothing new they are always exact: its picture is an old one.
        """
        exact = exact or not viewer.shown
        found = {}
        for name in self._valued(viewer.shown) if viewer.shown else self._topics.keys():
            frames = self._frames.get(name) or ()
            if not self._topics[name].valued or not frames:
                continue
            same = [frame for frame in frames if frame.stamp == viewer.stamp]
            if same or not exact:
                found[name] = (same or [frames[-1]])[-1]
        return found

    def _complete(self, viewer: Viewer) -> bool:
        valued = self._valued(viewer.shown) or viewer.values.keys()
        return bool(valued) and all(
            name in viewer.values and viewer.values[name].stamp == viewer.stamp
            for name in valued)
