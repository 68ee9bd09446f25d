import pytest

from demt_perception.ros.launching import (
    Camera,
    cameras_of,
    full_name,
    node_remappings,
    outputs_aside,
    source_parameters,
    source_remappings,
)


@pytest.mark.parametrize(('topic', 'info'), [
    ('image', 'camera_info'), ('front/image_raw', 'front/camera_info'),
    ('/front/image_raw', '/front/camera_info')])
def test_one_camera_without_a_name(topic, info):
    camera, = cameras_of('', '0', topic)
    assert camera == Camera('', '0', topic, info)
    assert node_remappings([camera]) == source_remappings(camera) == [
        ('image', topic), ('image/compressed', f'{topic}/compressed'), ('camera_info', info)]


@pytest.mark.parametrize(('arguments', 'full'), [
    (('node', ''), '/node'), (('node', 'a/b/'), '/a/b/node'), (('node', '/', '/c'), '/node'),
    (('node', 'a', '/c'), '/c/a/node'), (('node', '', '/c'), '/c/node'),
    (('/x/image', 'a', '/c'), '/x/image')])
def test_full_names_are_those_of_launch_ros(arguments, full):
    assert full_name(*arguments) == full


def test_several_cameras_have_topics_of_their_own():
    front, left = cameras = cameras_of('front, left', '0,rtsp://camera/x', 'image_raw')
    assert front == Camera('front', '0', 'front/image_raw', 'front/camera_info')
    assert (left.name, left.source) == ('left', 'rtsp://camera/x')
    assert ('left/image', 'left/image_raw') in node_remappings(cameras)
    assert ('image', 'left/image_raw') in source_remappings(left)
    assert [camera.source for camera in cameras_of('front,left', '', 'image')] == ['', '']
    assert source_parameters(left, 'calibration/{camera}.yaml', '@30') == {
        'source': 'rtsp://camera/x', 'camera_info_file': 'calibration/left.yaml',
        'device_format': '@30', 'frame_id': 'left_optical_frame'}
    assert 'frame_id' not in source_parameters(cameras_of('', '0', 'image')[0], '', '')


def test_outputs_of_the_node_are_played_aside_and_no_others():
    topics = ['/demt_perception/depth/image', '/demt_perception_old/depth/image', '/image',
              '/demt_perception', '/x/demt_perception/depth/image']
    assert outputs_aside(topics, '/demt_perception') == [
        '/demt_perception/depth/image:=/recorded/demt_perception/depth/image']


@pytest.mark.parametrize(('arguments', 'said'), [
    (('front,front', '', 'image'), 'different names'), (('a b', '', 'image'), 'different names'),
    (('front,', '', 'image'), 'different names'), (('front', '', '/image'), 'cannot begin with /'),
    (('front,left', '0', 'image'), '1 entries for 2 cameras')])
def test_what_does_not_fit_is_an_error(arguments, said):
    with pytest.raises(ValueError, match=said):
        cameras_of(*arguments)
