"""What can happen to a camera, done to pictures: for the figures and tests of the self-check.

Each takes a BGR picture, HxWx3 uint8, and a generator of random numbers for how bad it is, and
returns a new picture of that shape and type. Lengths are shares of the picture's width, so that
pictures of any size are hit alike.
"""

from collections.abc import Callable

import cv2
import numpy as np

Random = np.random.Generator


def defocus(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Blur with a disc, as a lens out of focus does: diameter 1.2 to 4 % of the width."""
    size = _odd(bgr.shape[1] * random.uniform(0.012, 0.04))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).astype(np.float32)
    return cv2.filter2D(bgr, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def shake(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Smear along a line, as a shaking camera does: 2 to 6 % of the width, any direction."""
    size = _odd(bgr.shape[1] * random.uniform(0.02, 0.06))
    line = np.zeros((size, size), np.float32)
    angle, middle = random.uniform(0, np.pi), size // 2
    end = np.rint(middle * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    cv2.line(line, (middle - end[0], middle - end[1]), (middle + end[0], middle + end[1]), 1)
    return cv2.filter2D(bgr, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE)


def darken(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Take 90 to 98 % of the light away (linear), and add the sensor's noise, 2 grey levels."""
    light = (bgr / np.float32(255)) ** 2.2 * random.uniform(0.02, 0.1)
    return _picture(255 * light ** (1 / 2.2) + random.normal(0, 2, bgr.shape))


def glare(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Expose 6 to 16 times too long: linear light, cut off at white."""
    return _picture(255 * ((bgr / np.float32(255)) ** 2.2 * random.uniform(6, 16)) ** (1 / 2.2))


def fog(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Fog by Koschmieder's law on a level street; sight 20 to 60 m; grey of 170 to 230.

    Distances are those of a camera 1.5 m above the street with the horizon at half the height and
    a field of view of 60 degrees; above the horizon 60 m, which is about where houses stand.
    """
    height, width = bgr.shape[:2]
    focal = width / 2 / np.tan(np.radians(30))
    below = np.arange(height) - height / 2
    distance = np.minimum(1.5 * focal / np.maximum(below, 1e-6), 60)
    # Sight is where 5 % of the contrast is left.
    left = np.exp(np.log(0.05) * distance / random.uniform(20, 60))[:, None, None]
    return _picture(bgr * left + random.uniform(170, 230) * (1 - left))


def cover(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Cover all of the lens with something dark or light that is too near to be sharp."""
    height, width = bgr.shape[:2]
    coarse = random.normal(0, 1, (3, 4, 3)).astype(np.float32)
    shade = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 8
    color = random.uniform(0, 1) * random.uniform(60, 140, 3)
    return _picture(color + shade + random.normal(0, 2, bgr.shape))


def cover_half(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Cover 45 to 80 % of the lens from one side, with a soft edge."""
    height, width = bgr.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j]
    side = x * np.cos(angle) + y * np.sin(angle)
    edge = np.quantile(side, random.uniform(0.45, 0.8))
    mask = np.clip((edge - side) / 0.15 + 0.5, 0, 1)[..., None]
    return _picture(cover(bgr, random) * mask + bgr * (1 - mask))


def turn_over(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Hang the camera upside down: 180 degrees."""
    return np.ascontiguousarray(bgr[::-1, ::-1])


def turn_side(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Lay the camera on its side: 90 degrees either way; the middle of that, to the same size."""
    turned = np.rot90(bgr, random.choice([1, 3]))
    height, width = bgr.shape[:2]
    rows = height * height // width
    top = (turned.shape[0] - rows) // 2
    return cv2.resize(turned[top:top + rows], (width, height), interpolation=cv2.INTER_AREA)


def roll(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Roll the camera by 25 to 60 degrees either way, zoomed so that no corner is empty."""
    height, width = bgr.shape[:2]
    angle = random.choice([-1, 1]) * random.uniform(25, 60)
    s, c = abs(np.sin(np.radians(angle))), np.cos(np.radians(angle))
    zoom = max((width * c + height * s) / width, (width * s + height * c) / height)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    return cv2.warpAffine(bgr, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def noise(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Return noise: of every pixel on its own, or clouds of several sizes."""
    height, width = bgr.shape[:2]
    if random.random() < 0.5:
        return random.integers(0, 256, bgr.shape, np.uint8)
    total = np.zeros(bgr.shape, np.float32)
    for level in range(2, 8):
        coarse = random.normal(0, 2.0 ** -level, (2 ** level, 2 ** level, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return _picture(128 + 50 * total / total.std())


def shuffle(bgr: np.ndarray, random: Random) -> np.ndarray:
    """Cut the picture into 8 x 6 tiles and lay them anew: street colours without a street."""
    height, width = (side // n * n for side, n in zip(bgr.shape[:2], (6, 8), strict=True))
    tiles = bgr[:height, :width].reshape(6, height // 6, 8, width // 8, 3).swapaxes(1, 2)
    tiles = tiles.reshape(48, *tiles.shape[2:])[random.permutation(48)]
    laid = tiles.reshape(6, 8, height // 6, width // 8, 3).swapaxes(1, 2)
    return cv2.resize(laid.reshape(height, width, 3), bgr.shape[1::-1])


CORRUPTIONS: dict[str, Callable[[np.ndarray, Random], np.ndarray]] = {
    function.__name__: function for function in (
        defocus, shake, darken, glare, fog, cover, cover_half, turn_over, turn_side, roll, noise,
        shuffle)}


def _odd(size: float) -> int:
    return max(3, round(size) // 2 * 2 + 1)


def _picture(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
