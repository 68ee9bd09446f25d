"""A short drive through one generated street as a video, for demonstrations."""

from pathlib import Path

import cv2
import numpy as np

from demt_perception.synthetic import camera as cameras
from demt_perception.synthetic import post
from demt_perception.synthetic.stage import Stage
from demt_perception.synthetic.street import Street
from demt_perception.synthetic.traffic import CAR, PACE, Traffic


def render_clip(seed: int, seconds: float, fps: float, size: tuple[int, int], out: str | Path,
                samples: int = 4) -> int:
    """Drive along one street at the traffic's pace and write a video.

    Args:
        seed: of the street.
        seconds: length, at most 20: the street ends.
        fps: pictures a second.
        size: width, height in pixels.
        out: video file; its suffix chooses the container.
        samples: light paths per pixel before denoising.

    Returns:
        How many pictures were written.

    Raises:
        ValueError: too long, or nothing to render.
        ImportError: Blender is missing.
        OSError: this OpenCV cannot write the file.
    """
    frames = round(seconds * fps)
    if not 0 < seconds <= 20 or frames < 1:
        raise ValueError(f'{seconds} s at {fps} pictures a second: want 0 < seconds <= 20')
    rng = np.random.default_rng(seed)
    stage = Stage(rng, size, samples)
    stage.sky(np.random.default_rng([seed, 12345]))
    street = Street(stage, rng)
    traffic = Traffic(street)
    own = street.road.drive
    shot = {'s': 30., 't': street.lane(own, 0), 'direction': 1, 'height': 1.45, 'pitch': -1.,
            'roll': 0., 'yaw': 0., 'focal': 0.85 * size[0]}
    traffic.distribute(np.random.default_rng([seed, 1]), shot['s'], 1, shot['t'])
    video = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*'mp4v'), fps, size)
    if not video.isOpened():
        raise OSError(f'OpenCV cannot write {out}: want a folder that exists and a .mp4 name')
    for frame in range(frames):
        now = frame / fps
        traffic.go(now)
        stage.aim(cameras.matrix(street.road, {**shot, 's': shot['s'] + PACE[CAR] * now}),
                  shot['focal'])
        linear, exact = stage.view()
        picture, _ = post.develop(linear, exact['depth'], exact['rays'],
                                  np.random.default_rng([seed, 2]), stage.air)
        video.write(picture)
    video.release()
    return frames
