from demt_perception.ros.silence import (
    COMPRESSED,
    discovery_hint,
    fewer_images_text,
    IMAGE,
    loss_text,
    Seen,
    silence_text,
    transport_cure,
)

OURS = 'best_effort volatile'


def explain(publishers=(), graph=None, kind=IMAGE, lost=0, cure='CURE'):
    return silence_text('/image', kind, OURS, publishers, graph or {}, lost, cure)


def test_nobody_publishes():
    assert 'nobody publishes it' in explain()
    assert 'start the camera' in explain()


def test_a_transport_that_hides_publishers():
    hint = discovery_hint({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'})
    assert 'does not find processes that run without' in silence_text(
        '/image', IMAGE, OURS, (), {}, 0, '', hint)
    assert discovery_hint({}) == ''


def test_images_under_another_name():
    text = explain(graph={'/front/image_raw': [IMAGE], '/chatter': ['std_msgs/msg/String']})
    assert '-r image:=/front/image_raw' in text
    assert '/chatter' not in text


def test_a_camera_that_only_compresses():
    text = explain(graph={'/front/image_raw/compressed': [COMPRESSED]})
    assert 'image_transport:=compressed' in text
    assert 'remap image to /front/image_raw' in text
    assert '/compressed' not in text.split('remap')[1]


def test_of_a_named_camera_its_own_name_is_to_be_remapped():
    def of_front(graph):
        return silence_text('/front/image', IMAGE, OURS, (), graph, 0, 'CURE', name='front/image')

    assert '-r front/image:=/cam/image_raw' in of_front({'/cam/image_raw': [IMAGE]})
    assert 'remap front/image to /cam/image_raw' in of_front(
        {'/cam/image_raw/compressed': [COMPRESSED]})


def test_the_wrong_type_on_our_topic():
    text = explain([Seen('/camera', COMPRESSED, OURS)], {'/image': [COMPRESSED]})
    assert 'the type differs' in text
    assert 'image_transport:=compressed' in text


def test_quality_of_service_that_does_not_match():
    text = explain([Seen('/camera', IMAGE, OURS, 'Best effort publisher, reliable subscription;')])
    assert '/camera' in text
    assert 'Best effort publisher' in text
    assert 'qos_overrides./image.subscription.reliability' in text


def test_all_well_but_nothing_comes():
    text = explain([Seen('/camera', IMAGE, OURS)], cure=transport_cure('rmw_fastrtps_cpp'))
    assert 'FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA' in text
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' in text
    assert 'FASTDDS' not in transport_cure('rmw_cyclonedds_cpp')


def test_lost_images_are_counted():
    assert '12 images were lost' in explain([Seen('/camera', IMAGE, OURS)], lost=12)
    assert '3 of 10 images' in loss_text('/image', 3, 7, 'CURE')
    text = fewer_images_text('/image', 4, 30, 'CURE')
    assert '30 camera_info' in text
    assert 'only 4 images' in text
