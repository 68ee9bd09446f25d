"""The self-check of one camera: some frames a second, and what they tell together."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from demt_perception.inference.predictions import Predictions
from demt_perception.inference.self_check.memory import ColorMemory
from demt_perception.inference.self_check.outputs import output_figures
from demt_perception.inference.self_check.picture import picture_figures, small_copy
from demt_perception.inference.self_check.reasons import OK, Reason, tell
from demt_perception.inference.self_check.scores import scores
from demt_perception.inference.self_check.steadiness import Steadiness
from demt_perception.inference.self_check.usual import bands_of, Unusual
from demt_perception.model_card import ModelCard

# A trouble is one when most checks of so many seconds say so, of no fewer than these.
_WINDOW, _FEWEST = 2.5, 3
# A frame a little early is in time: stamps jitter.
_EARLY = 0.9
# Colours are learnt from frames below this score.
_GOOD = 0.8
# Seconds without a frame after which nothing before them counts.
_FORGET = 60.0


@dataclass(frozen=True)
class Health:
    """What one check found.

    Attributes:
        reasons: troubles that last, the gravest first; none if all is well.
        scores: of this frame alone, by name: 0 is usual, from 1 on it is a trouble.
        figures: of this frame, by name.
    """

    reasons: tuple[Reason, ...]
    scores: dict[str, float]
    figures: dict[str, float]

    @property
    def level(self) -> int:
        """OK, WARN or ERROR."""
        return max((reason.level for reason in self.reasons), default=OK)

    @property
    def score(self) -> float:
        """The greatest score of this frame."""
        return max(self.scores.values(), default=0.0)

    @property
    def troubles(self) -> tuple[Reason, ...]:
        """What this frame alone would be told for if it lasted."""
        return tell({name for name, score in self.scores.items() if score >= 1})

    @property
    def text(self) -> str:
        """The reasons and their remedies, in one line."""
        if not self.reasons:
            return 'nothing unusual'
        return '; '.join(f'{reason.words} ({reason.remedy})' for reason in self.reasons)


class SelfCheck:
    """Checks the frames of one camera. For one thread."""

    def __init__(self, period: float = 0.2) -> None:
        """Begin without a frame.

        Args:
            period: seconds between checks; frames between are not looked at.
        """
        self._period = period
        self._card: ModelCard | None = None
        self._unusual = Unusual({})
        self._bands: np.ndarray | None = None
        self._time = -period
        self._recent: deque[tuple[float, dict[str, float]]] = deque()
        self._steadiness = Steadiness()
        self._memory = ColorMemory()

    def is_due(self, now: float) -> bool:
        """Tell whether a frame of this time would be looked at."""
        return now < self._time or now - self._time >= _EARLY * self._period

    def look(self, predictions: Predictions, now: float, cropped: bool = False) -> Health | None:
        """Check a frame; None where it is not time for a check.

        Args:
            predictions: of the frame.
            now: seconds, of the frames' stamps; where it goes back, all begins anew.
            cropped: it is a part of the camera's picture: where what lies says nothing then.
        """
        if now < self._time or now - self._time > _FORGET:
            self._begin_anew()
        elif not self.is_due(now):
            return None
        self._time = now
        if predictions.card is not self._card:
            self._take_card(predictions.card)
        small = small_copy(predictions.image)
        figures = picture_figures(small)
        figures |= self._judge_outputs(predictions, None if cropped else self._bands)
        figures |= self._steadiness.look(small, predictions.maps.get('semantic'), now)
        found = scores(figures)
        self._recent.append((now, found))
        while now - self._recent[0][0] > _WINDOW:
            self._recent.popleft()
        troubles = self._lasting(found)
        likeness = self._memory.likeness(small)
        if 'unknown' in troubles and likeness is not None:
            figures['same_colors'] = likeness
            if self._memory.is_same(likeness):
                troubles = troubles - {'unknown'} | {'moved'}
        if max(found.values()) < _GOOD:
            self._memory.keep(small)
        return Health(tell(troubles), found, figures)

    def _judge_outputs(self, predictions: Predictions, bands: np.ndarray | None,
                       ) -> dict[str, float]:
        figures = output_figures(predictions, bands)
        unknown = self._unusual(figures)
        return figures if unknown is None else {**figures, 'unknown': unknown}

    def _lasting(self, names: dict[str, float]) -> set[str]:
        """Return those of these scores that have been a trouble for long enough."""
        troubles = set()
        for name in names:
            values = [found[name] for _, found in self._recent if name in found]
            if len(values) >= _FEWEST and 2 * sum(value >= 1 for value in values) > len(values):
                troubles.add(name)
        return troubles

    def _take_card(self, card: ModelCard) -> None:
        self._card = card
        self._unusual = Unusual({name: (pair[0], pair[1]) for name, pair in card.usual.items()})
        self._bands = bands_of(card)

    def _begin_anew(self) -> None:
        self._recent.clear()
        self._steadiness = Steadiness()
        self._memory = ColorMemory()
