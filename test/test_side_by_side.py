"""`make test`: every test file is run, once, and a process that dies says where."""

import re

from side_by_side import again, failed_tests, HERE, parts, run


def test_every_test_file_is_in_one_part():
    found = [str(path) for paths in parts().values() for start in paths
             for path in ([HERE / start] if start.endswith('.py') else
                          sorted((HERE / start).rglob('test_*.py')))]
    assert sorted(found) == sorted(map(str, HERE.rglob('test_*.py')))


def run_file(tmp_path, program, **options):
    path = tmp_path / 'test_it.py'
    path.write_text(program)
    return run('part', ['-p', 'no:cacheprovider', f'--rootdir={tmp_path}', str(path)], **options)


def test_a_failure_is_said_at_once_and_whole_at_the_end(tmp_path, capsys):
    said = run_file(tmp_path, 'def test_good(): pass\ndef test_bad(): assert 1 == 2\n')
    assert re.search(r'part: \S*test_it.py::test_bad FAILED', capsys.readouterr().out)
    assert said.startswith('== part: exit code 1') and 'assert 1 == 2' in said
    assert 'test_good' not in said


ONCE = """
from pathlib import Path
import pytest
@pytest.mark.parametrize('text', ['a - b'])
def test_once(text):
    mark = Path(__file__).with_suffix('.mark')
    had = mark.exists()
    mark.touch()
    assert had
def test_good(): pass
"""


def test_a_network_test_that_fails_beside_others_is_run_again_alone(tmp_path, capfd):
    said = run_file(tmp_path, ONCE)
    tests = failed_tests(said)
    assert [name.partition('::')[2] for name in tests] == ['test_once[a - b]'], said
    assert again('networks', said) == said
    assert again('ros', said) == ''
    assert 'PASSED ALONE' in capfd.readouterr().out


def test_a_network_test_that_fails_twice_has_failed(tmp_path):
    said = run_file(tmp_path, 'def test_bad(): assert 1 == 2\n')
    assert 'once more: exit code 1' in again('faults', said)


def test_many_failures_are_no_chance(tmp_path):
    said = run_file(tmp_path, '\n'.join(f'def test_{k}(): assert False' for k in range(4)))
    assert len(failed_tests(said)) == 4 and again('ros', said) == said


def test_a_killed_process_names_its_test(tmp_path):
    said = run_file(tmp_path, 'import os\ndef test_first(): pass\n'
                    'def test_kills(): os.kill(os.getpid(), 9)\n')
    assert re.search(r'ended by SIGKILL, in or after \S*test_it.py::test_kills', said)


def test_a_process_that_hangs_says_where(tmp_path):
    said = run_file(tmp_path, 'import time\ndef test_hangs(): time.sleep(100)\n', longest=20)
    assert re.search(r'ended by SIGABRT, in or after \S*test_it.py::test_hangs', said)
    assert 'line 2 in test_hangs' in said


def test_all_well_is_a_line(tmp_path, capsys):
    assert run_file(tmp_path, 'def test_good(): pass\n') == ''
    assert 'part: 100 % after' in capsys.readouterr().out
