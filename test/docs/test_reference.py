"""The pages of docs/reference say what the code says; the hand-written ones omit nothing."""

import os
from pathlib import Path
import random
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'docs/site/reference.py'
REFERENCE = ROOT / 'docs/reference'


def names(page: Path) -> set[str]:
    """First cells of the tables of a page."""
    return set(re.findall(r'^\| `([^`]+)` \|', page.read_text(encoding='utf-8'), re.MULTILINE))


def test_the_reference_is_what_the_nodes_say():
    pytest.importorskip('rclpy', reason='needs rclpy')
    pytest.importorskip('demt_msgs', reason='needs demt_msgs: make setup')
    result = subprocess.run(
        [sys.executable, SCRIPT, '--check'], capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT),
             'ROS_DOMAIN_ID': str(random.randint(1, 100)),
             'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'})
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_reference_has_what_only_other_models_publish():
    pytest.importorskip('rclpy', reason='needs rclpy')
    pytest.importorskip('demt_msgs', reason='needs demt_msgs: make setup')
    from demt_perception.ros.composites import COMPOSITES
    from demt_perception.ros.outputs import ALIGNED, OUTPUTS
    page = (REFERENCE / 'topics.md').read_text(encoding='utf-8')
    for output in (*OUTPUTS, *ALIGNED):
        assert f'| `~/{output.topic}` | sensor_msgs/msg/Image | {output.encoding} |' in page
    assert {f'~/{composite.topic}' for composite in COMPOSITES} <= names(REFERENCE / 'topics.md')


def test_a_difference_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import reference

    pages = {'launch.md': reference.launch()}
    (tmp_path / 'launch.md').write_text(pages['launch.md'])
    assert reference.differences(pages, tmp_path) == []
    (tmp_path / 'launch.md').write_text(pages['launch.md'].replace('`5`', '`6`'))
    assert any('delay' in line for line in reference.differences(pages, tmp_path))
    assert reference.differences({'new.md': 'text'}, tmp_path)


def test_the_hand_written_pages_name_everything():
    parameters = (ROOT / 'docs/parameters.md').read_text() + (ROOT / 'docs/camera.md').read_text()
    for name in names(REFERENCE / 'parameters.md'):
        assert f'`{name}`' in parameters, f'docs: parameter {name} is not explained'
    topics = (ROOT / 'docs/topics.md').read_text(encoding='utf-8')
    for name in names(REFERENCE / 'topics.md'):
        assert name.removeprefix('~/') in topics, f'docs/topics.md: {name} is not explained'
