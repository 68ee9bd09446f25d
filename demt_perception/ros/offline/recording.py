"""Predictions as the messages that the node publishes, in CDR, without ROS.

Topics, encodings and what is in them come from the tables that the node itself uses.
"""

from collections.abc import Collection
import dataclasses
from functools import lru_cache
import struct
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from demt_perception.bags.camera_topics import CAMERA_INFO, IMAGE
from demt_perception.bags.metadata import qos_text
from demt_perception.bags.pieces import Encoded
from demt_perception.bags.records import BagError, Channel
from demt_perception.bags.ros_types import LABEL_INFO, LABEL_TABLE, ros2_types, schema
from demt_perception.inference import Predictions
from demt_perception.inference.point_cloud import Camera, FIELDS, fill_points, make_rays
from demt_perception.inference.resize import shrink
from demt_perception.model_card import ModelCard
from demt_perception.ros.camera_model import scaled_camera_info
from demt_perception.ros.outputs import ALIGNED, CAMERA_INFOS, outputs_of
from demt_perception.ros.rectification import camera_of

NODE = '/demt_perception'
CLOUD = 'sensor_msgs/msg/PointCloud2'
_POINTS = 'points'
_TABLE, _INFO = 'semantic/label_table', 'semantic/label_info'


# FLOAT32 and UINT32 of sensor_msgs/PointField.
_FIELD_TYPES = {'f4': 7, 'u4': 6}


@dataclasses.dataclass
class Region:
    """sensor_msgs/RegionOfInterest: rosbags' own cannot be made empty."""

    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


class Recorder:
    """Makes the messages of frames; safe to use from several threads.

    Attributes:
        channels: topics, those of one camera after those of another; numbers count from 1.
        tasks: of the model, those that the topics are made of.
    """

    def __init__(self, card: ModelCard, cameras: Collection[str], wanted: Collection[str]) -> None:
        """Choose topics.

        Args:
            card: of the model.
            cameras: their names, '' for one without.
            wanted: topics below the node's name such as ``depth/image``, or their folders such as
                ``depth``; none: all but ``points`` and what is below it, which repeat the others
                in six times the space.

        Raises:
            BagError: something is wanted that the model has not.
        """
        self._card = card
        outputs = outputs_of(card.tasks, card.outputs)
        kinds = {output.topic: IMAGE for output in outputs}
        made = {output.topic: {output.task} for output in outputs}
        infos = {topic: task for topic, task in CAMERA_INFOS.items() if task in card.tasks}
        kinds |= dict.fromkeys(infos, CAMERA_INFO)
        made |= {topic: {task} for topic, task in infos.items()}
        if 'semseg' in card.tasks:
            aligned = [output.topic for output in ALIGNED]
            kinds |= {_TABLE: LABEL_TABLE, _INFO: LABEL_INFO, **dict.fromkeys(aligned, IMAGE)}
            made |= {topic: {'semseg'} for topic in (_TABLE, _INFO, *aligned)}
        if 'depth' in card.tasks:
            kinds[_POINTS] = CLOUD
            made[_POINTS] = {'depth', 'semseg'}
        if strange := [name for name in wanted if not any(_is_in(t, name) for t in kinds)]:
            raise BagError(f'{", ".join(strange)}: no output of model {card.name}, want some of '
                           f'{", ".join(kinds)}, or their folders')
        chosen = [topic for topic in kinds if any(_is_in(topic, name) for name in wanted)
                  or (not wanted and not _is_in(topic, _POINTS))]
        needed = {task for topic in chosen for task in made[topic]}
        self.tasks = tuple(task for task in card.tasks if task in needed)
        self._outputs = tuple(output for output in outputs_of(card.tasks, card.outputs)
                              if output.topic in chosen)
        names = [(camera, topic) for camera in cameras for topic in chosen]
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self.channels = [
            Channel('/'.join(filter(None, (NODE, camera, topic))), kinds[topic],
                    schema(kinds[topic]), qos_text(latched=topic in (_TABLE, _INFO)))
            for camera, topic in names]

    def labels(self, camera: str, time_ns: int, stamp: Any) -> list[Encoded]:
        """Return the messages that say what class ids mean, for the beginning of a bag."""
        types = ros2_types().types
        header = types['std_msgs/msg/Header'](stamp, '')
        card = self._card
        messages = {
            _TABLE: types[LABEL_TABLE](
                header, card.name, np.arange(len(card.classes), dtype=np.uint16),
                list(card.classes), [types['std_msgs/msg/ColorRGBA'](*(v / 255 for v in rgb), 1.0)
                                     for rgb in card.palette]),
            _INFO: types[LABEL_INFO](
                header, [types['vision_msgs/msg/VisionClass'](index, name)
                         for index, name in enumerate(card.classes)], 0.0)}
        return [self._encode(camera, topic, time_ns, message)
                for topic, message in messages.items() if (camera, topic) in self._numbers]

    def frame(self, camera: str, time_ns: int, header: Any, predictions: Predictions,
              info: Any) -> list[Encoded]:
        """Return the messages of one frame, in the node's order of publication.

        Args:
            camera: its name.
            time_ns: when the image was recorded.
            header: of the image.
            predictions: of its pixels.
            info: its camera_info, from ``plain_info``; None where there is none.
        """
        wanted = [topic for name, topic in self._numbers if name == camera]
        made = [self._image(camera, output.topic, output.encoding, time_ns, header,
                            getattr(predictions, output.attribute)) for output in self._outputs]
        if info is not None:
            height, width = predictions.size
            info = scaled_camera_info(info, width, height)
            made += [self._encode(camera, topic, time_ns, _typed_info(info, header))
                     for topic in CAMERA_INFOS if topic in wanted]
        # The points are of all pixels here, so these are the same images once more.
        made += [self._image(camera, output.topic, output.encoding, time_ns, header,
                             getattr(predictions, output.attribute))
                 for output in ALIGNED if output.topic in wanted]
        lens = None if info is None or _POINTS not in wanted else camera_of(info)
        if lens is not None:
            made.append(self._cloud(camera, time_ns, header, predictions, lens))
        return made

    def _image(self, camera: str, topic: str, encoding: str, time_ns: int, header: Any,
               pixels: np.ndarray) -> Encoded:
        """Return an Image whose pixels are not copied: an array's bytes come last in CDR."""
        height, width = pixels.shape[:2]
        empty = ros2_types().types[IMAGE](
            header, height, width, encoding, int(sys.byteorder == 'big'), pixels.strides[0],
            np.empty(0, np.uint8))
        head = bytes(ros2_types().serialize_cdr(empty, IMAGE, little_endian=True))
        return Encoded(self._numbers[camera, topic], time_ns, (
            head[:-4], struct.pack('<I', pixels.nbytes), pixels.data.cast('B')))

    def _cloud(self, camera: str, time_ns: int, header: Any, predictions: Predictions,
               lens: Camera) -> Encoded:
        """Return a point for every pixel: see ``inference.point_cloud``."""
        height, width = size = predictions.size
        label, confidence = (getattr(predictions, name) if name in predictions.card.outputs
                             else None for name in ('semantic', 'confidence'))
        points = np.empty((height, width, len(FIELDS)), np.float32)
        fill_points(points, _rays(lens, size), predictions.depth,
                    shrink(predictions.image, size), label, confidence)
        types = ros2_types().types
        fields = [types['sensor_msgs/msg/PointField'](name, 4 * index, _FIELD_TYPES[kind], 1)
                  for index, (name, kind) in enumerate(FIELDS.items())]
        step = 4 * len(FIELDS)
        return self._encode(camera, _POINTS, time_ns, types[CLOUD](
            header, height, width, fields, sys.byteorder == 'big', step, step * width,
            points.reshape(-1).view(np.uint8), False))

    def _encode(self, camera: str, topic: str, time_ns: int, message: Any) -> Encoded:
        return Encoded(self._numbers[camera, topic], time_ns, (
            ros2_types().serialize_cdr(message, message.__msgtype__, little_endian=True),))


def plain_info(message: Any) -> Any:
    """Return a decoded sensor_msgs/CameraInfo as ``ros.camera_model`` takes it."""
    roi = message.roi
    return SimpleNamespace(**{
        name: getattr(message, name) for name in (
            'header', 'height', 'width', 'distortion_model', 'binning_x', 'binning_y')},
        **{name: getattr(message, name).tolist() for name in 'dkrp'},
        roi=Region(roi.x_offset, roi.y_offset, roi.height, roi.width, roi.do_rectify))


def _typed_info(info: Any, header: Any) -> Any:
    types = ros2_types().types
    return types[CAMERA_INFO](
        header, info.height, info.width, info.distortion_model,
        *(np.array(getattr(info, name), np.float64) for name in 'dkrp'),
        info.binning_x, info.binning_y,
        types['sensor_msgs/msg/RegionOfInterest'](**dataclasses.asdict(info.roi)))


_rays = lru_cache(maxsize=8)(make_rays)


def _is_in(topic: str, name: str) -> bool:
    return topic == name or topic.startswith(name.rstrip('/') + '/')
