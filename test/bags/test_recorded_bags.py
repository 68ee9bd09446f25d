"""Bags that ROS 2 itself and other libraries have written."""


import pytest
from shared_data import SHARED

from demt_perception.bags import camera_topics, open_bag

BAGS = SHARED / 'data' / 'bags'

pytestmark = pytest.mark.skipif(not BAGS.is_dir(), reason=f'{BAGS} is not there')
pytest.importorskip('mcap', reason='the package mcap is not installed')


@pytest.mark.parametrize(('name', 'counts'), [
    ('ros2_recorded_talker_sqlite3', {'/topic': 10, '/rosout': 10, '/parameter_events': 0}),
    ('ros2_recorded_talker_mcap', {'/topic': 10, '/rosout': 10, '/parameter_events': 0}),
    ('ros2_recorded_cdr_sqlite3', {'/test_topic': 3, '/array_topic': 4}),
    ('ros2_recorded_cdr_mcap', {'/test_topic': 3, '/array_topic': 4}),
])
def test_every_message_of_bags_recorded_by_ros(name, counts):
    with open_bag(BAGS / name) as bag:
        read = dict.fromkeys(counts, 0)
        for message in bag.messages(counts):
            read[message.topic] += 1
        assert read == counts == {t.name: t.count for t in bag.topics.values()}


def test_both_storages_hold_the_same_recording():
    texts = []
    for name in ('ros2_recorded_talker_sqlite3', 'ros2_recorded_talker_mcap'):
        with open_bag(BAGS / name) as bag:
            texts.append([message.data for message in bag.messages(['/topic'])])
    # CDR: header, length, text, zero.
    assert texts[0] == texts[1]
    assert texts[0][0][8:-1].startswith(b'Hello, world! ')


@pytest.mark.parametrize(('name', 'image', 'count'), [
    ('udacity_highway_mcap', '/camera/front/image_raw/compressed', 40),
    ('udacity_highway_raw_sqlite3', '/camera/front/image_raw', 12),
])
def test_the_camera_of_image_bags(name, image, count):
    with open_bag(BAGS / name) as bag:
        topic, info = camera_topics(bag.topics)
        assert (topic.name, info.name) == (image, '/camera/front/camera_info')
        assert sum(1 for _ in bag.messages([topic.name])) == count
