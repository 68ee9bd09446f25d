"""What Blender writes per pixel, by pass."""

import numpy as np


def by_pass(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gather `Layer.Pass.R`-like channels by pass."""
    passes = {}
    for wanted, parts in (('Combined', 'RGB'), ('Normal', 'XYZ'), ('Depth', None),
                          ('IndexOB', None)):
        found = {name.split('.')[-1]: pixels for name, pixels in channels.items()
                 if name.split('.')[-2:-1] == [wanted]}
        if not found or not set(parts or '') <= set(found):
            raise RuntimeError(f'the render has no pass {wanted}: it has {sorted(channels)}')
        passes[wanted] = np.stack([found[p] for p in parts], -1) if parts else next(
            iter(found.values()))
    return passes
