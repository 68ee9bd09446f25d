"""The lists of `make mutation` say what is there; the mutants are no part of `make test`."""

from pathlib import Path

import pytest
import yaml

tomllib = pytest.importorskip('tomllib', reason='Python 3.11 reads TOML')
import measure

ROOT = Path(__file__).parents[2]
EQUIVALENT = yaml.safe_load((Path(__file__).parent / 'equivalent.yaml').read_text())


def test_files_and_tests_are_there():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['mutmut']
    for pattern in (*settings['only_mutate'], *settings['pytest_add_cli_args_test_selection']):
        assert list(ROOT.glob(pattern)), pattern
    for option in settings['pytest_add_cli_args']:
        path, _, name = option.removeprefix('--deselect=').partition('::')
        if name:
            assert f'def {name}(' in (ROOT / path).read_text(), option


def test_equivalent_mutants_are_named_with_a_reason():
    for entry in EQUIVALENT:
        assert set(entry) == {'file', 'was', 'is', 'why'} and entry['is'] != entry['was']
        assert (ROOT / 'demt_perception' / entry['file']).is_file()


def test_a_mutant_is_known_by_its_lines():
    difference = ('--- a.py\n+++ a.py\n@@ -1,3 +1,2 @@\n def f():\n-    return (1 +\n'
                  '-            x)\n+    return (1 - x)\n')
    assert measure.changed(difference) == ('return (1 + x)', 'return (1 - x)')


def test_the_score_leaves_out_what_is_equivalent():
    assert measure.row('a', [90, 20, 15, 2]) == '| a | 90 | 20 | 15 | 2 | 3 | 83.3% |'
    assert measure.row('b', [90, 2, 0, 2]) == '| b | 90 | 2 | 0 | 2 | 0 | - |'
