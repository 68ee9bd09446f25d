"""Targets: bags of every kind, and the messages in them."""

from collections.abc import Callable
import contextlib
from functools import cache
from itertools import islice
from pathlib import Path

from bag_samples import cdr, compressed, image, info, rows, write_bag, write_ros1
from drawing import Draw
from fuzz_target import scratch_folder, Target
import zstandard

from demt_perception.bags import BagError, camera_topics, open_bag
from demt_perception.bags.camera_topics import all_cameras, CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from demt_perception.bags.compression import message_decompressor
from demt_perception.bags.metadata import read_metadata
from demt_perception.bags.ros_types import decode
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info
from demt_perception.ros.compressed import decode as decode_compressed
from demt_perception.ros.conversions import to_bgr

MOST = 200
"""Messages that are read of one bag: a damaged one may name a message many times."""


@cache
def folder() -> Path:
    return scratch_folder()


def storage(suffix: str) -> Callable[[bytes], None]:
    """Return the target of one kind of storage file."""
    path = folder() / f'bag{suffix}'

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(BagError), open_bag(path) as bag:
            for choose in (camera_topics, all_cameras):
                with contextlib.suppress(BagError):
                    choose(bag.topics)
            names = [topic.name for topic in bag.topics.values() if topic.encoding == 'cdr']
            for message in islice(bag.messages(names), MOST):
                assert isinstance(message.data, bytes) and message.topic in names

    return read


@cache
def small(suffix: str) -> bytes:
    """Return a bag of one camera_info and one compressed image."""
    some = [rows(1)[0], ('/cam/image_raw/compressed', 5, cdr(compressed(0)))]
    return write_bag(scratch_folder() / f'bag{suffix}', some).read_bytes()


def mcaps() -> list[bytes]:
    """Return an MCAP file by each compression, and one that was cut off."""
    from bag_writing import write_mcap
    from mcap.writer import CompressionType
    found = [small('.mcap'), small('.mcap')[:-120]]
    for kind in (CompressionType.NONE, CompressionType.LZ4):
        path = scratch_folder() / 'bag.mcap'
        write_mcap(path, [('/a', 5, cdr(info(0)))], compression=kind)
        found.append(path.read_bytes())
    return found


def ros1_bags() -> list[bytes]:
    bags = [write_ros1(scratch_folder() / 'one.bag', 1, kind).read_bytes()
            for kind in ('', 'bz2', 'lz4')]
    return [*bags, bags[0][:len(bags[0]) // 2]]


def zstd_bags() -> list[bytes]:
    return [zstandard.compress(small('.mcap')), zstandard.compress(b'#'), small('.mcap')]


def metadata(data: bytes) -> None:
    """A metadata.yaml, and the files that it names."""
    (folder() / 'metadata.yaml').write_bytes(data)
    with contextlib.suppress(BagError):
        assert all(file.parent == folder() for file in read_metadata(folder()).files)
    with contextlib.suppress(BagError), open_bag(folder()):
        pass


def metadata_texts() -> list[bytes]:
    head = b'rosbag2_bagfile_information: {relative_file_paths: [a.db3]'
    return [head + b', compression_format: zstd, compression_mode: FILE}',
            head + b', topics_with_message_count: [{topic_metadata: {name: /a}, message_count: 1'
            b'}], compression_mode: message}', b'a: !!timestamp foo', b'a: &a [*a]']


def message(data: bytes) -> None:
    """One message compressed by rosbag2."""
    with contextlib.suppress(BagError):
        assert isinstance(decompressor()(data), bytes)


@cache
def decompressor() -> Callable[[bytes], bytes]:
    return message_decompressor(Path('bag'))


def messages() -> list[bytes]:
    return [zstandard.compress(cdr(info(0))), zstandard.compress(b'')]


KINDS = (IMAGE, COMPRESSED_IMAGE, CAMERA_INFO)


def recorded(data: bytes) -> None:
    """A serialised message, read without ROS, and used as the verbs do."""
    draw = Draw(data)
    kind = draw.pick(KINDS)
    try:
        read = decode(draw.rest(), kind)
    except ValueError:
        return
    with contextlib.suppress(BadImageError, BadCameraInfoError):
        if kind == CAMERA_INFO:
            check_camera_info(read, 32, 24)
        else:
            (to_bgr if kind == IMAGE else decode_compressed)(read)


def recorded_seeds() -> list[bytes]:
    made = (image(0), compressed(0), info(0))
    return [bytes([number]) + cdr(one) for number, one in enumerate(made)]


TARGETS = {
    'bag: sqlite3': Target(storage('.db3'), lambda: [small('.db3')], 2 ** 15),
    'bag: MCAP': Target(storage('.mcap'), mcaps, 2 ** 13),
    'bag: ROS 1': Target(storage('.bag'), ros1_bags, 2 ** 14),
    'bag: zstd': Target(storage('.mcap.zstd'), zstd_bags, 2 ** 13),
    'bag: metadata.yaml': Target(metadata, metadata_texts, 512),
    'bag: compressed message': Target(message, messages, 1024),
    'recorded message': Target(recorded, recorded_seeds, 4096),
}
