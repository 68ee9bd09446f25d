"""Choose between exact and fast arithmetic by measuring both."""

from pathlib import Path
import time

import cv2
import numpy as np

from demt_perception.inference.engines import Engine

SPEED_UP = 1.15
"""Slower than this many times the speed of f32, bf16 is not worth its rounding."""

SAME_IDS = 0.95
MEAN_ERROR = 0.05
"""Limits of agreement on the probe: share of equal ids, mean error over mean magnitude."""

PICTURE = Path(__file__).resolve().parents[1] / 'probe.jpg'

ROUNDS, SECONDS = 7, 3.0


def choose_precision(
    exact: Engine, fast: Engine, shape: tuple[int, int, int, int],
) -> tuple[str, str]:
    """Return the precision to use and one line saying why.

    Runs both engines in turn, so that other load meets both alike, on a street scene.
    """
    image = probe(shape)
    error = disagreement(exact.run(image), fast.run(image))
    if error:
        return exact.precision, f'{exact.precision}, {fast.precision} is not close enough: {error}'
    times: dict[str, list[float]] = {exact.precision: [], fast.precision: []}
    start = time.perf_counter()
    while len(times[fast.precision]) < ROUNDS and time.perf_counter() - start < SECONDS:
        for engine in (exact, fast):
            before = time.perf_counter()
            engine.run(image)
            times[engine.precision].append(time.perf_counter() - before)
    # The best of each: on a busy machine anything else measures the neighbours.
    ratio = min(times[exact.precision]) / min(times[fast.precision])
    if ratio < SPEED_UP:
        return exact.precision, (f'{exact.precision}, {fast.precision} is only {ratio:.2f} times '
                                 'as fast')
    return fast.precision, (f'{fast.precision}, {ratio:.1f} times as fast as {exact.precision} '
                            'and close to it')


def disagreement(exact: dict[str, np.ndarray], fast: dict[str, np.ndarray]) -> str:
    """Return the first output that differs beyond the limits, with its figure; '' if none."""
    for name, wanted in exact.items():
        seen = fast[name]
        if wanted.dtype.kind in 'iu':
            same = float((seen == wanted).mean())
            if not same >= SAME_IDS:
                return f'{name} has {same:.1%} equal ids, want {SAME_IDS:.0%}'
        else:
            error = float(np.abs(seen - wanted).mean() / max(np.abs(wanted).mean(), 1e-6))
            if not error <= MEAN_ERROR:  # also where it is NaN
                return f'{name} differs by {error:.1%}, want at most {MEAN_ERROR:.0%}'
    return ''


def probe(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Return a generated street scene, float32 1x3xHxW, scaled about as networks are fed.

    On noise, where a network is unsure of everything, rounding looks worse than it is on a road.
    """
    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f'{PICTURE} cannot be read: install demt_perception again')
    image = cv2.resize(picture, (shape[3], shape[2]), interpolation=cv2.INTER_AREA)
    scaled = (image[..., ::-1].astype(np.float32) - 127) / 100
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
