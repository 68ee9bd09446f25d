import pytest

from demt_perception.bags import BagError, camera_topics, Topic
from demt_perception.bags.camera_topics import all_cameras, CAMERA_INFO, COMPRESSED_IMAGE, IMAGE


def choose(*topics):
    image, info = camera_topics({name: Topic(name, kind, count) for name, kind, count in topics})
    return image.name, info and info.name


def test_the_first_image_and_its_sibling():
    assert choose(
        ('/left/camera_info', CAMERA_INFO, 9), ('/right/camera_info', CAMERA_INFO, 9),
        ('/right/image_raw', IMAGE, 9), ('/left/image_raw', IMAGE, 9),
    ) == ('/right/image_raw', '/right/camera_info')


def test_the_sibling_of_a_compressed_topic():
    assert choose(
        ('/x/camera_info', CAMERA_INFO, 9), ('/front/camera_info', CAMERA_INFO, 9),
        ('/front/image_raw/compressed', COMPRESSED_IMAGE, 9),
    ) == ('/front/image_raw/compressed', '/front/camera_info')


def test_depth_and_empty_topics_are_passed_over():
    assert choose(
        ('/empty', IMAGE, 0), ('/depth/image', IMAGE, 9),
        ('/rgb/compressedDepth', COMPRESSED_IMAGE, 9), ('/color/image', IMAGE, None),
    ) == ('/color/image', None)


def test_the_only_camera_info_is_taken_wherever_it_is():
    assert choose(('/cam/image', IMAGE, 1), ('/other/camera_info', CAMERA_INFO, 1)) == (
        '/cam/image', '/other/camera_info')


def test_no_images_says_what_there_is():
    with pytest.raises(BagError, match=r'no images.*/chatter \(std_msgs/msg/String, 3\)'):
        choose(('/chatter', 'std_msgs/msg/String', 3))


@pytest.mark.parametrize('names', [
    (), ('/f/image_raw', '/f/image_raw/compressed')])
def test_no_two_cameras_have_one_name(names):
    topics = ({'/front': IMAGE, '/front/image_raw': IMAGE} if not names else
              {names[0]: IMAGE, names[1]: COMPRESSED_IMAGE})
    cameras = all_cameras({name: Topic(name, kind, 2) for name, kind in topics.items()}, names)
    assert {camera.name for camera in cameras} == {name.strip('/') for name in topics}
