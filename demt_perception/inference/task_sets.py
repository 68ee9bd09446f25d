"""One model, and for each set of its tasks that is asked for again and again a smaller engine.

The graph is cut to the tasks of a frame (``cutting.py``), so that the work for the others is not
done. Engines are prepared in a thread, while the whole model serves; the next frame goes to the
new one. Coming and going of tasks prepares nothing: a set has to be asked for over ``PATIENCE``
seconds, the whole model stays, and no engine is given up for another before it has had ``REST``
seconds without a frame.
"""

from collections.abc import Callable, Iterable, Sequence
import threading
import time

import numpy as np

from demt_perception.inference.building_apart import load_or_build_apart
from demt_perception.inference.engines import EngineError
from demt_perception.inference.predictions import Predictions
from demt_perception.inference.predictor import Predictor
from demt_perception.inference.spare_threads import Work
from demt_perception.model_card import ModelCard

MOST = 3
"""Engines besides the whole model's: each takes memory of its own."""

PATIENCE, ASKS = 5.0, 10
"""Seconds that a set is asked for before its engine is prepared, and how often."""

REST = 60.0

Tasks = tuple[str, ...]


def _silent(line: str) -> None:
    """Tell nobody."""


class _Interest:
    """Since when, until when and how often a set was asked for, without a gap of ``PATIENCE``."""

    def __init__(self, now: float) -> None:
        self.begin = self.last = now
        self.asks = 0

    def ask(self, now: float) -> None:
        if now - self.last > PATIENCE:
            self.begin, self.asks = now, 0
        self.last = now
        self.asks += 1

    @property
    def steady(self) -> bool:
        return self.last - self.begin >= PATIENCE and self.asks >= ASKS


class TaskSets:
    """Predictors of one model. ``predict`` and ``close`` are for one thread.

    Attributes:
        whole: the predictor of all tasks, which is closed by ``close``.
        preparing: the thread that prepares an engine, or the last that did; None before.
    """

    def __init__(self, whole: Predictor, say: Callable[[str], None] = _silent,
                 now: Callable[[], float] = time.monotonic) -> None:
        """Begin with the whole model.

        Args:
            whole: warm.
            say: called with a line when an engine is there, or cannot be had; from any thread.
            now: seconds of a clock that never goes back.
        """
        self.whole = whole
        self.preparing: Work | None = None
        self._say = say
        self._now = now
        self._cards: dict[Tasks, ModelCard] = {}
        self._interests: dict[Tasks, _Interest] = {}
        self._ready: dict[Tasks, Predictor] = {}
        self._failed: set[Tasks] = set()
        self._lock = threading.Lock()  # of the two below, for the thread that prepares
        self._prepared: tuple[Tasks, Predictor] | None = None
        self._closed = False
        self._used = whole   # by the last frame

    @property
    def sets(self) -> list[Tasks]:
        """Sets of tasks that have an engine of their own."""
        return list(self._ready)

    @property
    def usual(self) -> float:
        """Return the seconds that an image takes in the slowest of the engines, usually."""
        return max(predictor.pace.usual for predictor in (self.whole, *self._ready.values()))

    @property
    def first(self) -> bool:
        """Tell whether the frame in work is the first of its size: see ``Predictor.first``."""
        return self._used.first

    @property
    def slow(self) -> str:
        """Return why the engine of the last frame counts as slow; ''."""
        return self._used.pace.slow

    def predict(self, bgr: np.ndarray, focal: tuple[float, float] | None = None,
                output_scale: float = 1.0, tasks: Iterable[str] | None = None) -> Predictions:
        """Run some tasks on one image, in the smallest engine that is ready.

        Args:
            bgr: see ``Predictor.predict``.
            focal: see there.
            output_scale: see there.
            tasks: names; None: all. The others are not in what is returned.

        Raises:
            ValueError: as ``Predictor.predict``, or a task is not the model's.
            EngineError: as there.
        """
        return self.predict_batch([bgr], [focal], output_scale, tasks)[0]

    @property
    def together(self) -> int:
        """Return how many images the whole model takes at once."""
        return self.whole.together

    def predict_batch(
        self, images: Sequence[np.ndarray], focals: Sequence[tuple[float, float] | None],
        output_scale: float = 1.0, tasks: Iterable[str] | None = None,
    ) -> list[Predictions]:
        """Run some tasks on several images, at once where the engine does that.

        Args and errors: as of ``predict``, each image with its own focal length.
        """
        self._adopt()
        card = self._card(self.whole.card.tasks if tasks is None else tuple(tasks))
        self._used = self._choose(card.tasks)
        made = self._used.predict_batch(images, focals, output_scale)
        for predictions in made:
            predictions.keep(card)
        return made

    def close(self) -> None:
        """Free all engines; no ``predict`` may follow."""
        with self._lock:
            self._closed = True
        self._adopt()
        for predictor in (self.whole, *self._ready.values()):
            predictor.close()

    def _card(self, tasks: Tasks) -> ModelCard:
        if tasks not in self._cards:
            self._cards[tasks] = self.whole.card.only(tasks)
        return self._cards[tasks]

    def _choose(self, tasks: Tasks) -> Predictor:
        if tasks == self.whole.card.tasks:
            return self.whole
        now = self._now()
        interest = self._interests.setdefault(tasks, _Interest(now))
        interest.ask(now)
        if tasks in self._ready:
            return self._ready[tasks]
        if interest.steady and tasks not in self._failed and not self._busy() and (
                len(self._ready) < MOST or self._resting(now)):
            self.preparing = Work(self._prepare, tasks, name='prepare_tasks')
            self.preparing.start()
        enough = [ready for ready in self._ready if set(tasks) <= set(ready)]
        return self._ready[min(enough, key=len)] if enough else self.whole

    def _busy(self) -> bool:
        if self.preparing is not None and self.preparing.is_alive():
            return True
        with self._lock:   # what was prepared since ``_adopt`` waits for the next frame
            return self._prepared is not None

    def _resting(self, now: float) -> list[Tasks]:
        return sorted((ready for ready in self._ready
                       if now - self._interests[ready].last >= REST),
                      key=lambda ready: self._interests[ready].last)

    def _prepare(self, tasks: Tasks) -> None:
        begin = time.monotonic()
        predictor = None
        try:
            predictor = load_or_build_apart(_silent, **self.whole.options_of(tasks))
            if predictor.card != self.whole.card.only(tasks):
                raise EngineError(f'{predictor.folder} holds another model by now')
            predictor.warm_up()
        except Exception as error:
            if predictor is not None:
                predictor.close()
            self._failed.add(tasks)
            self._say(f'tasks {", ".join(tasks)} get no engine of their own, the whole model '
                      f'serves: {error}')
            return
        with self._lock:
            if not self._closed:
                self._prepared = tasks, predictor
                self._say(f'tasks {", ".join(tasks)} have an engine of their own: '
                          f'{predictor.engine.reason}, in {time.monotonic() - begin:.1f} s')
                return
        predictor.close()

    def _adopt(self) -> None:
        """Take over what was prepared: between two frames, so that no engine is in use."""
        with self._lock:
            prepared, self._prepared = self._prepared, None
        if prepared is None:
            return
        tasks, predictor = prepared
        if len(self._ready) >= MOST:
            for resting in self._resting(self._now())[:1]:
                self._ready.pop(resting).close()
        self._ready[tasks] = predictor
