"""Every hazard has a mitigation, and the tests that are named exist."""

import ast
from pathlib import Path
import re

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / 'docs' / 'hazards.md'
ROWS = [[cell.strip() for cell in line.strip().strip('|').split('|')]
        for line in PAGE.read_text(encoding='utf-8').splitlines()
        if re.match(r'\| [WLNP]\d', line)]


def functions(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
            if isinstance(node, ast.FunctionDef)}


def test_numbers_are_in_order():
    for letter in 'WLNP':
        numbers = [int(row[0][1:]) for row in ROWS if row[0][0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[0])
def test_each_is_answered_and_shown_by_tests_that_exist(row):
    _, hazard, answer, _, shown = row
    assert len(hazard) > 15
    assert len(answer) > 5
    named = re.findall(r'`([\w/.]+\.py)::(test_\w+)`', shown)
    assert named
    assert len(named) == shown.count('`') / 2
    for file, function in named:
        assert function in functions(TESTS / file), f'{file} has no {function}'
