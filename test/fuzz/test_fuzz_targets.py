"""Every fuzz target in its short form: seeds and a few hundred damaged ones, without atheris.

`make fuzz` is the long form; what that found is in test_fuzz_findings.py.
"""

import random

from all_targets import find_target, NAMES
from fuzz_target import Target
import pytest

INPUTS = 100
"""Damaged inputs of each target: all together take a few seconds."""


def target_or_skip(name: str) -> Target:
    try:
        return find_target(name)
    except ImportError as error:
        pytest.skip(f'{error}: this target needs it')


def damaged(whole: bytes, chance: random.Random, longest: int) -> bytes:
    """Return bytes with a few changed, left out, doubled or put in."""
    content = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(content))
        until = min(len(content), at + chance.randint(1, 16))
        new = (bytes(chance.choice(b'\0\x01\x7f\x80\xff') for _ in content[at:until]),
               chance.randbytes(until - at), b'', content[at:until] * 2,
               chance.randbytes(4))[chance.randrange(5)]
        content[at:until] = new
    return bytes(content[:longest])


@pytest.mark.parametrize('name', NAMES)
def test_seeds_and_damaged_seeds(name):
    target = target_or_skip(name)
    seeds = target.seeds()
    chance = random.Random(name)
    for data in seeds:
        assert len(data) <= target.longest
        target.run(data)
    for _ in range(INPUTS):
        target.run(damaged(chance.choice(seeds), chance, target.longest))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('data', [b'', b'\0', b'\xff' * 64], ids=['nothing', 'zero', 'ones'])
def test_rubbish(name, data):
    target_or_skip(name).run(data)
