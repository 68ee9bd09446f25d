"""Pictures from anywhere, with what is known of their camera."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TYPE_CHECKING

from demt_perception.cli.sampling import thinned

if TYPE_CHECKING:
    import numpy as np

    from demt_perception.inference.point_cloud import Camera


class Shot(NamedTuple):
    """A picture with what is known of its camera: (fx, fy), and all of it, or None."""

    bgr: 'np.ndarray'
    focal: tuple[float, float] | None
    camera: 'Camera | None'


def find_shots(source: str, count: int, fx: float | None, rectified: str = 'auto',
               ) -> Iterator[Shot]:
    """Yield up to ``count`` pictures, spread over a recording, the next ones of a camera.

    Args:
        source: a picture, whatever ``open_source`` takes, or an image topic of running nodes.
        count: the most; of a recording at least half as many, where there are that many.
        fx: focal length in pixels; None: that of camera_info, where there is one.
        rectified: see ``is_rectified``; where there is a camera_info.

    Raises:
        SourceError, BadImageError, BadCameraInfoError: it cannot be read, or is not valid.
    """
    from demt_perception.cli.predict import read_image
    from demt_perception.ros.sources import IMAGE_SUFFIXES, open_source

    path = Path(source).expanduser()
    given = None if fx is None else (fx, fx)
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        yield Shot(read_image(path), given, None)
        return
    if source.startswith('/') and not path.exists():
        from demt_perception.ros.topic_frames import topic_frames
        frames, live = topic_frames(source), True
    else:
        opened = open_source(source)
        frames, live = opened.frames(), opened.live
    kept = list(islice(frames, count)) if live else thinned(frames, count)
    for frame in kept:
        yield _shot(frame, given, rectified)


def _shot(frame: Any, given: tuple[float, float] | None, rectified: str) -> Shot:
    from demt_perception.ros.pixels import pixels_of

    bgr, info = pixels_of(frame.image), frame.camera_info
    if info is None:
        return Shot(bgr, given, None)
    from demt_perception.ros.camera_model import (
        BadCameraInfoError,
        check_camera_info,
        focal_lengths,
        scaled_camera_info,
    )
    from demt_perception.ros.rectification import (
        camera_of,
        describe_image,
        is_rectified,
        unknown_lens,
    )
    info = describe_image(info, is_rectified(frame.topic, rectified))   # as the node takes it
    check_camera_info(info, bgr.shape[1], bgr.shape[0])
    fitting = scaled_camera_info(info, bgr.shape[1], bgr.shape[0])
    camera = camera_of(fitting)
    if camera is None:
        raise BadCameraInfoError(f'{unknown_lens(fitting)}; or take image_rect of '
                                 'image_proc, or --rectified true where the image is')
    if given is not None:
        camera = replace(camera, fx=given[0], fy=given[1])
    return Shot(bgr, given or focal_lengths(info), camera)
