"""A picture that ends as a PNG file, whole or not at all."""

import os
from pathlib import Path

import cv2
import numpy as np


def write_picture(path: str | Path, bgr: np.ndarray) -> None:
    """Write a picture, uint8 HxWx3 BGR; its folder is made.

    Raises:
        OSError: the file cannot be written.
    """
    good, content = cv2.imencode('.png', bgr)
    if not good:
        raise OSError(f'{path}: OpenCV cannot encode an image of shape {bgr.shape}')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    part.write_bytes(content.tobytes())
    os.replace(part, path)
