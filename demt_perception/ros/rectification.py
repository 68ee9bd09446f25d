"""Which image a camera_info describes: the raw one, or the rectified one. No rclpy.

A camera sends one camera_info for both (image_proc republishes none): K and D belong to
``image_raw``, P to ``image_rect``. What is computed from an image needs to know which it is.
"""

import copy
import re
from typing import Any

from demt_perception.inference.distortion import is_known
from demt_perception.inference.point_cloud import Camera
from demt_perception.ros.camera_model import is_distorted

# Consumers such as depthimage_to_laserscan refuse to work where it is ''.
NO_DISTORTION = 'plumb_bob'
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def is_rectified(topic: str, wanted: str = 'auto') -> bool:
    """Tell whether an image counts as rectified.

    By its name: ``image_rect``, ``rect/image``. The last name of the topic counts, and the one
    before where the last is ``image``: a robot or a namespace that is called so says nothing of
    the images.

    Args:
        topic: of the image.
        wanted: ``true`` or ``false``, whatever the name, or ``auto``.
    """
    if wanted != 'auto':
        return wanted == 'true'
    *above, name = topic.removesuffix('/compressed').split('/')
    if name == 'image' and above:
        return above[-1] in ('rect', 'rectified')
    return re.search(r'(^|_)rect(ified)?(_|$)', name) is not None


def judge_rectified(topic: str, wanted: str, parameter: str) -> tuple[bool, str]:
    """Return whether an image counts as rectified, and a line that says so and why.

    Args:
        topic: of the image.
        wanted: see ``is_rectified``.
        parameter: that ``wanted`` is the value of.
    """
    rectified = is_rectified(topic, wanted)
    why = (f'by its name; the parameter {parameter} can say otherwise' if wanted == 'auto' else
           f'as the parameter {parameter} says')
    return rectified, (f'{topic} is taken as {"" if rectified else "not "}rectified, {why}: '
                       f'{"P" if rectified else "K and D"} of camera_info '
                       f'{"holds" if rectified else "hold"}')


def describe_image(info: Any, rectified: bool) -> Any:
    """Return a copy of a camera_info that describes one image and nothing else.

    Of a rectified image, and of one without distortion: K is P's, D is zero. Of a raw one K and D
    stay. P is K's where there was none. So K, D and, in images without distortion, P tell where a
    pixel looks, for depth_image_proc, depthimage_to_laserscan and all others.

    Args:
        info: sensor_msgs/CameraInfo; neither checked nor changed.
        rectified: see ``judge_rectified``.
    """
    new = copy.copy(info)
    k, p = list(info.k), list(info.p)
    if not (p[0] or p[5]):
        p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
        new.p = p
    if rectified or not is_distorted(info):
        new.k = [*p[:3], *p[4:7], *p[8:11]]
        new.r = _IDENTITY
        new.d = [0.0] * 5
        new.distortion_model = NO_DISTORTION
    return new


def unknown_lens(info: Any) -> str:
    """Return why the lens of a described image cannot be undone, or ''."""
    if not is_distorted(info) or is_known(info.distortion_model, tuple(info.d)):
        return ''
    return (f'distortion_model {info.distortion_model!r} with {len(info.d)} coefficients is not '
            'known, so there are no points: want plumb_bob, rational_polynomial (without thin '
            'prism and tilt) or equidistant')


def camera_of(info: Any) -> Camera | None:
    """Return the camera of a described image at the size that its camera_info is for.

    None where its lens is not known: see ``unknown_lens``. A guess would move what it shows.
    """
    k = info.k
    if not is_distorted(info):
        return Camera(k[0], k[4], k[2], k[5])
    if unknown_lens(info):
        return None
    return Camera(k[0], k[4], k[2], k[5], info.distortion_model, tuple(info.d))
