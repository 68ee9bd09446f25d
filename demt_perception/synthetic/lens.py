"""What the lens and the shutter do to the light: motion, defocus, dirt and drops of rain."""

import cv2
import numpy as np


def motion(light: np.ndarray, depth: np.ndarray, rays: np.ndarray, way: float,
           turn: float) -> np.ndarray:
    """Blur by what the camera moves while the shutter is open.

    Args:
        light: (H, W, 3) float32.
        depth: (H, W) metres along Z.
        rays: (H, W, 3) with z = 1.
        way: metres forward.
        turn: radians to the right.

    Returns:
        (H, W, 3) float32.
    """
    height, width = depth.shape
    focal = 1 / (rays[0, 1, 0] - rays[0, 0, 0])
    across = focal * (rays[..., 0] * way / depth - turn)
    down = focal * rays[..., 1] * way / depth
    # Each pixel gathers along its own way: exact within a surface, rough at its outline.
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    steps = np.linspace(-.5, .5, 7)
    seen = [cv2.remap(light, (x + k * across).astype(np.float32),
                      (y + k * down).astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE) for k in steps]
    return np.mean(seen, 0)


def disc(light: np.ndarray, radius: float) -> np.ndarray:
    """Blur by a lens that is out of focus, radius in pixels."""
    n = 2 * int(np.ceil(radius)) + 1
    y, x = np.mgrid[:n, :n] - n // 2
    kernel = np.clip(radius + .5 - np.hypot(x, y), 0, 1)
    return cv2.filter2D(light, -1, kernel / kernel.sum())


def dirt(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put smudges on the lens: some light is lost, some is scattered from everywhere."""
    height, width = light.shape[:2]
    cover: np.ndarray = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(2, 14))):
        place = int(rng.integers(width)), int(rng.integers(height))
        axes = tuple(int(a) for a in rng.uniform(.006, .05, 2) * width + 1)
        cv2.ellipse(cover, place, axes, rng.uniform(0, 180), 0, 360, float(rng.uniform(.3, 1)), -1)
    cover = cv2.GaussianBlur(cover, (0, 0), width * rng.uniform(.005, .02))
    lost = np.clip(cover * rng.uniform(.15, .6), 0, .7)[..., None]
    return light * (1 - lost) + light.mean((0, 1)) * lost * rng.uniform(.3, .9)


def drops(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put drops on the glass: each shows the scene upside down and small."""
    height, width = light.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    to_x, to_y, inside = x.copy(), y.copy(), np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(4, 40))):
        u, v = rng.uniform(0, width), rng.uniform(0, height)
        r = width * rng.uniform(.004, .022)
        dx, dy = (x - u) / r, (y - v) / (r * rng.uniform(.9, 1.4))
        share = np.hypot(dx, dy)
        drop = share < 1
        bend = width * .25
        to_x[drop], to_y[drop] = (u - dx * bend)[drop], (v - dy * bend * .6)[drop]
        inside = np.maximum(inside, np.clip((1 - share) * 3, 0, 1))
    seen = cv2.remap(light, np.clip(to_x, 0, width - 1), np.clip(to_y, 0, height - 1),
                     cv2.INTER_LINEAR)
    seen = cv2.GaussianBlur(seen, (0, 0), width / 300) * .9
    return light * (1 - inside[..., None]) + seen * inside[..., None]


def faults(light: np.ndarray, depth: np.ndarray, rays: np.ndarray, rng: np.random.Generator,
           wet: bool, dark: bool) -> tuple[np.ndarray, dict]:
    """Draw and apply what the lens and the shutter do; return light and what was drawn."""
    width = light.shape[1]
    told = {'motion_m': 0., 'defocus_px': 0., 'dirt': False, 'drops': False}
    if rng.random() < (.4 if dark else .2):
        told['motion_m'] = float(rng.uniform(.05, .5))
        light = motion(light, depth, rays, told['motion_m'], rng.normal(0, .004))
    if rng.random() < .12:
        told['defocus_px'] = float(width * rng.uniform(.001, .004))
        light = disc(light, told['defocus_px'])
    if rng.random() < .13:
        told['dirt'], light = True, dirt(light, rng)
    if rng.random() < (.35 if wet else .02):
        told['drops'], light = True, drops(light, rng)
    return light.astype(np.float32), told
