"""A Python that stands still is ended with its stacks, with either clock."""

import signal
import subprocess
import sys

import pytest

from demt_perception.ros import stall

PROGRAM = """
import ctypes, sys, time
from demt_perception.ros import stall

def hang_with_the_global_lock():
    ctypes.PyDLL(None).sleep(60)

stall.STEADY = sys.argv[1] == 'True'
stall.SECONDS = 1.0
with stall.disarmed():   # not set before: not set after
    pass
time.sleep(1.3)
stall.arm()
with stall.disarmed():
    time.sleep(1.3)
    stall.SECONDS = 60.0
time.sleep(1.3)
print('alive', flush=True)
stall.arm()
with stall.disarmed():
    stall.SECONDS = 0.2
hang_with_the_global_lock()
"""


@pytest.mark.parametrize(('steady', 'code'), [(True, 1), (False, signal.SIGALRM)])
def test_a_process_that_stands_still_is_ended_with_its_stacks(steady, code):
    ended = subprocess.run([sys.executable, '-c', PROGRAM, str(steady)], capture_output=True,
                           text=True, timeout=50, check=False)
    assert ended.stdout == 'alive\n'
    assert ended.returncode == code, ended.stderr
    assert 'in hang_with_the_global_lock' in ended.stderr


def test_a_node_that_has_been_configured_is_watched_before_its_executor_turns(
        tiny_model, monkeypatch):
    """The first frame may hang: a timer that sets the clock would come too late."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from node_testing import node_in_this_process

    done = []
    monkeypatch.setattr(stall, '_set', True)
    monkeypatch.setattr(stall, '_stop', lambda: done.append('stopped'))
    monkeypatch.setattr(stall, 'arm', lambda: done.append('set'))
    with node_in_this_process(tiny_model) as node:
        node.trigger_configure()
        assert node._perception is not None
        assert done == ['stopped', 'set']
