"""Work in another process: where that finds modules, how it is ended, what it says."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

import demt_perception
from demt_perception.inference import apart, EngineError
from demt_perception.inference.apart import run_apart
from demt_perception.inference.engines import BusyError

MODULE = """
import os, time
from demt_perception.inference.apart import serve
from demt_perception.inference.engines import BusyError, EngineError

def work(order, say):
    {}

if __name__ == '__main__':
    serve(work)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function: writes a module that does what is given; returns its name."""
    folder = tmp_path / 'modules'
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(body):
        (folder / 'apart_work.py').write_text(MODULE.format(body))
        return 'apart_work'

    return write


def traps(folder):
    """Lay what breaks whoever takes it for the standard library, or for us."""
    folder.mkdir(exist_ok=True)
    (folder / 'demt_perception').mkdir()
    for name in ('tempfile', 'queue', 'runpy', 'signal', 'json', 'demt_perception/__init__'):
        (folder / f'{name}.py').write_text(f'raise SystemExit("took {name} of the folder")\n')
    return folder


def gone(pid):
    """Tell whether a process has ended, at the latest in 10 s."""
    for _ in range(100):
        try:
            state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except FileNotFoundError:
            return True
        if state == 'Z':
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize('places', [[], ['']])
def test_what_lies_where_it_stands_is_not_taken_for_modules(
        module, tmp_path, monkeypatch, places):
    """``''`` is what an interactive Python and ``-c`` look in first."""
    name = module('import tempfile, queue; return order')
    monkeypatch.chdir(traps(tmp_path / 'trapped'))
    monkeypatch.setattr(sys, 'path', [*places, *sys.path])
    assert run_apart(name, {'a': 1}, print) == {'a': 1}


@pytest.mark.parametrize('way', ['script', 'code'])
def test_the_package_is_this_process_s_own_wherever_that_found_it(tmp_path, way):
    """Only where the script lies, or where Python was started: no PYTHONPATH names it."""
    tree = tmp_path / 'tree'
    tree.mkdir()
    (tree / 'demt_perception').symlink_to(Path(demt_perception.__file__).parent)
    (tree / 'apart_work.py').write_text(MODULE.format(
        'import demt_perception; return demt_perception.__file__'))
    code = ('import os, sys\n'
            'from demt_perception.inference.apart import run_apart\n'
            'os.chdir(sys.argv[1])\n'
            'print(run_apart("apart_work", {}, print))\n')
    (tree / 'script.py').write_text(code)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('PYTHONPATH', 'PYTHONSAFEPATH')}
    start = ['-c', code] if way == 'code' else ['script.py']
    done = subprocess.run([sys.executable, *start, traps(tmp_path / 'trapped')], cwd=tree,
                          env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == str(tree / 'demt_perception' / '__init__.py'), done.stderr


def test_what_hangs_is_ended_and_its_last_words_are_told(module, monkeypatch):
    """In a library that keeps the interpreter to itself, and sees not that its stdin is closed."""
    pids = []

    def progress(line):
        pids.append(int(line))
        monkeypatch.setattr(apart, 'SILENCE', 0.2)   # only now: it took a while to begin

    name = module('say(f"{os.getpid()}"); import ctypes; ctypes.PyDLL(None).sleep(40)')
    begin = time.monotonic()
    with pytest.raises(EngineError, match=r'said nothing for 0.2 s, last heard: \d+; buy a GPU'):
        run_apart(name, {}, progress, remedy='buy a GPU')
    assert gone(*pids)
    assert time.monotonic() - begin < 30


def test_what_nobody_wants_any_more_is_ended(module):
    pids = []
    name = module('say(f"{os.getpid()}"); time.sleep(600)')
    with pytest.raises(EngineError, match='nobody wants it'):
        run_apart(name, {}, lambda line: pids.append(int(line)), lambda: not pids)
    assert gone(*pids)


def test_with_who_is_interrupted_it_ends(module):
    pids = []

    def interrupt(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    name = module('say(f"{os.getpid()}"); time.sleep(600)')
    with pytest.raises(KeyboardInterrupt):
        run_apart(name, {}, interrupt)
    assert gone(*pids)


def test_ctrl_c_in_the_terminal_is_its_parent_s(module, capfd):
    name = module('say(f"{os.getpid()}"); time.sleep(1); return "done"')
    assert run_apart(name, {}, lambda line: os.kill(int(line), signal.SIGINT)) == 'done'
    assert capfd.readouterr().err == ''


def test_where_nobody_listens_it_ends_without_a_word(module, capfd):
    with pytest.raises(EngineError):
        run_apart(module('os.close(1); say("into the void")'), {}, print)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize(('body', 'kind', 'said'), [
    ('raise BusyError("out of memory")', BusyError, 'out of memory'),
    ('raise EngineError("it refuses\\n the graph")', EngineError, 'it refuses the graph'),
    ('raise MemoryError', EngineError, 'MemoryError')])
def test_an_error_keeps_its_words_and_whether_it_may_pass(module, body, kind, said):
    with pytest.raises(EngineError) as told:
        run_apart(module(body), {}, print)
    assert (type(told.value), str(told.value)) == (kind, said)


def test_where_no_process_can_be_started_it_may_work_later(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(12, 'Cannot allocate memory')

    monkeypatch.setattr(apart.subprocess, 'Popen', refuse)
    with pytest.raises(BusyError, match=r'no process can be started .*Cannot allocate memory'):
        run_apart('nothing', {}, print)
