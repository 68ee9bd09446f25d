"""`make coverage` counts what every process of a test has run, however it ended properly."""

import json
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('coverage', reason='pip install coverage')

from measure_coverage import PARTS, ROOT, Share, shares, table

SIGN = 'def sign(x):\n    if x > 0:\n        return 1\n    return 0\n'
PROGRAM = """
import os, signal, subprocess, sys, time
sys.path.insert(0, os.getcwd())
from demt_perception.{part} import part
end = sys.argv[1]
part.sign(1 if end == 'exit' else 0)
if end == 'start':
    child = subprocess.Popen([sys.executable, __file__, {how!r}], stdout=subprocess.PIPE)
    if child.stdout.readline():
        child.terminate()
    child.wait()
if end == 'exit':
    os._exit(0)
if end == 'wait':
    part.sign(1)
    print('waiting', flush=True)
    signal.pause()
"""


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Return the report of a package whose parts are run by processes that end differently."""
    folder = tmp_path_factory.mktemp('measured')
    for part in PARTS:
        (folder / 'demt_perception' / part).mkdir(parents=True)
        (folder / 'demt_perception' / part / 'part.py').write_text(SIGN)
    (folder / 'demt_perception' / '__init__.py').touch()   # before the package that is tested
    settings = f'--rcfile={ROOT / "pyproject.toml"}'
    (folder / 'out/coverage').mkdir(parents=True)
    for part, first, how in (('ros', 'start', 'exit'), ('inference', 'start', 'wait'),
                             ('bags', 'end', '')):
        program = folder / f'{part}.py'
        program.write_text(PROGRAM.format(part=part, how=how))
        subprocess.run([sys.executable, '-m', 'coverage', 'run', settings, program, first],
                       cwd=folder, check=True, timeout=100, stdout=subprocess.DEVNULL)
    for step in (['combine', '-q'], ['json', '-q', '-o', 'report.json']):
        subprocess.run([sys.executable, '-m', 'coverage', step[0], settings, *step[1:]],
                       cwd=folder, check=True, timeout=100)
    return json.loads((folder / 'report.json').read_text())['files']


@pytest.mark.parametrize(('part', 'run'), [
    ('ros', (4, 2)),         # its other half was run by a child that ended by os._exit
    ('inference', (4, 2)),   # and by one that was ended by SIGTERM
    ('bags', (3, 1))])       # nobody ran it
def test_processes_count_however_they_end(files, part, run):
    assert shares(files, part) == (Share(run[0], 4), Share(run[1], 2))


def test_too_little_is_said(files):
    text, wanting = table(files)
    assert '| `ros/` | 100.0 % of 4 | 100.0 % of 2 |' in text
    assert wanting == ['bags/: 75.0 % of 4 lines, want 90 %',
                       'bags/: 50.0 % of 2 branches, want 90 %']


def test_a_part_that_nothing_measured_is_too_little(files):
    _, wanting = table({path: entry for path, entry in files.items()
                        if not Path(path).is_relative_to('demt_perception/ros')})
    assert 'ros/: 100.0 % of 0 lines, want 90 %' in wanting
