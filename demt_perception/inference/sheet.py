"""One labelled picture of a frame: camera, overlay, depth, normals, boundary."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from demt_perception.inference.predictions import Predictions


def make_sheet(predictions: 'Predictions') -> np.ndarray:
    """Return the sheet, uint8 HxWx3 BGR."""
    height, width = predictions.size
    panels = [cv2.resize(predictions.image, (width, height))]
    for name in ('overlay', 'depth_color', 'normals_color', 'boundary'):
        if hasattr(predictions, name):
            picture = getattr(predictions, name)
            code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
            panels.append(cv2.cvtColor(picture, code))
    return np.hstack(panels)
