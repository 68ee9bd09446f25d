"""Bags with pictures, written here: of ROS 2 by helpers, of ROS 1 by the library rosbags."""

from pathlib import Path

from bag_writing import write_mcap, write_sqlite3
import cv2
import numpy as np
import pytest

IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
HEIGHT, WIDTH = 24, 32
SECOND = 1_000_000_000
START = 1_600_000_000 * SECOND


def store(version: int = 2):
    typesys = pytest.importorskip('rosbags.typesys', reason='the package rosbags is missing')
    return typesys.get_typestore(
        typesys.Stores.ROS2_HUMBLE if version == 2 else typesys.Stores.ROS1_NOETIC)


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def header(index: int, version: int = 2):
    types = store(version).types
    stamp = types['builtin_interfaces/msg/Time'](1_600_000_000 + index // 10, index % 10)
    sequence = () if version == 2 else (index,)
    return types['std_msgs/msg/Header'](*sequence, stamp, 'lens')


def image(index: int, version: int = 2):
    return store(version).types[IMAGE](header(index, version), HEIGHT, WIDTH, 'bgr8', 0,
                                       WIDTH * 3, picture(index).reshape(-1))


def compressed(index: int):
    data = cv2.imencode('.png', picture(index))[1].reshape(-1)
    return store().types[COMPRESSED](header(index), 'png', data)


def info(index: int, version: int = 2, width: int = WIDTH):
    types = store(version).types
    k = np.array([40.0, 0, 16, 0, 40, 12, 0, 0, 1])
    p = np.array([40.0, 0, 16, 0, 0, 40, 12, 0, 0, 0, 1, 0])
    return types[INFO](header(index, version), HEIGHT, width, 'plumb_bob', np.zeros(5), k,
                       np.eye(3).reshape(-1), p, 0, 0,
                       types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False))


def cdr(message) -> bytes:
    return bytes(store().serialize_cdr(message, message.__msgtype__))


def rows(count: int, topic: str = '/cam/image_raw', make=image) -> list[tuple[str, int, bytes]]:
    """Return images and their camera_info, ten frames a second."""
    base = topic.removesuffix('/compressed').rpartition('/')[0]
    return [row for index in range(count) for row in (
        (f'{base}/camera_info', START + index * SECOND // 10, cdr(info(index))),
        (topic, START + index * SECOND // 10 + 1, cdr(make(index))))]


def kinds(some: list[tuple[str, int, bytes]]) -> dict[str, str]:
    def kind(name: str) -> str:
        if name.endswith('camera_info'):
            return INFO
        return COMPRESSED if name.endswith('/compressed') else IMAGE
    return {name: kind(name) for name, *_ in some}


def write_bag(path: Path, some: list[tuple[str, int, bytes]]) -> Path:
    if path.suffix == '.db3':
        write_sqlite3(path, some, kinds(some))
    else:
        write_mcap(path, some, kinds(some))
    return path


def write_ros1(path: Path, count: int, compression: str = '', start: int = START) -> Path:
    rosbag1 = pytest.importorskip('rosbags.rosbag1', reason='the package rosbags is missing')
    types = store(1)
    writer = rosbag1.Writer(path)
    if compression:
        writer.set_compression(rosbag1.Writer.CompressionFormat[compression.upper()])
    writer.chunk_threshold = 8000
    with writer:
        images = writer.add_connection('/cam/image_raw', IMAGE, typestore=types)
        infos = writer.add_connection('/cam/camera_info', INFO, typestore=types)
        markers = writer.add_connection('/marks', 'visualization_msgs/msg/Marker', typestore=types)
        assert markers
        for index in range(count):
            time = start + index * SECOND // 10
            writer.write(infos, time, types.serialize_ros1(info(index, 1), INFO))
            writer.write(images, time + 1, types.serialize_ros1(image(index, 1), IMAGE))
    return path
