"""Many pictures on one sheet, a row each: what was seen, and what was made of it."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from demt_perception.inference import Predictions
from demt_perception.inference.resize import shrink
from demt_perception.inference.sheet import arrange
from demt_perception.model_card import ModelCard

PANEL = (234, 416)   # pixels, height and width; pictures of another shape get bars
VIEWS = {'overlay': 'classes', 'depth_color': 'depth',
         'normals_color': 'normals', 'boundary': 'boundaries'}


def row_of(name: str, predictions: Predictions) -> dict[str, np.ndarray]:
    """Return {caption: BGR panel} of one picture; the first caption is its name."""
    row = {name: _fit(predictions.image)}
    for view, caption in VIEWS.items():
        picture = getattr(predictions, view, None)
        if picture is not None:
            code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
            row[caption] = _fit(cv2.cvtColor(picture, code))
    return row


def sheet_of(rows: Sequence[Mapping[str, np.ndarray]], card: ModelCard) -> np.ndarray:
    """Return the rows under each other, uint8 HxWx3 BGR."""
    views = {f'{number} {caption}': view for number, row in enumerate(rows)
             for caption, view in row.items()}
    captions = {f'{number} {caption}': caption for number, row in enumerate(rows)
                for caption in row}
    return arrange(views, card, captions, columns=max(map(len, rows)))


def _fit(picture: np.ndarray) -> np.ndarray:
    """Shrink to a panel without stretching."""
    height, width = picture.shape[:2]
    scale = min(PANEL[0] / height, PANEL[1] / width)
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    panel = np.zeros((*PANEL, 3), np.uint8)
    top, left = (PANEL[0] - size[0]) // 2, (PANEL[1] - size[1]) // 2
    panel[top:top + size[0], left:left + size[1]] = shrink(picture, size)
    return panel
