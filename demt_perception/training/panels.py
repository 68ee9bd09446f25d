"""Pictures of a run: labels above, predictions below, for every task."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from torch import Tensor

from demt_perception.class_lists import voc_palette
from demt_perception.inference import colors
from demt_perception.tasks import TASKS
from demt_perception.training.datasets import IGNORE
from demt_perception.training.validation import LABELS

HEIGHT = 180
GAP = 4


def panel(batch: Mapping[str, Tensor], predictions: Mapping[str, np.ndarray],
          mean: tuple[float, ...], std: tuple[float, ...],
          palette: tuple[tuple[int, int, int], ...] = ()) -> np.ndarray:
    """Return one picture, uint8 (H,W,3) RGB: the image, then labels above and predictions below.

    Args:
        batch: one picture and its labels.
        predictions: see ``validation.measure``.
        mean: that was subtracted from the image, RGB of 0..255.
        std: that it was divided by.
        palette: colours of the classes.
    """
    image = batch['image'][0].cpu().numpy().transpose(1, 2, 0) * np.array(std) + np.array(mean)
    first = _fitted(np.clip(image, 0, 255).astype(np.uint8), 2 * HEIGHT + GAP)
    columns = [first]
    for task, predicted in predictions.items():
        kind = TASKS[task].kind
        label = LABELS[kind](batch[task][0].cpu().numpy())
        table = palette if TASKS[task].channels is None else ()
        rows = [_fitted(DRAWINGS[kind](values, label, table), HEIGHT)
                for values in (label, predicted)]
        columns.append(np.vstack([rows[0], np.zeros((GAP, rows[0].shape[1], 3), np.uint8),
                                  rows[1]]))
    return np.hstack([part for column in columns
                      for part in (column, np.zeros((len(first), GAP, 3), np.uint8))])


def _fitted(picture: np.ndarray, height: int) -> np.ndarray:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)


def _ids(ids: np.ndarray, _: np.ndarray, palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    table = np.full((256, 3), 40, np.uint8)
    chosen = np.array(palette or voc_palette(IGNORE), np.uint8)
    table[:len(chosen)] = chosen
    table[IGNORE] = 40
    drawn: np.ndarray = table[ids]
    return drawn


def _metres(depth: np.ndarray, label: np.ndarray, _: object) -> np.ndarray:
    known = label[np.isfinite(label) & (label > 0)]
    near, far = (max(float(known.min()), 0.1), float(known.max())) if known.size else (0.5, 100.0)
    positive = np.where(depth > 0, depth, np.float32(np.nan))
    index = colors.depth_index(positive, (near, max(far, near * 1.01)))
    return colors.colorize(index, colors.depth_table())


def _vectors(normals: np.ndarray, _: np.ndarray, __: object) -> np.ndarray:
    drawn = np.where((normals != 0).any(-1, keepdims=True), (normals + 1) * 127.5, 40)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def _mask(values: np.ndarray, _: np.ndarray, __: object) -> np.ndarray:
    if values.dtype == np.uint8:
        values = np.where(values == IGNORE, 0.2, values)
    return np.repeat((np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, -1)


DRAWINGS: dict[str, Callable[..., np.ndarray]] = {
    'classes': _ids, 'scalar': _metres, 'vector': _vectors, 'probability': _mask}
