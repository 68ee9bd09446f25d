"""Fixtures of the tests of inference: one picture."""

import numpy as np
import pytest


@pytest.fixture
def quarters():
    """Four quarters: red, green, blue, white; 192x320, twice the size of the network input."""
    bgr = np.zeros((192, 320, 3), np.uint8)
    bgr[:96, :160, 2] = 200
    bgr[:96, 160:, 1] = 200
    bgr[96:, :160, 0] = 200
    bgr[96:, 160:] = 255
    return bgr
