"""What is usual for a model: how its outputs are on pictures that it knows. From the card."""

from collections.abc import Iterable, Mapping

import numpy as np

from demt_perception.model_card import BANDS, ModelCard

# Without three of the figures one odd street would be an alarm.
_FEWEST = 3
# Of the clean pictures that a model is fitted on, so many are at least as odd as 1.
_ODDEST = 0.005
_NO_PICTURE = 'no picture to learn from what is usual: want clean ones, some hundreds'


class LearningError(ValueError):
    """What is usual cannot be learned from these pictures; the text says which are wanted."""


class Unusual:
    """Judges figures of outputs by what is usual, with 0 usual and 1 as odd as a street gets."""

    def __init__(self, usual: Mapping[str, tuple[float, float]]) -> None:
        """Take over, by figure, its usual value and that of the oddest clean pictures."""
        self._usual = dict(usual)

    def __call__(self, figures: Mapping[str, float]) -> float | None:
        """Return the mean oddness of the figures; None where there are too few."""
        odd = [(figures[name] - usual) / (oddest - usual)
               for name, (usual, oddest) in self._usual.items() if name in figures]
        # One figure alone says little: it goes to 2, however far it is off.
        return float(np.mean(np.clip(odd, -2, 2))) if len(odd) >= _FEWEST else None


def bands_of(card: ModelCard) -> np.ndarray | None:
    """Return the share of each class in each band of rows, (BANDS, classes); None if not known."""
    return np.array(card.usual_bands).T / 1000 if card.usual_bands else None


def fit_usual(figures: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the usual and the oddest value of each figure over clean pictures.

    Args:
        figures: of each picture, see ``outputs.output_figures``; less is odder for each.

    Raises:
        LearningError: there is no picture, or a figure that never changes.
    """
    columns: dict[str, list[float]] = {}
    for one in figures:
        for name, value in one.items():
            columns.setdefault(name, []).append(value)
    if not columns:
        raise LearningError(_NO_PICTURE)
    found = {}
    for name, values in columns.items():
        usual, oddest = (round(float(np.quantile(values, q)), 4) for q in (0.5, _ODDEST))
        if not usual > oddest:
            raise LearningError(f'{name} is {usual} on all of {len(values)} pictures: want '
                                'pictures of many scenes')
        found[name] = usual, oddest
    return found


def fit_bands(shares: Iterable[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    """Return for each class its share of each band of rows, per mille, over clean pictures.

    Args:
        shares: of each picture, see ``layout.shares``, of rows: (BANDS, classes).

    Raises:
        LearningError: there is no picture.
    """
    rows = list(shares)
    if not rows:
        raise LearningError(_NO_PICTURE)
    mean = np.mean(rows, axis=0)
    assert mean.shape[0] == BANDS
    return tuple(tuple(round(1000 * float(value)) for value in column) for column in mean.T)
