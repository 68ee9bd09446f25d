"""From a bag to results: commands and code of docs/tutorials/bag.md, as they stand there."""

import os
import re
import subprocess
import sys

from bag_samples import rows, write_bag
import pytest
from test_paths import checkout, ROOT, run, TUTORIALS

from demt_perception.bags import open_bag

__all__ = ['checkout']   # the fixture

pytest.importorskip('rosbags', reason='the package rosbags is not installed')


def test_a_bag_gives_results(checkout):
    page = TUTORIALS / 'bag.md'
    write_bag(checkout / 'drive.mcap', rows(4))
    printed = run(page, checkout)
    assert 'drive.mcap: 4 of 4 images, written to out/drive' in printed
    with open_bag(checkout / 'out/drive') as bag:
        topics = {name.removeprefix('/demt_perception/') for name in bag.topics}
        assert {'semantic/overlay', 'depth/image', 'depth/camera_info'} <= topics
        assert bag.topics['/demt_perception/normals/image'].count == 4
    with open_bag(checkout / 'out/drive_ids') as bag:
        assert bag.topics['/demt_perception/depth/image'].count == 2
        assert '/demt_perception/normals/image' not in bag.topics
    (code,) = re.findall(r'^```python\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL)
    read = subprocess.run(
        [sys.executable, '-c', code], cwd=checkout, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert read.returncode == 0, read.stderr
    assert len(read.stdout.splitlines()) == 4
