"""What is done to a frame between its source and its publication."""

from collections.abc import Callable
import dataclasses
from typing import Any

import cv2
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.camera_info_file import fit_camera_info
from demt_perception.ros.compressed import checked_size, decode, TRANSPORTS
from demt_perception.ros.conversions import check_image, to_bgr
from demt_perception.ros.sources import Frame, SourceError


def preparation(transport: str, calibration: CameraInfo | None) -> Callable[[Frame], Frame]:
    """Return the function that makes a frame ready for publication.

    For ``raw`` the frame's image becomes a BGR array or a recorded Image; for ``compressed``
    a CompressedImage (JPEG, except where the recording holds another format). A calibration
    replaces a recorded camera_info, scaled to the size of the image.

    Raises:
        SourceError: the transport is unknown.
        BadImageError: by the function: a recorded image is damaged.
        CameraInfoError: by the function: the calibration does not fit the images.
    """
    if transport not in TRANSPORTS:
        raise SourceError(f'image_transport is {transport!r}, want one of {TRANSPORTS}')
    change = _to_raw if transport == 'raw' else _to_compressed

    def prepare(frame: Frame) -> Frame:
        info = frame.camera_info
        if calibration is not None:
            info = fit_camera_info(calibration, *_size(frame.image))
        return dataclasses.replace(frame, image=change(frame.image), camera_info=info)

    return prepare


def _size(image: Any) -> tuple[int, int]:
    """Return width and height; raises BadImageError."""
    if isinstance(image, CompressedImage):
        height, width = checked_size(bytes(image.data), image.format)
        return width, height
    if isinstance(image, Image):
        check_image(image)
        return image.width, image.height
    return image.shape[1], image.shape[0]


def _to_raw(image: Any) -> Any:
    return decode(image) if isinstance(image, CompressedImage) else image


def _to_compressed(image: Any) -> CompressedImage:
    if isinstance(image, CompressedImage):
        return image
    if isinstance(image, Image):
        image = to_bgr(image)
    _, data = cv2.imencode('.jpg', image)
    message = CompressedImage(format='bgr8; jpeg compressed bgr8')
    message.data.frombytes(data.data)
    return message
