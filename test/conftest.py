"""Fixtures shared by all tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def tiny_model() -> Path:
    """Return the folder of a tiny real model: see ``data/make_tiny_model.py`` for its outputs."""
    return Path(__file__).parent / 'data' / 'tiny_model'
