"""What the node says of itself on /diagnostics and ~/stats, over real DDS."""

from pathlib import Path
import re

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from diagnostic_msgs.msg import DiagnosticArray
from node_testing import make_image
from sensor_msgs.msg import Image, PointCloud2

from demt_perception.inference.self_check.reasons import REASONS
from demt_perception.ros.composites import topics_with_depth
from demt_perception.ros.health import _NORMAL, _NORMAL_EVENTS

ROOT = Path(__file__).resolve().parents[2]
GREEN = np.full((48, 64, 3), (0, 255, 0), np.uint8)


def test_a_missing_camera_info_troubles_only_who_takes_depth(tester, start_node, tiny_model):
    start_node('-r', '__node:=classes', '-r', 'image:=/classes/image', model=tiny_model,
               diagnostics_period=0.2)
    with tester.listening('/diagnostics', DiagnosticArray) as reports, \
            tester.publishing('/classes/image') as images, \
            tester.listening('/classes/semantic/image', Image):
        def told():
            return [{pair.key: pair.value for pair in status.values}
                    for message in reports for status in message.status
                    if status.name == 'classes: inference']

        def send(until):
            tester.pump(images, lambda: make_image(GREEN, stamp=tester.now()), until)

        send(lambda: any(int(one.get('focal_assumed', 0)) > 5 for one in told()))
        assert not [one for one in told() if 'focal_assumed' in one['degraded']]
        with tester.listening('/classes/points', PointCloud2):
            send(lambda: any('focal_assumed' in one['degraded'] for one in told()))


@pytest.mark.parametrize(('tasks', 'some'), [
    (('semseg', 'edge'), set()),
    (('semseg', 'depth'), {'depth/image', 'depth/color', 'depth/camera_info', 'points'})])
def test_topics_that_rest_on_the_focal_length(tasks, some):
    found = set(topics_with_depth(tasks))
    assert some <= found and bool(found) is bool(some)
    assert not found & {'semantic/image', 'semantic/camera_info', 'points/semantic'}


def test_the_table_of_the_page_has_every_name_that_degraded_can_hold():
    code = '\n'.join(path.read_text() for path in (ROOT / 'demt_perception/ros').glob('*.py'))
    names = set(re.findall(
        r"(?:BadImageError\(|\.note\(|\.drop\(|report_drop\(|guard\(\[?[\w.]+\]?, )\s*'(\w+)'",
        code))
    names -= {*_NORMAL, *_NORMAL_EVENTS}
    names |= {'engine_hung', 'publication_hung', 'engine_slow', 'engine_stand_in', 'input',
              'callback_error', *REASONS}
    assert {'too_old', 'publish_error', 'focal_assumed', 'unknown_encoding', 'namesake'} <= names
    page = (ROOT / 'docs/topics.md').read_text().partition('### What `degraded`')[2]
    table = [line for line in page.partition('\n## ')[0].splitlines() if line.startswith('| `')]
    told = {word for line in table for word in re.findall(r'`(\w+)`', line)}
    assert names <= told, names - told
