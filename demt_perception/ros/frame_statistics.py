"""Counts frames and times stages, for diagnostics. Thread-safe. No rclpy."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import threading
import time

WINDOW = 10.0
"""Seconds that percentiles look back."""

PUBLISH = 'publish '
"""Before the topic in the name of a stage: filling and sending one message."""

NOT_DUE, NOT_WANTED = 'not_due', 'not_wanted'
"""Events: why a frame is idle. It was not the turn of a task that somebody subscribes to, see
``rates``; or nobody subscribes to an output."""

LOST, INFOS = 'lost_in_transport', 'camera_infos'
"""Events: images that did not come through, see ``input_watch``; and camera_infos that came."""


@dataclass(frozen=True)
class Snapshot:
    """State at one moment.

    Attributes:
        received, processed, idle: frames since configuration. Idle: nothing had to be done for
            them, see ``NOT_DUE``.
        drops: frames dropped, by reason.
        events: other things worth knowing, by name: how often.
        new: by how much reasons and events grew since the snapshot before.
        details: the newest text of each reason and event.
        input_rate, output_rate: Hz, since the snapshot before.
        stages: (p50, p95) in milliseconds of the last ``WINDOW`` seconds, by stage.
        silence: seconds since the last frame came, or since the start.
    """

    received: int = 0
    processed: int = 0
    idle: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    new: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    input_rate: float = 0.0
    output_rate: float = 0.0
    stages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    silence: float = 0.0

    @property
    def dropped(self) -> int:
        """Frames dropped for any reason."""
        return sum(self.drops.values())


def total(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the sum of several cameras' snapshots.

    Stages are those of one frame, and stay with their camera; the silence is the shortest.
    """
    if len(snapshots) == 1:
        return snapshots[0]

    def added(name: str) -> Counter[str]:
        return sum((Counter(getattr(one, name)) for one in snapshots), Counter())

    return Snapshot(
        sum(one.received for one in snapshots), sum(one.processed for one in snapshots),
        sum(one.idle for one in snapshots), added('drops'), added('events'), added('new'),
        {name: text for one in snapshots for name, text in one.details.items()},
        sum(one.input_rate for one in snapshots), sum(one.output_rate for one in snapshots),
        silence=min((one.silence for one in snapshots), default=0.0))


class Statistics:
    """What happened to the frames since the node was configured."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._lock = threading.Lock()
        self._received = self._processed = self._idle = 0
        self._drops: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._details: dict[str, str] = {}
        self._stages: defaultdict[str, deque[tuple[float, float]]] = defaultdict(deque)
        self._last_frame = time.monotonic()
        self._before = Snapshot()
        self._before_at = self._last_frame

    def restart_silence(self) -> None:
        """Count the silence from now on: we have just begun to listen."""
        with self._lock:
            self._last_frame = time.monotonic()

    def receive(self) -> None:
        """Count a frame that came."""
        with self._lock:
            self._received += 1
            self._last_frame = time.monotonic()

    def process(self, stages: Mapping[str, float]) -> None:
        """Count a frame whose outputs are published, and how many seconds each stage took."""
        now = time.monotonic()
        with self._lock:
            self._processed += 1
            for stage, seconds in stages.items():
                self._stages[stage].append((now, seconds))

    def rest(self) -> None:
        """Count a frame that nothing has to be done for; why is a note's business."""
        with self._lock:
            self._idle += 1

    def drop(self, reason: str, detail: str = '') -> bool:
        """Count a dropped frame; return whether it is the first of its reason."""
        return self._count(self._drops, reason, detail, 1)

    def note(self, event: str, detail: str = '', times: int = 1) -> bool:
        """Count something other than a drop; return whether it is the first of its kind."""
        return self._count(self._events, event, detail, times)

    def _count(self, counter: Counter[str], name: str, detail: str, times: int) -> bool:
        with self._lock:
            counter[name] += times
            self._details[name] = detail
            return counter[name] == times

    def snapshot(self) -> Snapshot:
        """Return the state now; rates and ``new`` are since the call before."""
        now = time.monotonic()
        with self._lock:
            before, seconds = self._before, max(now - self._before_at, 1e-9)
            counts = self._drops + self._events
            past = Counter(before.drops) + Counter(before.events)
            self._before_at = now
            self._before = Snapshot(
                self._received, self._processed, self._idle, dict(self._drops),
                dict(self._events), dict(counts - past), dict(self._details),
                (self._received - before.received) / seconds,
                (self._processed - before.processed) / seconds,
                self._percentiles(now - WINDOW), now - self._last_frame)
            return self._before

    def _percentiles(self, since: float) -> dict[str, tuple[float, float]]:
        result = {}
        for stage, times in self._stages.items():
            while times and times[0][0] < since:
                times.popleft()
            if times:
                ordered = sorted(seconds * 1000 for _, seconds in times)
                result[stage] = (ordered[len(ordered) // 2],
                                 ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)])
        return result
