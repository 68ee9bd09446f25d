"""Targets: image messages, compressed images and camera_info, as they come over DDS."""

from types import SimpleNamespace
from typing import Any

import cv2
from drawing import Draw
from fuzz_target import Target
import numpy as np

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import (
    BadCameraInfoError,
    check_camera_info,
    cropped_camera_info,
    focal_lengths,
    scaled_camera_info,
)
from demt_perception.ros.compressed import decode, image_size
from demt_perception.ros.conversions import ENCODINGS, to_bgr
from demt_perception.ros.rectification import camera_of, describe_image, unknown_lens

NAMES = (*ENCODINGS, '', '32FC1', 'jpeg', 'bgr8\0')
SIDES = (0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 2 ** 14, 2 ** 14 + 1, 2 ** 31, 2 ** 32 - 1)
MODELS = ('plumb_bob', 'rational_polynomial', 'equidistant', '', 'thin_prism')


def image(data: bytes) -> None:
    """A sensor_msgs/Image: 8-bit BGR of the size that it claims comes out, or its error."""
    draw = Draw(data)
    encoding, height, width = draw.pick(NAMES), draw.pick(SIDES), draw.pick(SIDES)
    known = ENCODINGS.get(encoding)
    step = draw.unsigned(4) if draw.unsigned() % 8 == 0 else (
        width * (known.channels * known.bytes if known else 1) + draw.unsigned() % 4)
    message = SimpleNamespace(encoding=encoding, height=height, width=width, step=step,
                              is_bigendian=draw.unsigned(), data=draw.rest())
    try:
        bgr = to_bgr(message)
    except BadImageError:
        return
    assert bgr.shape == (height, width, 3) and bgr.dtype == np.uint8, bgr.shape
    assert bgr.flags.c_contiguous


def image_seeds() -> list[bytes]:
    return [bytes([index, side, side, 1, 0, 0]) + bytes(range(256))
            for index in range(len(NAMES)) for side in (4, 7)]


def header(data: bytes) -> None:
    """The size that a JPEG or PNG claims."""
    try:
        height, width = image_size(data)
    except (ValueError, IndexError):
        return
    assert 0 <= height < 2 ** 32 and 0 <= width < 2 ** 32


def compressed(data: bytes) -> None:
    """A sensor_msgs/CompressedImage."""
    try:
        bgr = decode(SimpleNamespace(format='jpeg', data=data))
    except BadImageError:
        return
    assert bgr.dtype == np.uint8 and bgr.shape == (*image_size(data), 3), bgr.shape


def pictures() -> list[bytes]:
    """Return small files of every kind of JPEG and PNG that OpenCV writes."""
    ramp = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    kinds: list[tuple[str, Any, list[int]]] = [
        ('.jpg', ramp, [cv2.IMWRITE_JPEG_QUALITY, 30]), ('.jpg', ramp[..., 0], []),
        ('.jpg', ramp, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 30]),
        ('.jpg', ramp, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]), ('.png', ramp, []),
        ('.png', ramp[..., 0], []), ('.png', ramp.astype(np.uint16) * 256, []),
        ('.png', np.dstack([ramp, ramp[..., 0]]), []), ('.bmp', ramp, [])]
    return [cv2.imencode(suffix, pixels, options)[1].tobytes()
            for suffix, pixels, options in kinds]


def camera_info(data: bytes) -> None:
    """A sensor_msgs/CameraInfo and the size of the images beside it."""
    draw = Draw(data)

    def sides(count: int) -> list[int]:
        return [draw.pick((0, 1, 2, 640, 480, 320, 2 ** 32 - 1)) for _ in range(count)]

    def matrix(count: int) -> list[float]:
        if draw.unsigned() % 4:
            plain = [600.0, 0, 320, 0, 0, 600, 240, 0, 0, 0, 1, 0]
            return plain if count == 12 else [plain[i] for i in (0, 1, 2, 4, 5, 6, 8, 9, 10)]
        return [draw.number() for _ in range(count)]

    height, width, left, top, across, down = sides(6)
    binning_x, binning_y = sides(2)
    info = SimpleNamespace(
        height=height, width=width, roi=_Roi(left, top, across, down, bool(draw.unsigned() % 2)),
        binning_x=binning_x, binning_y=binning_y, k=matrix(9), p=matrix(12), r=matrix(9),
        d=[draw.number() for _ in range(draw.unsigned() % 9)], distortion_model=draw.pick(MODELS))
    seen = [side or 1 for side in sides(2)]   # an empty image comes no further than `to_bgr`
    try:
        check_camera_info(info, *seen)
    except BadCameraInfoError:
        return
    fx, fy = focal_lengths(info)
    assert fx > 0 and fy > 0, (fx, fy)
    new = scaled_camera_info(info, 320, 240)
    assert (new.width, new.height) == (320, 240)
    cropped_camera_info(info, 1, 1, 4, 4)
    described = describe_image(new, rectified=bool(draw.unsigned() % 2))
    assert unknown_lens(described) or camera_of(described).fx == described.k[0]


class _Roi:
    """A sensor_msgs/RegionOfInterest: made anew by its type, as those of ROS."""

    def __init__(self, x_offset: int = 0, y_offset: int = 0, width: int = 0, height: int = 0,
                 do_rectify: bool = False) -> None:
        self.x_offset, self.y_offset, self.width, self.height = x_offset, y_offset, width, height
        self.do_rectify = do_rectify


TARGETS = {
    'image message': Target(image, image_seeds, 1024),
    'size of a compressed image': Target(header, pictures, 1024),
    'compressed image': Target(compressed, pictures, 1024),
    'camera_info': Target(camera_info, lambda: [
        bytes([4, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 4, 3]), bytes(range(100, 160))], 256),
}
