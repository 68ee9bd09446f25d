"""`demt bag` and the node, over real DDS, on the same bag: the same messages, byte by byte."""

import contextlib
from dataclasses import replace
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')
from bag_samples import cdr, compressed, image, info, rows, SECOND, START, write_bag
from node_testing import reliable
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from demt_perception.bags import open_bag
from demt_perception.ros.offline.processing import Options, process

KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CameraInfo': CameraInfo,
         'sensor_msgs/msg/CompressedImage': CompressedImage,
         'sensor_msgs/msg/PointCloud2': PointCloud2}
ALL = ('semantic', 'depth', 'normals', 'boundary', 'points')
# What the node says of itself, and all once more in one message.
ONLY_NODE = {'dense', 'health', 'stats', 'transition_event'}


def read(path: Path) -> dict:
    """Return the messages of a bag, by topic; labels left out: their stamp is another."""
    with open_bag(path) as bag:
        kinds = {topic.name: KINDS[topic.type] for topic in bag.topics.values()
                 if topic.type in KINDS}
        found = {name: [] for name in kinds}
        for message in bag.messages(kinds):
            found[message.topic].append(deserialize_message(message.data, kinds[message.topic]))
    return found


def stamp(message) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def topics_of(tester, name: str) -> set[str]:
    """Return what a node publishes below its name."""
    found = tester.node.get_publisher_names_and_types_by_node(name, '/')
    return {topic.removeprefix(f'/{name}/') for topic, _ in found if topic.startswith(f'/{name}/')}


def two_cameras(row: tuple) -> tuple:
    """Return a row whose camera_info tells another camera without its lens than with it."""
    name, time, _ = row
    if not name.endswith('camera_info'):
        return row
    return name, time, cdr(replace(
        info((time - START) * 10 // SECOND), d=np.array([-0.2, 0.1, 0, 0, 0]),
        p=np.array([15.0, 0, 15, 0, 0, 16, 11, 0, 0, 0, 1, 0])))


@pytest.mark.parametrize(('transport', 'told'), [
    ('raw', {}), ('compressed', {'depth_scale': 1.7, 'rectified': 'true'})])
def test_the_same_messages(tester, start_node, tiny_model, tmp_path, transport, told):
    topic = '/front/image' + '/compressed' * (transport == 'compressed')
    bag = write_bag(tmp_path / 'in.mcap', [two_cameras(row) for row in rows(
        4, topic, image if transport == 'raw' else compressed)])
    process(bag, tmp_path / 'out', Options(
        str(tiny_model), {'engine': 'onnxruntime', 'threads': 1}, outputs=ALL, **told),
        lambda progress, total: None)
    offline = read(tmp_path / 'out')
    given = read(bag)
    name = f'as_{transport}'
    start_node('-r', f'__node:={name}', '-r', 'image:=/front/image', '-r',
               f'image/compressed:={topic}', model=tiny_model, max_age=0.0,
               image_transport=transport, **told)
    with contextlib.ExitStack() as stack:
        heard = {path: stack.enter_context(tester.listening(
            path.replace('/demt_perception', f'/{name}'), type(messages[0]), reliable(50)))
            for path, messages in offline.items()}
        images = stack.enter_context(tester.publishing(topic, type(given[topic][0])))
        infos = stack.enter_context(tester.publishing('/front/camera_info', CameraInfo))
        for picture, info in zip(given[topic], given['/front/camera_info'], strict=True):
            # Not heard once, it would be missing for good; there is no sign of its being heard.
            for _ in range(10 if picture is given[topic][0] else 1):
                infos.publish(info)
                tester.spin_for(0.1)

            def arrived(picture=picture):
                return all(any(stamp(m) == stamp(picture) for m in messages)
                           for messages in heard.values())
            tester.pump(images, lambda picture=picture: picture, arrived, 'outputs')
        published = topics_of(tester, name)
    with open_bag(tmp_path / 'out') as out:
        written = {topic.removeprefix('/demt_perception/') for topic in out.topics}
    if importlib.util.find_spec('vision_msgs') is None:
        written.remove('semantic/label_info')
    assert published - ONLY_NODE == written
    for path, messages in offline.items():
        online = {stamp(message): message for message in heard[path]}
        assert [stamp(m) for m in messages] == [stamp(m) for m in given[topic]]
        for message in messages:
            other = online[stamp(message)]
            if isinstance(message, PointCloud2 | Image):
                assert bytes(message.data) == bytes(other.data), path
                message.data = other.data = b''
            assert message == other, path
