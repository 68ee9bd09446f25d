"""What building an engine takes is given back, also where freed memory is kept for pictures."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('openvino')
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='glibc')

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import sys
from demt_perception.inference import Predictor
from demt_perception.inference.memory import resident_mb, return_freed_memory
predictor = Predictor(sys.argv[1], 'openvino', 1)
held = resident_mb()[0]
return_freed_memory()
print(held - resident_mb()[0], 'built in' in predictor.engine.reason)
"""


def test_what_building_took_is_given_back(tmp_path):
    # As the launch files have it: ``demt_perception.ros.transport``.
    keeping = {'MALLOC_MMAP_THRESHOLD_': str(1 << 30), 'MALLOC_TRIM_THRESHOLD_': str(1 << 30)}
    said = subprocess.run(
        [sys.executable, '-c', LOAD, str(ROOT / 'models' / 'demt_driving_fast')], text=True,
        env={**os.environ, **keeping, 'DEMT_CACHE': str(tmp_path), 'PYTHONPATH': str(ROOT)},
        check=True, capture_output=True).stdout.split()
    assert said[1] == 'True'
    assert float(said[0]) < 10, 'MB: it was 66 of one engine, and 370 in a node with two'
