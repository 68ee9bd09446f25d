"""Data too large for the repository: real pictures, recorded bags, numbers of whole networks.

In a folder ``shared`` beside the checkout, or where ``DEMT_TEST_DATA`` says. Tests that need what
is not there say so and are skipped.
"""

from collections.abc import Mapping
import os
from pathlib import Path


def folder(environ: Mapping[str, str]) -> Path:
    """Return the folder with ``data``, ``golden`` and ``reference``; it need not exist."""
    named = environ.get('DEMT_TEST_DATA', '')
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[2] / 'shared'


SHARED = folder(os.environ)
