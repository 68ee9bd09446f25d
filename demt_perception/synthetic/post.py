"""From linear light to a camera's JPEG: exposure, haze, tone, white balance, noise."""

import cv2
import numpy as np

from demt_perception.synthetic import lens
from demt_perception.synthetic.weather import Weather


def develop(linear: np.ndarray, depth: np.ndarray, rays: np.ndarray,
            rng: np.random.Generator, air: Weather) -> tuple[np.ndarray, dict]:
    """Turn a rendered view into a picture.

    Args:
        linear: (H, W, 3) float32 RGB light.
        depth: (H, W) metres along Z, +inf sky.
        rays: (H, W, 3) with z = 1.
        rng: source of the camera's faults.
        air: the scene's weather; a camera does not turn night into day.

    Returns:
        (H, W, 3) uint8 BGR and what was drawn.
    """
    light = np.nan_to_num(np.clip(linear, 0, 200)).astype(np.float32)
    dark = air.hour == 'night'
    target = rng.uniform(.03, .12) if dark else 0.20
    gain = target * np.exp(rng.normal(0, 0.33)) / max(float(np.exp(
        np.log(light.mean(-1) + 1e-4).mean())), 1e-4)
    below = light[np.isfinite(depth)] if np.isfinite(depth).any() else light.reshape(-1, 3)
    ground = below.mean(-1)
    # Cameras meter for sunlit ground, too: it may be bright, not lost.
    bright = max(float(np.percentile(ground, 85)), 1e-4)
    gain = min(gain, (.5 if dark else .62) * np.exp(rng.normal(0, 0.25)) / bright)
    light, told = lens.faults(light * gain, depth, rays, rng, air.wet, dark)
    visibility = float(rng.choice([np.inf, rng.uniform(800, 6000), rng.uniform(120, 700)],
                                  p=[0.45, 0.48, 0.07]))
    if np.isfinite(visibility):
        distance = np.where(np.isfinite(depth), depth, 2000.) * np.linalg.norm(rays, axis=-1)
        haze = 1 - np.exp(-3.0 * distance / visibility)
        sky = light[~np.isfinite(depth)]
        colour = np.median(sky, 0) if len(sky) > 500 else np.array([0.85, 0.88, 0.9]) * max(
            0.5, float(np.median(light)) * 2)
        colour = np.clip(colour, .01 if dark else 0.3, 1.3)
        light = light * (1 - haze[..., None]) + colour * haze[..., None]
    grey_world = np.clip(below * gain, 0, 1.5).mean(0)  # most of what a camera corrects
    balance = np.exp(rng.normal(0, 0.045, 3)) * grey_world ** -rng.uniform(0.3, 1.)
    light = light * (balance / balance.mean())
    height, width = depth.shape
    y, x = np.mgrid[0:height, 0:width]
    radius2 = ((x / width - 0.5) ** 2 + (y / width - 0.5 * height / width) ** 2) * 4
    light = light * (1 - rng.uniform(0, 0.3) * radius2)[..., None]
    if rng.random() < 0.5:  # glare of bright parts in the lens
        glow = cv2.GaussianBlur(np.clip(light - 0.9, 0, 3).astype(np.float32), (0, 0), width / 40)
        light = light + rng.uniform(0.02, 0.25) * glow
    light = light + rng.choice([0, rng.uniform(0, 0.05)])  # veil
    toe = rng.uniform(0.7, 1.0)
    a, b, c, d, e = 2.51, 0.03, 2.43, 0.59, 0.14  # filmic curve after Narkowicz (2015)
    film = np.clip(light * toe * (a * light * toe + b)
                   / (light * toe * (c * light * toe + d) + e), 0, 1)
    plain = np.clip(light * 1.6, 0, 1)
    mix = rng.uniform(0.2, 1)
    value = mix * film + (1 - mix) * plain
    value = np.where(value < 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    grey = value.mean(-1, keepdims=True)
    value = grey + (value - grey) * rng.uniform(0.65, 1.15)
    sigma = rng.choice([0., rng.uniform(0.3, 0.9)], p=[0.4, 0.6])
    if sigma:
        value = cv2.GaussianBlur(value, (0, 0), float(sigma))
    shot, read = rng.uniform(0, 0.03), rng.uniform(0, 0.03 if dark else 0.012)
    noise = rng.normal(size=value.shape) * np.sqrt(shot ** 2 * np.clip(value, 0, 1) + read ** 2)
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * 1.6
    picture = (np.clip(value + noise, 0, 1) * 255 + 0.5).astype(np.uint8)
    picture = np.ascontiguousarray(picture[..., ::-1])
    if rng.random() < 0.6:  # what an older camera has already compressed
        picture = cv2.imdecode(cv2.imencode('.jpg', picture, [
            cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 95))])[1], cv2.IMREAD_COLOR)
    return picture, {'visibility': visibility, 'gain': float(gain), **told}


def encode(picture: np.ndarray) -> bytes:
    """Return a JPEG file of quality 95."""
    return cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
