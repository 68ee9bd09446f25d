"""Colours: the photometric distortion and the normalisation of the papers."""

import cv2
import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, RGB of 0..1."""


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary brightness, contrast, saturation and hue, each with probability one half.

    Brightness +-32, contrast and saturation 0.5 to 1.5, hue -18 to 17 of 180; contrast comes
    second or last (spec 1.9). Each step works on whole numbers, cut to 0..255.

    Args:
        image: (H, W, 3) RGB, uint8 or float32 0..255; fractions are dropped.
        rng: of the drawings.

    Returns:
        (H, W, 3) uint8.
    """
    x = _whole(image.astype(np.float32))
    if rng.random() < 0.5:
        x = _whole(x + np.float32(rng.uniform(-32, 32)))
    contrast_first = rng.random() < 0.5
    if contrast_first:
        x = _contrast(x, rng)
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(x, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = _whole(hsv[..., 1] * np.float32(rng.uniform(0.5, 1.5)))
        x = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(x, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(-18, 18))) % 180
        x = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return x if contrast_first else _contrast(x, rng)


def normalise(image: np.ndarray) -> np.ndarray:
    """Return float32 (image / 255 - MEAN) / STD of an RGB image of 0..255."""
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    out: np.ndarray = image.astype(np.float32)
    # In place: the memory is what takes the time.
    out /= 255
    out -= mean
    out /= std
    return out


def _contrast(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return _whole(x * np.float32(rng.uniform(0.5, 1.5)))
    return x


def _whole(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 255).astype(np.uint8)
