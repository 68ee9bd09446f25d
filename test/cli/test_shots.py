"""Pictures for the tools, with what is known of the camera that took them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='bags are read with the types of ROS 2')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')

from bag_samples import cdr, image, info, picture, START, write_bag

from demt_perception.cli.shots import find_shots
from demt_perception.ros import sources


@pytest.mark.parametrize(('topic', 'focal', 'centre'), [
    ('/cam/image_raw', (40, 41), (17, 13)), ('/cam/image_rect', (30, 31), (15, 11))])
def test_of_a_bag_the_topic_tells_whether_the_lens_is_still_in_the_picture(
        tmp_path, topic, focal, centre):
    lens = replace(
        info(0), d=np.array([-0.2, 0.1, 0, 0, 0]), k=np.array([40.0, 0, 17, 0, 41, 13, 0, 0, 1]),
        p=np.array([30.0, 0, 15, 0, 0, 31, 11, 0, 0, 0, 1, 0]))
    bag = write_bag(tmp_path / 'drive.db3', [
        ('/cam/camera_info', START, cdr(lens)), (topic, START + 1, cdr(image(0)))])
    (shot,) = find_shots(str(bag), 1, None)
    assert (shot.focal, (shot.camera.cx, shot.camera.cy)) == (focal, centre)
    np.testing.assert_array_equal(shot.bgr, picture(0))


def test_of_a_live_camera_the_next_are_taken_and_of_a_recording_some_everywhere(monkeypatch):
    frames = [SimpleNamespace(image=np.full((2, 2, 3), index, np.uint8), camera_info=None)
              for index in range(20)]
    for live, wanted in ((True, [0, 1, 2, 3]), (False, [0, 8, 16])):
        left = iter(frames)
        monkeypatch.setattr(sources, 'open_source', lambda source, live=live, left=left: (
            SimpleNamespace(live=live, frames=lambda: left)))
        assert [shot.bgr[0, 0, 0] for shot in find_shots('0', 4, None)] == wanted
        assert len(list(left)) == (16 if live else 0)
