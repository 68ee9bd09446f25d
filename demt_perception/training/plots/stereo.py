"""Pictures of predicted depth against that of stereo pairs."""

import cv2
import numpy as np

from demt_perception.inference import colors, Predictor
from demt_perception.inference.resize import nearest, shrink
from demt_perception.inference.sheet import arrange
from demt_perception.training.evaluation.stereo import read_pair, reference_depth, StereoClip
from demt_perception.training.evaluation.stereo_depth import StereoErrors

COUNT = 6
WIDTH = 640      # pixels of a panel
LARGEST = 0.5    # relative error that is drawn in the last colour


def stereo_sheet(predictor: Predictor, clip: StereoClip, found: StereoErrors) -> np.ndarray:
    """Return a sheet, uint8 HxWx3 BGR: a row of picture, reference, prediction and error a pair.

    The pairs are evenly spread over the clip; the model runs again on them.
    """
    views: dict[str, np.ndarray] = {}
    captions: dict[str, str] = {}
    chosen = np.linspace(0, len(found.pictures) - 1, min(COUNT, len(found.pictures)))
    for name in (list(found.pictures)[round(place)] for place in chosen):
        left, right = read_pair(clip, name)
        reference = reference_depth(clip, left, right)
        predicted = predictor.predict(left, clip.focal).depth
        size = (max(1, round(WIDTH * left.shape[0] / left.shape[1])), WIDTH)
        abs_rel, scaled, scale = found.pictures[name]
        depth_range = predictor.card.depth_range
        for part, view, caption in (
                ('picture', shrink(left, size), name),
                ('reference', _depth(nearest(reference, size), depth_range), 'stereo'),
                ('prediction', _depth(nearest(predicted, size), depth_range),
                 f'predicted: AbsRel {abs_rel:.3f}, scaled {scaled:.3f} (x {scale:.2f})'),
                ('error', _error(nearest(predicted, size), nearest(reference, size)),
                 f'relative error: blue too near, red too far, from {LARGEST:.0%}')):
            views[f'{name} {part}'], captions[f'{name} {part}'] = view, caption
    return arrange(views, predictor.card, captions, columns=4)


def _depth(metres: np.ndarray, depth_range: tuple[float, float]) -> np.ndarray:
    rgb = colors.colorize(colors.depth_index(metres, depth_range), colors.depth_table())
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def _error(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return BGR: white where equal, red where too far, blue where too near, black unknown."""
    error = np.clip((predicted - reference) / reference / LARGEST, -1, 1)
    known = np.isfinite(error)
    error = np.where(known, error, 0)
    fade = 255 * (1 - np.abs(error))
    bgr = np.dstack([np.where(error < 0, 255, fade), fade, np.where(error > 0, 255, fade)])
    return np.where(known[..., None], bgr, 0).astype(np.uint8)
