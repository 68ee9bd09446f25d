"""The organised cloud of labelled points as sensor_msgs/PointCloud2. No rclpy.

One point a pixel, in the camera's optical frame: aligned with mask and confidence of the same
frame, as Nav2's semantic segmentation layer wants it. Fields and their types: see
``inference.point_cloud.FIELDS``.
"""

from array import array
from collections.abc import Collection
import sys
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from demt_perception.inference import Predictions
from demt_perception.inference.point_cloud import (
    Camera,
    decimate,
    FIELDS,
    fill_points,
    make_rays,
    Rays,
)
from demt_perception.inference.resize import shrink

POINT = 4 * len(FIELDS)
_TYPES = {'f4': PointField.FLOAT32, 'u4': PointField.UINT32}


class CloudFiller:
    """Puts frames into one message, whose memory it uses again, as well as the rays' work."""

    def __init__(self) -> None:
        """Make the empty message."""
        self.message = PointCloud2(
            point_step=POINT, is_dense=False, is_bigendian=sys.byteorder == 'big',
            fields=[PointField(name=name, offset=4 * index, datatype=_TYPES[kind], count=1)
                    for index, (name, kind) in enumerate(FIELDS.items())])
        self._key: tuple[Any, ...] = ()
        self._rays: Rays

    def fill(self, predictions: Predictions, camera: Camera, header: Any, step: int,
             given: Collection[str]) -> Any:
        """Return the message of a frame; valid until the next call.

        Args:
            predictions: with depth.
            camera: of the predictions' pixels, see ``rectification.camera_of``.
            header: of the camera image.
            step: every how many pixels and rows there is a point.
            given: names of other predictions that there are: without ``semantic`` points are
                unlabelled, 255; without ``confidence`` that is NaN.
        """
        size = predictions.size
        label, confidence = (
            decimate(getattr(predictions, name), step) if name in given else None
            for name in ('semantic', 'confidence'))
        depth = decimate(predictions.depth, step)
        bgr = decimate(shrink(predictions.image, size), step)
        self.message.header = header
        fill_points(self._points(*depth.shape), self._rays_of(camera, size, step),
                    depth, bgr, label, confidence)
        return self.message

    def _points(self, height: int, width: int) -> np.ndarray:
        """Return the message's memory as float32 of height x width x fields."""
        message = self.message
        if (message.height, message.width) != (height, width):
            message.height, message.width, message.row_step = height, width, width * POINT
            message.data = array('B', bytes(height * width * POINT))
        return np.frombuffer(message.data, np.float32).reshape(height, width, len(FIELDS))

    def _rays_of(self, camera: Camera, size: tuple[int, int], step: int) -> Rays:
        key = camera, size, step
        if key != self._key:
            self._rays, self._key = make_rays(camera, size, step), key
        return self._rays
