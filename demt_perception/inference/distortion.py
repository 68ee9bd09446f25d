"""Where a pixel of a distorted picture looks: the lens models of ROS 2, the other way round.

Models and coefficients are those of ``sensor_msgs/distortion_models.hpp``, as OpenCV has them:
Brown-Conrady with the rational extension, and Kannala and Brandt (TPAMI 2006) for fish-eyes.
Coordinates are those at Z = 1, so pixels minus principal point, over the focal length.
"""

import math

import numpy as np
from numpy.polynomial import Polynomial

RADIAL, FISHEYE = ('plumb_bob', 'rational_polynomial'), ('equidistant',)
STEPS = 20
CLOSE = 1e-9
# Beyond 89 degrees from the axis, Z = 1 is too far out to multiply depth by it.
WIDEST = math.radians(89)

Pair = tuple[np.ndarray, np.ndarray]


def is_known(model: str, coefficients: tuple[float, ...]) -> bool:
    """Tell whether ``undistort`` knows a model with these coefficients.

    Of OpenCV's 12 and 14 those of the thin prism and the tilted sensor have to be 0.
    """
    count = len(coefficients)
    return (model in RADIAL and (
        count in (4, 5, 8) or (count in (12, 14) and not any(coefficients[8:])))) or (
            model in FISHEYE and count == 4)


def undistort(model: str, coefficients: tuple[float, ...], x: np.ndarray, y: np.ndarray) -> Pair:
    """Return where a distorted point would be without the lens; NaN where no point is seen there.

    A lens shows more, the farther from its axis, up to where its polynomial turns: beyond, it
    describes no lens, though it may rise again.

    Newton's method in float64. It takes about 0.2 s for a million points, once a camera.

    Args:
        model: one that ``is_known`` with the coefficients.
        coefficients: k1 k2 p1 p2 [k3 [k4 k5 k6 [0 0 0 0 [0 0]]]], or k1 k2 k3 k4 of a fish-eye.
        x: to the right, of any shape.
        y: down, of that shape.
    """
    solve = _fisheye if model in FISHEYE else _radial
    with np.errstate(all='ignore'):   # points that run away end as NaN, as they should
        return solve(coefficients, np.asarray(x, np.float64), np.asarray(y, np.float64))


def _radial(coefficients: tuple[float, ...], x_seen: np.ndarray, y_seen: np.ndarray) -> Pair:
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, 0, 0, 0, 0)[:8]
    end = math.sqrt(_radial_end(k1, k2, k3, k4, k5, k6))
    # From beyond the end, Newton's method would run to where the polynomial rises again.
    inside = 1 / np.maximum(np.hypot(x_seen, y_seen) / (0.9 * end), 1)
    x, y = x_seen * inside, y_seen * inside
    for _ in range(STEPS):
        r2 = x * x + y * y
        under = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
        gain = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / under
        slope = ((k1 + r2 * (2 * k2 + r2 * 3 * k3)) - gain * (
            k4 + r2 * (2 * k5 + r2 * 3 * k6))) / under
        wrong_x = x * gain + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) - x_seen
        wrong_y = y * gain + 2 * p2 * x * y + p1 * (r2 + 2 * y * y) - y_seen
        # The Jacobian is symmetric. Where its determinant is not positive, the picture is folded:
        # what lies there is no image of anything.
        xx = gain + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        yy = gain + 2 * y * y * slope + 2 * p2 * x + 6 * p1 * y
        xy = 2 * (x * y * slope + p1 * x + p2 * y)
        determinant = xx * yy - xy * xy
        x = x - (yy * wrong_x - xy * wrong_y) / determinant
        y = y - (xx * wrong_y - xy * wrong_x) / determinant
        left = np.hypot(wrong_x, wrong_y)
        if not (left > CLOSE).any():
            break
    seen = (left <= CLOSE) & (determinant > 0) & (xx > 0) & (
        np.hypot(x, y) < end)
    return np.where(seen, x, np.nan), np.where(seen, y, np.nan)


def _fisheye(coefficients: tuple[float, ...], x_seen: np.ndarray, y_seen: np.ndarray) -> Pair:
    k1, k2, k3, k4 = coefficients
    bent = np.hypot(x_seen, y_seen)
    angle = np.minimum(bent, WIDEST)
    for _ in range(STEPS):
        t2 = angle * angle
        wrong = angle * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) - bent
        slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
        angle = angle - wrong / slope
        if not (np.abs(wrong) > CLOSE).any():
            break
    widest = min(WIDEST, math.sqrt(_first_root(Polynomial(
        [1, 3 * k1, 5 * k2, 7 * k3, 9 * k4]))))
    seen = (np.abs(wrong) <= CLOSE) & (slope > 0) & (angle >= 0) & (angle < widest)
    longer = np.where(bent > 0, np.tan(np.where(seen, angle, np.nan)) / bent, 1.0)
    return x_seen * longer, y_seen * longer


def _radial_end(k1: float, k2: float, k3: float, k4: float, k5: float, k6: float) -> float:
    """Return r^2 where the lens first shows less with greater r, or shows it at infinity."""
    over, under = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6])
    r2 = Polynomial([0, 1])
    slope = (over + 2 * r2 * over.deriv()) * under - 2 * r2 * over * under.deriv()
    return min(_first_root(slope), _first_root(under))


def _first_root(polynomial: Polynomial) -> float:
    """Return the least positive real root; infinity where there is none."""
    roots = polynomial.trim().roots()
    real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
    return min((float(root) for root in real if root > 0), default=math.inf)
