"""Names that verbs offer without importing what they name; layouts: test_data_check.py."""

import pytest

pytest.importorskip('torch', reason="pip install '.[train]'")

from demt_perception.cli.data import PROTOCOLS
from demt_perception.training.config import CHOICES
from demt_perception.training.transforms import released


def test_the_protocols_are_those_of_training():
    assert PROTOCOLS == CHOICES['protocol'] == (*released.PROTOCOLS, 'driving')
