"""Learns what is usual for a model from clean pictures, for its card."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from demt_perception.inference.predictions import Predictions
from demt_perception.inference.predictor import Predictor
from demt_perception.inference.self_check.layout import shares
from demt_perception.inference.self_check.outputs import output_figures
from demt_perception.inference.self_check.usual import fit_bands, fit_usual
from demt_perception.model_card import BANDS, ModelCard


def learn(predictor: Predictor, pictures: Callable[[], Iterable[np.ndarray]]) -> ModelCard:
    """Return the model's card with ``usual`` and ``usual_bands`` of these pictures.

    Args:
        predictor: of all tasks of the model.
        pictures: gives them, BGR uint8, twice the same; clean ones of all that the model is to
            know, some hundreds.

    Raises:
        ValueError: there are none, or they are all alike.
    """
    def predictions() -> Iterable[Predictions]:
        return map(predictor.predict, pictures())

    lines: tuple[tuple[int, ...], ...] = ()
    if 'semantic' in predictor.card.outputs:
        lines = fit_bands(shares(made.maps['semantic'], len(predictor.card.classes))[0]
                          for made in predictions())
    bands = np.array(lines).T.reshape(BANDS, -1) / 1000 if lines else None
    return replace(predictor.card, usual_bands=lines, usual=fit_usual(
        output_figures(made, bands) for made in predictions()))
