"""What a model's own outputs tell about whether it knows what it sees."""

import math

import numpy as np

from demt_perception.inference.predictions import Predictions
from demt_perception.inference.self_check.agreement import boundary_agreement, normals_agreement
from demt_perception.inference.self_check.layout import layout_figures

FIGURES = ('confidence', 'layout', 'upright', 'boundary_agreement', 'normals_agreement')
"""What `output_figures` can return; more is better for each."""


def output_figures(predictions: Predictions, bands: np.ndarray | None) -> dict[str, float]:
    """Return those of FIGURES that can be had from what was predicted.

    Args:
        predictions: of a frame.
        bands: where classes usually lie, see ``layout.layout_figures``; None: not known.
    """
    maps, card = predictions.maps, predictions.card
    found: dict[str, float] = {}
    if 'confidence' in maps:
        found['confidence'] = float(maps['confidence'].mean())
    if 'semantic' in maps and bands is not None:
        found |= layout_figures(maps['semantic'], bands)
    if 'semantic' in maps and 'boundary' in maps:
        found['boundary_agreement'] = boundary_agreement(maps['boundary'], maps['semantic'])
    if 'depth' in maps and 'normals' in maps:
        depth = maps['depth']
        agreement = normals_agreement(depth, maps['normals'], card.depth_range[1],
                                      _focal(predictions, depth.shape))
        if not math.isnan(agreement):
            found['normals_agreement'] = agreement
    return found


def _focal(predictions: Predictions, depth: tuple[int, ...]) -> tuple[float, float]:
    """Return (fx, fy) in pixels of a depth map of this (height, width).

    The picture, of square pixels, is stretched into it; ``depth_scale`` tells the geometric mean.
    """
    height, width = predictions.image.shape[:2]
    down, across = depth[0] / height, depth[1] / width
    input_height, input_width = predictions.input_size
    scale = predictions.depth_scale * predictions.card.focal * (depth[1] / input_width)
    return scale * math.sqrt(across / down), scale * math.sqrt(down / across)
