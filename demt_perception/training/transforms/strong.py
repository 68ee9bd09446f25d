"""A picture made harder to see, its geometry left as it is: colours, blur, noise and holes.

For unlabelled pictures whose labels come from an easier view of the same pixels (Sohn et al.,
FixMatch, NeurIPS 2020; French et al., BMVC 2020, who show that holes matter for dense tasks).
"""

import cv2
import numpy as np

HOLES = 3
LARGEST = 0.25
"""Of a hole's side, as a share of the picture's."""


def harder(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a uint8 RGB picture with colours turned, blurred or coarse, and with holes."""
    x: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    x[..., 0] = (x[..., 0].astype(int) + int(rng.integers(-15, 16))) % 180
    x = cv2.cvtColor(x, cv2.COLOR_HSV2RGB)
    height, width = x.shape[:2]
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.5, 2.5))
    if rng.random() < 0.3:
        coarse = rng.uniform(0.3, 0.8)
        small = cv2.resize(x, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_AREA)
        x = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, HOLES + 1))):
        h, w = (max(1, round(side * rng.uniform(0.05, LARGEST))) for side in (height, width))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        x[top:top + h, left:left + w] = rng.integers(0, 256, 3)
    return x
