"""Processes that are started in a stranger's folder: what lies there is not run."""

from pathlib import Path
import subprocess
import sys

import pytest

import demt_perception
from demt_perception.child import python_command
from demt_perception.cli import doctor_checks
from demt_perception.cli.finding import Level, try_python
from demt_perception.model_card import load_card
from demt_perception.training.spread import spread

SOURCES = Path(demt_perception.__file__).parent
TRAPS = ('yaml', 'json', 'multiprocessing', 'runpy', 'socket', 'numpy', 'demt_perception')


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in a folder with modules that leave a mark; no mark may be there in the end."""
    mark = tmp_path / 'ran'
    folder = tmp_path / 'bag'
    folder.mkdir()
    for name in TRAPS:
        (folder / f'{name}.py').write_text(f'open({str(mark)!r}, "a").write({name!r} + " ")\n')
    monkeypatch.chdir(folder)
    yield folder
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize('places', [[], ['']])
def test_modules_and_code_start_as_python_starts_them(monkeypatch, places):
    """``''`` is what an interactive Python and ``-c`` look in first."""
    monkeypatch.setattr(sys, 'path', [*places, *sys.path])

    def output(*arguments):
        done = subprocess.run(python_command(*arguments), input='[1]', capture_output=True,
                              text=True, timeout=60, check=True)
        return done.stdout.split()

    assert output('-c', 'import sys, json; print(*sys.argv)', 'a b', 'c') == ['-c', 'a', 'b', 'c']
    assert output('-c', 'import demt_perception as us; print(us.__file__)') == [
        demt_perception.__file__]
    assert output('-m', 'json.tool', '--compact') == ['[1]']
    assert output('-m', 'demt_perception.cli', '--version')[0] == 'demt_perception'


def test_demt_doctor():
    assert [one.text for one in doctor_checks.packages() if one.level is Level.BAD] == []


@pytest.mark.parametrize('ways', [{}, {'fresh': True}])
def test_shards_in_several_processes(ways):
    assert sorted(spread(abs, [-1, 2, -3], processes=2, **ways)) == [1, 2, 3]


def test_the_tracker_of_multiprocessing():
    """Python 3.14 starts one for every lock that may be shared, such as that of tqdm."""
    code = ('import multiprocessing, sys; from demt_perception.cli.main import main\n'
            'try: main(["--version"])\n'
            'except SystemExit: multiprocessing.get_context("forkserver").RLock()')
    subprocess.run(python_command('-c', code), timeout=60, check=True)


def test_workers_of_demt_bench(tiny_model, tmp_path):
    pytest.importorskip('onnxruntime')
    from demt_perception.bench.results import Combination
    from demt_perception.bench.worker import Job
    from demt_perception.bench.workers import Worker
    size = load_card(tiny_model).input_size
    worker = Worker(Job(Combination('tiny', 'onnxruntime', 'f32', size, 1, 1), str(tiny_model),
                        size, ''), tmp_path / 'cache', tmp_path / 'log')
    worker.close()
    assert worker.used


def test_both_processes_of_the_check_of_the_transport(monkeypatch):
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    monkeypatch.setenv('ROS_DOMAIN_ID', '99')
    works, text = try_python('-m', 'demt_perception.ros.transport_check', timeout=60)
    assert works and text.endswith('/30')


def test_no_python_is_started_in_another_way():
    for path in SOURCES.rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        assert '[sys.executable' not in text or path.name == 'child.py', path
        assert 'get_context(' not in text or 'guard_multiprocessing()' in text, path
