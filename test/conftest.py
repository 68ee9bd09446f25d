"""Fixtures shared by all tests."""

from pathlib import Path
import sys

import pytest

# As the package itself does: importing OpenVINO must not call home, from tests neither.
sys.modules.setdefault('openvino_telemetry', None)


@pytest.fixture(scope='session')
def tiny_model() -> Path:
    """Return the folder of a tiny real model: see ``data/make_tiny_model.py`` for its outputs."""
    return Path(__file__).parent / 'data' / 'tiny_model'
