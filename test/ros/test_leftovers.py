"""Shared memory of ended processes is removed, and of no other."""

import os
import signal
import subprocess
import sys
import time

import pytest

from demt_perception.ros.leftovers import remove_leftovers, YOUNG

OWNER = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print('locked', flush=True)
time.sleep(60)
"""
# In a process of its own: to change the user of one with many threads ended in SIGSEGV once.
AS_NOBODY = """
import os, sys
from pathlib import Path
from demt_perception.ros.leftovers import remove_leftovers
if os.geteuid() == 0:   # who may list everything
    os.seteuid(65534)
sys.exit(remove_leftovers(Path(sys.argv[1])))
"""


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a segment, as if it had been there for so many seconds."""
    def make(name, age=YOUNG + 5):
        segment = tmp_path / name
        segment.write_bytes(bytes(8192))
        lock = tmp_path / f'{name}_el'
        lock.touch()
        os.utime(lock, (time.time() - age,) * 2)
        return segment
    return make


@pytest.mark.parametrize('name', ['fastdds_0123456789abcdef', 'fastrtps_0123456789abcdef'])
def test_a_segment_is_removed_once_its_owner_was_killed(tmp_path, make, name):
    segment = make(name)
    with subprocess.Popen([sys.executable, '-c', OWNER, f'{segment}_el'],
                          stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b'locked\n'
        assert remove_leftovers(tmp_path) == 0
        assert segment.exists()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert remove_leftovers(tmp_path) == 8192
    assert not list(tmp_path.iterdir())


def test_what_is_young_or_not_fast_dds_stays(tmp_path, make):
    make('fastdds_0123456789abcdef', age=0)
    make('fastdds_port7000')
    make('somebody_elses')
    (tmp_path / 'elsewhere').touch()
    (tmp_path / 'fastdds_00000000000000ff_el').symlink_to(tmp_path / 'elsewhere')
    before = sorted(tmp_path.iterdir())
    assert remove_leftovers(tmp_path) == 0
    assert sorted(tmp_path.iterdir()) == before


def test_a_lock_whose_segment_is_gone_and_a_folder_that_is_not_there(tmp_path, make):
    make('fastdds_0123456789abcdef').unlink()
    assert remove_leftovers(tmp_path) == 0
    assert not list(tmp_path.iterdir())
    assert remove_leftovers(tmp_path / 'none') == 0


def test_a_folder_that_cannot_be_listed_keeps_nothing_from_starting(tmp_path):
    folder = tmp_path / 'closed'
    folder.mkdir(mode=0o300)
    ended = subprocess.run([sys.executable, '-c', AS_NOBODY, folder], capture_output=True,
                           text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, '')
