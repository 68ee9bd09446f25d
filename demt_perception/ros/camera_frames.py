"""What is done to a frame between its source and its publication."""

from collections.abc import Callable
import dataclasses
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.camera_info_file import scale_camera_info
from demt_perception.ros.sources import Frame, SourceError

TRANSPORTS = ('raw', 'compressed')


def preparation(transport: str, calibration: CameraInfo | None) -> Callable[[Frame], Frame]:
    """Return the function that makes a frame ready for publication.

    For ``raw`` the frame's image becomes a BGR array or a recorded Image; for ``compressed``
    a CompressedImage (JPEG, except where the recording holds another format). A calibration
    replaces a recorded camera_info, scaled to the size of the image.

    Raises:
        SourceError: the transport is unknown; by the function: a recorded image is damaged.
        CameraInfoError: by the function: the calibration does not fit the images.
    """
    if transport not in TRANSPORTS:
        raise SourceError(f'image_transport is {transport!r}, want one of {TRANSPORTS}')
    change = _to_raw if transport == 'raw' else _to_compressed

    def prepare(frame: Frame) -> Frame:
        info = frame.camera_info
        if calibration is not None:
            info = scale_camera_info(calibration, *_size(frame.image))
        return dataclasses.replace(frame, image=change(frame.image), camera_info=info)

    return prepare


def _size(image: Any) -> tuple[int, int]:
    """Return width and height."""
    if isinstance(image, CompressedImage):
        image = _to_raw(image)
    if isinstance(image, Image):
        return image.width, image.height
    return image.shape[1], image.shape[0]


def _to_raw(image: Any) -> Any:
    if not isinstance(image, CompressedImage):
        return image
    decoded = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise SourceError(f'a recorded CompressedImage of format {image.format!r} and '
                          f'{len(image.data)} bytes cannot be decoded')
    return decoded


def _to_compressed(image: Any) -> CompressedImage:
    if isinstance(image, CompressedImage):
        return image
    if isinstance(image, Image):
        from demt_perception.ros.conversions import to_bgr
        image = to_bgr(image)
    good, data = cv2.imencode('.jpg', image)
    if not good:
        raise SourceError(f'an image of shape {image.shape} cannot be encoded as JPEG')
    message = CompressedImage(format='bgr8; jpeg compressed bgr8')
    message.data.frombytes(data.data)
    return message
