"""Memory that is freed stays or goes, as it is told; in processes of their own."""

import platform
import subprocess
import sys

import pytest

from demt_perception.inference.memory import resident_mb

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc is told')

FAULTS = """
import resource
import numpy as np
from demt_perception.inference.memory import keep_freed_memory
{call}
def frame():
    arrays = [np.ones(size << 20, np.uint8) for size in (3, 11, 1)]
frame()
begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    frame()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin) / 10)
"""

HELD = """
import numpy as np
from demt_perception.inference.memory import keep_freed_memory, return_freed_memory
def held():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) >> 8
keep_freed_memory()
before = held()
arrays = [np.ones(1 << 20, np.uint8) for _ in range(60)]
last = np.ones(1, np.uint8)
del arrays
after = held()
return_freed_memory()
print(after - before, held() - before)
"""

THREADS = """
import threading
import numpy as np
from demt_perception.inference.memory import keep_freed_memory, return_freed_memory
def held():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) >> 8
{call}
before = held()
everybody = threading.Barrier(4)
def work():
    everybody.wait()   # so that each has an arena of its own, where there may be several
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(40)]
    everybody.wait()
    del arrays
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
return_freed_memory()
print(held() - before)
"""


def answer(program):
    return subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          check=True).stdout


def test_kept_memory_costs_no_page_faults():
    kept = float(answer(FAULTS.format(call='keep_freed_memory()')))
    assert kept < 100
    assert float(answer(FAULTS.format(call=''))) > 10 * kept


def test_memory_goes_back_when_told():
    kept, returned = map(int, answer(HELD).split())
    assert kept >= 50
    assert returned < 15


def test_memory_of_threads_goes_back_too():
    kept = ('import ctypes; library = ctypes.CDLL(None)\n'
            'library.mallopt(-1, 256 << 20); library.mallopt(-3, 32 << 20)')
    assert int(answer(THREADS.format(call=kept))) > 60
    assert int(answer(THREADS.format(call='keep_freed_memory()'))) < 15


def test_resident_memory_is_that_of_the_process():
    now, peak = resident_mb()
    assert 5 < now <= peak < 100_000
    with subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE) as other:
        assert 0 < resident_mb(other.pid)[0] < now
        other.communicate(b'\n')
    assert resident_mb(other.pid) == (0.0, 0.0)
