"""When an engine is given up, another one loaded in its place, and the process ended. No rclpy."""

from demt_perception.inference.engines import LOST
from demt_perception.ros.pipeline import Pipeline

PERIOD = 0.25
"""Seconds between two looks."""

MOST = 2
"""Threads that may be lost in an engine: each keeps its memory. One more, and the process ends."""

LOADING = 60.0
"""Seconds for the loading of another engine."""

STUCK = 60.0
"""Seconds for a publication that hangs, but not in the sending of a message: on a GPU, say."""

LONGEST = 60.0
"""Seconds at most between two tries."""


def pause(tries: int, longest: float = LONGEST) -> float:
    """Return the seconds to wait after so many tries in vain: 2, 4, 8 and so on."""
    return min(2.0 ** min(tries, 16), longest)   # for days, and 2.0 ** 1024 cannot be


class HungError(RuntimeError):
    """Something hangs that nothing but the end of the process can free."""


class EngineCare:
    """Looks after the engine of one configured node; for the executor's thread.

    An engine that hangs, or that fails on every frame, is replaced by another of the same model;
    where it fails because the GPU is lost to the process, that ends.
    Where that does not help, or cannot be loaded, the next try comes after a pause: of 2 s, then
    4 s and so on, until one gives a result.

    A publication that hangs is told. Where it hangs in sending, the process does not end for it:
    with some middlewares a reliable subscriber that is slow or stopped holds it up, and would do
    so again.

    Attributes:
        name: of the trouble, ``engine_hung``, ``engine_error`` or ``publication_hung``; '': none.
        news: what the last look found that is to be said once: a publication hangs; '': nothing.
        restarts: how often another engine was loaded.
    """

    def __init__(self) -> None:
        """Begin without a trouble."""
        self.name = self.news = ''
        self.restarts = 0
        self._hung = self._failing = self._why_not = self._held_up = ''
        self._topic = ''
        self._stuck = 0.0      # seconds that a publication has hung, but not in sending
        self._tries = 0
        self._pause = 0.0      # seconds until the next try
        self._loading = -1.0   # seconds that another one has been loading; -1: none is
        self._before: float | None = None

    def look(self, pipeline: Pipeline | None, now: float) -> bool:
        """Look at the pipeline; return whether another engine is to be loaded now.

        Args:
            pipeline: at work; None for none.
            now: monotonic seconds.

        Raises:
            HungError: the process has to end.
        """
        # Where the whole process stood still, nothing hangs for that: see ``HangWatch``.
        step = 0.0 if self._before is None else min(now - self._before, 2 * PERIOD)
        self._before = now
        self._count(step)
        self.news = ''
        if pipeline is None:
            self._failing = self._held_up = ''
            self._stuck = 0.0
            self.name = 'engine_hung' if self._hung else ''
            return False
        self.news = self._look_at_publication(pipeline, step)
        if hung := pipeline.give_up_hung(step):
            self._hung, self._why_not, self._pause = hung, '', 0.0
        if pipeline.lost > MOST:
            raise HungError(f'{self._hung}, as {pipeline.lost - 1} before it')
        self._failing = pipeline.failure
        if LOST in self._failing:   # to another engine, too, whatever its kind
            raise HungError(self._failing)
        engine = 'engine_hung' if self._hung else 'engine_error' if self._failing else ''
        self.name = engine or ('publication_hung' if self._held_up else '')
        if not engine and pipeline.works:
            self._tries, self._why_not, self._pause = 0, '', 0.0
        return bool(engine) and self._loading < 0 and self._pause <= 0

    @property
    def trouble(self) -> str:
        """Return what is wrong, and what is done about it; '' for nothing."""
        what = self._hung or self._failing
        if not what:
            return self._held_up
        if self._loading >= 0:
            return f'{what}; another one is being loaded'
        return f'{what}; {self._why_not}, the next try is in {max(self._pause, 0):.0f} s'

    def begin(self) -> None:
        """Count a try: another engine is being loaded."""
        self._loading = 0.0
        self._tries += 1

    def end(self, why_not: str = '') -> None:
        """Say that it is there, and at work; or why not."""
        self._loading = -1.0
        self._pause = pause(self._tries)
        self._why_not = f'another one cannot be loaded: {why_not}' if why_not else (
            'another one did not help')
        self.restarts += not why_not

    def renew(self) -> None:
        """Say that another engine is at work, whoever wanted it."""
        self._hung = self._failing = ''

    def _look_at_publication(self, pipeline: Pipeline, step: float) -> str:
        """Return what is wrong with it where that is new."""
        told = bool(self._held_up), self._topic
        seconds, topic = pipeline.publication.hangs(step)
        self._stuck = self._stuck + step if seconds and not topic else 0.0
        if self._stuck > STUCK:
            raise HungError(f'a publication has not come back for {seconds:.1f} s')
        self._held_up = (
            f'a message on {topic} has not been sent for {seconds:.0f} s: a reliable subscriber '
            f'that is slow or stopped may hold it up; find it (ros2 topic info -v {topic}) and '
            'end it, or have it subscribe with best effort'
        ) if topic else f'a publication has not come back for {seconds:.0f} s' if seconds else ''
        self._topic = topic
        # Once, and again where only now a topic is known that can be looked at.
        return self._held_up if not told[0] or (topic and topic != told[1]) else ''

    def _count(self, step: float) -> None:
        self._pause -= step
        if self._loading >= 0:
            self._loading += step
            if self._loading > LOADING:
                raise HungError(f'{self._hung or self._failing}, and the loading of another one '
                                f'has not ended for {self._loading:.0f} s')
