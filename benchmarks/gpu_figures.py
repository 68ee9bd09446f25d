"""How long a run takes, and how far its outputs are from others: for gpu_check.py."""

from collections.abc import Callable
import time

import cv2
import numpy as np

Outputs = dict[str, np.ndarray]
Run = Callable[[np.ndarray], Outputs]

ROUNDS = 1000


def picture(shape: tuple[int, ...]) -> np.ndarray:
    """Return an image of soft blobs with edges, scaled about as networks are fed."""
    noise = np.random.default_rng(0).standard_normal((*shape[2:], 3)).astype(np.float32)
    soft = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (2, 8, 24))
    edged = np.where(soft[..., :1] > 0, soft, -0.5 * soft)
    return np.ascontiguousarray((edged / edged.std()).transpose(2, 0, 1)[None])


def latency(run: Run, image: np.ndarray, seconds: float) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    times: list[float] = []
    warm = time.perf_counter() + seconds / 5
    while time.perf_counter() < warm:
        run(image)
    end = time.perf_counter() + seconds
    while not times or (len(times) < ROUNDS and time.perf_counter() < end):
        start = time.perf_counter()
        run(image)
        times.append(1000 * (time.perf_counter() - start))
    found = {f'p{p}': round(float(np.percentile(times, p)), 3) for p in (50, 95, 99)}
    return {**found, 'runs': len(times)}


def parity(wanted: Outputs, seen: Outputs) -> dict[str, float]:
    """Return equal ids, degrees between normals, and relative errors of the rest, as means."""
    found = {}
    for name, value in wanted.items():
        other = seen[name]
        if value.dtype == np.uint8:
            found[f'{name}_same'] = float((value == other).mean())
        elif name == 'normals':
            cosine = (value * other).sum(1).clip(-1, 1)
            found['normals_degrees'] = float(np.degrees(np.arccos(cosine)).mean())
        else:
            found[f'{name}_relative'] = float(
                np.abs(value - other).mean() / max(np.abs(value).mean(), 1e-6))
    return {name: float(f'{value:.4g}') for name, value in found.items()}


def too_far(found: dict[str, float], limits: dict[str, float]) -> list[str]:
    """Return the names of the figures of ``parity`` that are beyond a limit."""
    def bad(name: str, value: float) -> bool:
        kind = name.rpartition('_')[2]
        return not (value >= limits[kind] if kind == 'same' else value <= limits[kind])

    return [name for name, value in found.items() if bad(name, value)]
