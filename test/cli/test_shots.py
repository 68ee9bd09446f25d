"""Pictures for the tools, with what is known of the camera that took them."""

from dataclasses import replace
import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='bags are read with the types of ROS 2')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')

from bag_samples import cdr, image, info, picture, START, write_bag

from demt_perception.cli.main import main
from demt_perception.cli.shots import find_shots
from demt_perception.ros import sources


def drive(folder, topic):
    """Return a bag of one image whose camera_info tells a camera with its lens, and without."""
    lens = replace(
        info(0), d=np.array([-0.2, 0.1, 0, 0, 0]), k=np.array([40.0, 0, 17, 0, 41, 13, 0, 0, 1]),
        p=np.array([30.0, 0, 15, 0, 0, 31, 11, 0, 0, 0, 1, 0]))
    return write_bag(folder / 'drive.db3', [
        ('/cam/camera_info', START, cdr(lens)), (topic, START + 1, cdr(image(0)))])


@pytest.mark.parametrize(('topic', 'rectified', 'focal', 'centre'), [
    ('/cam/image_raw', 'auto', (40, 41), (17, 13)),
    ('/cam/image_rect', 'auto', (30, 31), (15, 11)),
    ('/cam/image_raw', 'true', (30, 31), (15, 11)),
    ('/cam/image_rect', 'false', (40, 41), (17, 13))])
def test_of_a_bag_topic_or_option_tell_whether_the_lens_is_still_in_the_picture(
        tmp_path, topic, rectified, focal, centre):
    bag = drive(tmp_path, topic)
    (shot,) = find_shots(str(bag), 1, None, rectified)
    assert (shot.focal, (shot.camera.cx, shot.camera.cy)) == (focal, centre)
    np.testing.assert_array_equal(shot.bgr, picture(0))


def test_depth_is_calibrated_for_the_camera_that_the_option_names(tmp_path, tiny_model, capsys):
    factors = {}
    for name, options in (('rect', ('auto', 'false')), ('raw', ('auto', 'true'))):
        (tmp_path / name).mkdir()
        bag = drive(tmp_path / name, f'/cam/image_{name}')
        for rectified in options:
            assert main(['calibrate-depth', str(bag), '--point', '16', '12', '10', '--model',
                         str(tiny_model), '--engine', 'onnxruntime', '--json', '--rectified',
                         rectified]) == 0
            factors[name, rectified] = json.loads(capsys.readouterr().out)['depth_scale']
    assert factors['raw', 'true'] == factors['rect', 'auto']
    assert factors['rect', 'false'] == factors['raw', 'auto'] != factors['rect', 'auto']


def test_of_a_live_camera_the_next_are_taken_and_of_a_recording_some_everywhere(monkeypatch):
    frames = [SimpleNamespace(image=np.full((2, 2, 3), index, np.uint8), camera_info=None)
              for index in range(20)]
    for live, wanted in ((True, [0, 1, 2, 3]), (False, [0, 8, 16])):
        left = iter(frames)
        monkeypatch.setattr(sources, 'open_source', lambda source, live=live, left=left: (
            SimpleNamespace(live=live, frames=lambda: left)))
        assert [shot.bgr[0, 0, 0] for shot in find_shots('0', 4, None)] == wanted
        assert len(list(left)) == (16 if live else 0)
