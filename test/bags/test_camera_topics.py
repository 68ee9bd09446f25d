import pytest

from demt_perception.bags import BagError, camera_topics, Topic
from demt_perception.bags.camera_topics import all_cameras, CAMERA_INFO, COMPRESSED_IMAGE, IMAGE

# What a node called /robot/demt_perception publishes, as `ros2 bag record -a` finds it.
OWN = {f'/robot/demt_perception/{name}': kind for name, kind in {
    'boundary/image': IMAGE, 'depth/camera_info': CAMERA_INFO, 'depth/image': IMAGE,
    'normals/color': IMAGE, 'semantic/color/compressed': COMPRESSED_IMAGE,
    'semantic/label_table': 'demt_msgs/msg/LabelTable', 'stats': 'demt_msgs/msg/InferenceStats',
}.items()}
OVERLAY = '/robot/demt_perception/normals/color'


def choose(*topics):
    image, info = camera_topics({name: Topic(name, kind, count) for name, kind, count in topics})
    return image.name, info and info.name


def of_kinds(kinds):
    return {name: Topic(name, kind, 2) for name, kind in kinds.items()}


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
        ('/rgb/compressedDepth', COMPRESSED_IMAGE, 9),
        ('/rgb/zstd', COMPRESSED_IMAGE, 9), ('/color/image', IMAGE, None),
    ) == ('/color/image', None)


def test_another_transport_of_a_camera_is_no_second_one():
    for transport in 'compressedDepth', 'zstd':
        image = Topic('/cam/image_raw', IMAGE, 9)
        other = Topic(f'/cam/image_raw/{transport}', COMPRESSED_IMAGE, 9)
        assert all_cameras({topic.name: topic for topic in (other, image)}) == [('', image, None)]
        with pytest.raises(BagError, match='no images'):
            all_cameras({other.name: other})


def test_the_only_camera_info_is_taken_wherever_it_is_and_that_is_told(caplog):
    assert choose(('/cam/image', IMAGE, 1), ('/other/camera_info', CAMERA_INFO, 1)) == (
        '/cam/image', '/other/camera_info')
    assert '/other/camera_info is taken for it' in caplog.text


@pytest.mark.parametrize('other', [
    ('/rear/image_raw', IMAGE, 9), ('/rear/image_raw', IMAGE, 0),
    ('/rear/image_raw/compressed', COMPRESSED_IMAGE, 9), ('/rear/depth', IMAGE, 9),
    ('/rear/image/compressedDepth', COMPRESSED_IMAGE, 9),
    ('/rear/image_raw/zstd', COMPRESSED_IMAGE, 9)])
def test_the_camera_info_of_another_camera_is_not_taken(other):
    topics = [('/front/image_raw', IMAGE, 9), ('/rear/camera_info', CAMERA_INFO, 9), other]
    assert all_cameras({topic[0]: Topic(*topic) for topic in topics}, ['/front/image_raw']) == [
        ('', Topic('/front/image_raw', IMAGE, 9), None)]


def test_the_camera_info_of_depth_is_not_that_of_colour():
    """As RealSense names them."""
    assert choose(
        ('/camera/color/image_raw', IMAGE, 9), ('/camera/depth/image_rect_raw', IMAGE, 9),
        ('/camera/depth/camera_info', CAMERA_INFO, 9)) == ('/camera/color/image_raw', None)


def test_images_with_their_camera_info_go_before_others():
    assert choose(
        ('/debug/image', IMAGE, 9), ('/front/camera_info', CAMERA_INFO, 9),
        ('/front/image_raw', IMAGE, 9)) == ('/front/image_raw', '/front/camera_info')


def test_outputs_of_the_node_are_no_cameras():
    topics = of_kinds({**OWN, '/front/image_raw': IMAGE})
    image, info = camera_topics(topics)
    assert (image.name, info) == ('/front/image_raw', None)
    assert [(camera.image.name, camera.info) for camera in all_cameras(topics)] == [
        ('/front/image_raw', None)]


@pytest.mark.parametrize('mark', [
    'stats', 'semantic/label_table', 'dense'])
def test_one_message_that_only_the_node_publishes_tells_its_outputs(mark):
    kinds = {'stats': 'InferenceStats', 'semantic/label_table': 'LabelTable',
             'dense': 'DensePrediction'}
    topics = of_kinds({'/n/boundary/image': IMAGE, '/nice/image': IMAGE,
                       f'/n/{mark}': f'demt_msgs/msg/{kinds[mark]}'})
    assert [camera.image.name for camera in all_cameras(topics)] == ['/nice/image']


def test_an_output_remapped_to_the_root_takes_no_camera_away():
    topics = of_kinds({'/front/image': IMAGE, '/stats': 'demt_msgs/msg/InferenceStats'})
    assert camera_topics(topics)[0].name == '/front/image'


def test_an_output_is_taken_where_it_is_named():
    topics = of_kinds({**OWN, '/front/image_raw': IMAGE})
    assert [camera.image.name for camera in all_cameras(topics, [OVERLAY])] == [OVERLAY]


def test_outputs_alone_are_no_images_of_a_camera():
    for find in camera_topics, all_cameras:
        with pytest.raises(BagError, match='no images besides outputs of the perception node '
                                           'below /robot/demt_perception/, want'):
            find(of_kinds(OWN))


def test_no_images_says_what_there_is():
    with pytest.raises(BagError, match=r'no images.*/chatter \(std_msgs/msg/String, 3\)'):
        choose(('/chatter', 'std_msgs/msg/String', 3))


@pytest.mark.parametrize('names', [
    (), ('/f/image_raw', '/f/image_raw/compressed')])
def test_no_two_cameras_have_one_name(names):
    topics = ({'/front': IMAGE, '/front/image_raw': IMAGE} if not names else
              {names[0]: IMAGE, names[1]: COMPRESSED_IMAGE})
    cameras = all_cameras(of_kinds(topics), names)
    assert {camera.name for camera in cameras} == {name.strip('/') for name in topics}
