"""The cache where other processes, other users and the disk are against it."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from demt_perception.inference.cache import cached, EngineKey

KEY = EngineKey('ab' * 32, 'openvino', '1', 'CPU', '', 'f32', (1, 3, 8, 8))
PAYLOAD = b'engine' * 10_000
NOBODY = 65534
is_root = os.geteuid() == 0
as_root = pytest.mark.skipif(not is_root, reason='gives files to another user: needs root')

BUILDER = """
import os, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from test_cache_faults import cached, KEY, PAYLOAD
folder = pathlib.Path(os.environ['DEMT_CACHE']).parent
def build():
    with open(folder / 'builds', 'a') as file:
        file.write('1\\n')
    time.sleep(float(sys.argv[2]))
    return PAYLOAD
{more}
engine, text = cached(KEY, build, bytes, bytes)
assert engine == PAYLOAD
print(text)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / 'engines'
    monkeypatch.setenv('DEMT_CACHE', str(folder))
    return folder


def start(seconds=0.0, more='', **options):
    return subprocess.Popen(
        [sys.executable, '-c', BUILDER.format(more=more), str(Path(__file__).parent),
         str(seconds)], stdout=subprocess.PIPE, text=True, **options)


def said(process):
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.strip()


def get(payload=PAYLOAD):
    def load(seen):
        assert seen == payload
        return seen

    engine, text = cached(KEY, lambda: payload, bytes, load)
    assert engine == payload
    return text


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def entry_in(folder):
    return folder / (KEY.stem() + '.engine')


class NotHereError(Exception):
    """What an entry refers to is not there."""


@pytest.mark.parametrize('passed_on', [NotHereError, (ValueError, NotHereError)])
def test_what_is_to_be_passed_on_is_and_the_entry_stays(folder, passed_on):
    get()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def load(payload):
        raise NotHereError

    def build():
        raise AssertionError('it is to build nothing')

    with pytest.raises(NotHereError):
        cached(KEY, build, bytes, load, passed_on=passed_on)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert get() == 'loaded from the cache'
    engine, text = cached(KEY, lambda: PAYLOAD, bytes, load, passed_on=ValueError)
    assert 'was of no use (NotHereError)' in text


def test_processes_that_start_together_build_once(tmp_path):
    processes = [start(1.0) for _ in range(3)]
    texts = sorted(said(process) for process in processes)
    assert (tmp_path / 'builds').read_text() == '1\n'
    assert texts[0].startswith('built in 1.')
    assert texts[1:] == ['loaded from the cache'] * 2


def test_a_killed_builder_leaves_no_lock(tmp_path, folder):
    process = start(600)
    wait_for(tmp_path / 'builds')
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(folder.glob('*.lock'))
    before = time.monotonic()
    assert get().endswith('s, kept for the next start')
    assert time.monotonic() - before < 10


def test_one_killed_while_writing_leaves_no_half_entry(folder):
    more = ('from demt_perception.inference.cache import entry\n'
            'import signal\n'
            'entry.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)')
    process = start(more=more)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert list(folder.glob('*.partial'))
    assert not entry_in(folder).exists()
    assert get().endswith('s, kept for the next start')
    assert not list(folder.glob('*.partial'))
    assert get() == 'loaded from the cache'


def die_loading():
    process = start(more='bytes = lambda payload: os._exit(139)')
    process.communicate(timeout=60)
    assert process.returncode == 139


def test_what_killed_two_processes_in_a_row_is_not_loaded_again(folder):
    get()
    die_loading()
    die_loading()
    assert '(2 processes in a row died while loading it)' in get()
    assert get() == 'loaded from the cache'


def test_a_process_that_was_ended_while_it_loaded_deletes_nothing(folder):
    """By SIGTERM, a watchdog, or its parent's end: the entry is as good as before."""
    get()
    before = entry_in(folder).stat().st_ino
    for _ in range(2):
        die_loading()
        assert get() == 'loaded from the cache', 'which also forgets the death'
    assert entry_in(folder).stat().st_ino == before


def test_full_disk(folder):
    more = ('import resource\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))')
    text = said(start(more=more))
    assert 'not kept: ' in text
    assert 'File too large' in text
    assert [path.suffix for path in folder.iterdir()] == ['.lock']
    assert get().endswith('s, kept for the next start')


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'file' / 'engines'))
    assert 'not kept: [Errno' in get()
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'file'))
    assert 'not kept: [Errno' in get()


@pytest.mark.parametrize('mode', [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_to(folder, mode):
    get()
    folder.chmod(mode)
    assert f'(mode 0{mode:o}), want none: chmod go-w {folder}' in get()


@pytest.mark.parametrize('mode', [0o620, 0o602])
def test_an_entry_that_others_may_write_to(folder, mode):
    get()
    entry_in(folder).chmod(mode)
    assert 'other users may write' in get()
    assert entry_in(folder).stat().st_mode & 0o777 == 0o600
    assert get() == 'loaded from the cache'


def test_links_are_not_followed(tmp_path, folder, monkeypatch):
    get()
    real = tmp_path / 'elsewhere'
    entry_in(folder).rename(real)
    entry_in(folder).symlink_to(real)
    assert 'symbolic links' in get()
    assert not entry_in(folder).is_symlink()
    (tmp_path / 'link').symlink_to(folder)
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'link'))
    assert 'is a link, want a folder' in get()


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_entry(folder, make):
    folder.mkdir(0o700)
    make(entry_in(folder))
    assert 'of no use' in get()


@pytest.mark.parametrize('mode', [0o620, 0o602])
def test_a_lock_that_others_may_hold_is_refused(folder, mode):
    """Who may write to it may hold it for ever, too."""
    get()
    lock = folder / (KEY.stem() + '.lock')
    lock.chmod(mode)
    assert get() == 'loaded from the cache'
    entry_in(folder).unlink()
    assert 'not kept: other users may write to' in get()


def test_a_linked_lock_is_refused(tmp_path, folder):
    folder.mkdir(0o700)
    precious = tmp_path / 'precious'
    precious.write_text('kept')
    (folder / (KEY.stem() + '.lock')).symlink_to(precious)
    assert 'not kept' in get()
    assert precious.read_text() == 'kept'


@as_root
def test_a_folder_of_another_user(folder):
    folder.mkdir(0o700)
    os.chown(folder, NOBODY, NOBODY)
    assert f'belongs to user {NOBODY}, want 0' in get()
    assert not list(folder.iterdir())


@as_root
def test_an_entry_of_another_user_is_not_loaded(folder):
    get()
    os.chown(entry_in(folder), NOBODY, NOBODY)
    assert f'belongs to user {NOBODY}' in get()
    assert entry_in(folder).stat().st_uid == 0
    assert get() == 'loaded from the cache'


def as_nobody(function):
    """Return what a function returns in a process of another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # Python itself need not be readable to that user: it has been started
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, function().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, 'rb') as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def public(monkeypatch):
    """Return a cache folder that another user may read; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        monkeypatch.setenv('DEMT_CACHE', name)
        yield Path(name)


@as_root
def test_a_read_only_cache_is_read(public):
    get()
    entry_in(public).chmod(0o644)
    assert as_nobody(get) == 'loaded from the cache'
    entry_in(public).chmod(0o600)
    said = as_nobody(get)
    assert 'of no use ([Errno 13]' in said
    assert 'not kept: [Errno 13]' in said
    assert entry_in(public).exists()


@as_root
def test_an_unwritable_folder_is_a_warning(public):
    assert 'not kept: [Errno 13]' in as_nobody(get)


@pytest.mark.skipif(is_root, reason='root may write anywhere; see the tests as another user')
def test_an_unwritable_folder_is_a_warning_to_its_owner(folder):
    folder.mkdir(0o500)
    assert 'not kept: [Errno 13]' in get()
