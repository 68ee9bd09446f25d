"""The threat model names tests that there are, and `make` targets and files that there are."""

from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs/security.md').read_text(encoding='utf-8')


@pytest.mark.parametrize(('begin', 'end'), [
    ('### Ways in', '### What is left'), ('## Files from strangers\n', 'What this does not do')])
def test_every_way_in_names_tests_that_exist(begin, end):
    rows = PAGE.partition(begin)[2].partition(end)[0].splitlines()
    rows = [row for row in rows if row.startswith('|')][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r'`(test/[\w/]+\.py)::(\w+)`', row)
        assert named, f'no test shows: {row}'
        for file, name in named:
            assert re.search(rf'^def {name}\(', (ROOT / file).read_text(), re.MULTILINE), (
                f'{file} has no {name}')


def test_every_file_named_exists():
    for name in re.findall(r'`((?:test|requirements|config)/[\w/]+\.\w+)`', PAGE):
        assert (ROOT / name).exists(), name
    locked = (ROOT / 'requirements/demo.lock').read_text()
    count = len(re.findall(r'^\w[^ ]*==', locked, re.MULTILINE))
    assert f'{count} packages' in PAGE
    targets = (ROOT / 'Makefile').read_text()
    for target in re.findall(r'`make (\w+)`', PAGE):
        assert re.search(rf'^{target}:', targets, re.MULTILINE), target


def test_the_policy_is_as_the_page_says():
    """Enclaves of the page's table are those of the code, which imports ROS messages."""
    text = (ROOT / 'demt_perception/ros/policy.py').read_text()
    for enclave in re.findall(r'^\| `/(\w+)` \|', PAGE, re.MULTILINE):
        assert f"'/{enclave}': Enclave(" in text or enclave == 'demt_perception', enclave
