"""What ``demt doctor`` checks of ROS 2. Imports none of it: it may be absent or broken."""

from collections.abc import Iterator, Mapping, Sequence
import json
import os
from pathlib import Path
import sys

from demt_perception.cli.finding import (
    bad,
    Finding,
    good,
    Level,
    note,
    numpy_remedy,
    try_python,
)

ROS = Path('/opt/ros')
CONVERT = ('import numpy, cv_bridge; '
           'cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((2, 2, 3), "u1"), "bgr8")')


def installation() -> Iterator[Finding]:
    """Check that rclpy and the messages import, and say how to get there."""
    works, text = try_python(
        '-c', 'import rclpy; print(rclpy.get_rmw_implementation_identifier())')
    if not works:
        # Where ROS is installed, somebody wants it.
        yield (bad if ROS.is_dir() else note)(
            f'rclpy: {text}; `demt predict` works without it, the nodes do not',
            numpy_remedy(text) or no_ros_remedy(os.environ, sys.prefix != sys.base_prefix))
        return
    distribution = os.environ.get('ROS_DISTRO', 'from wheels')
    yield good(f'rclpy on {text}, ROS 2 {distribution}, domain '
               f'{os.environ.get("ROS_DOMAIN_ID", "0")}')
    for name, what, remedy in (
            ('demt_msgs', 'no DensePrediction, LabelTable, statistics and services',
             'in the repository `colcon build --base-paths . demt_msgs --packages-select '
             'demt_msgs` and source it, or `make setup`'),
            ('vision_msgs', 'no LabelInfo; the label table of demt_msgs says the same',
             f'sudo apt install ros-{os.environ.get("ROS_DISTRO", "$ROS_DISTRO")}-vision-msgs')):
        works, text = try_python('-c', f'import {name}.msg')
        yield good(name) if works else note(f'{name}: {text}: {what}', remedy)
    works, text = try_python('-c', CONVERT)
    yield good('cv_bridge') if works else note(
        f'cv_bridge: {text}; only needed for unusual image encodings', numpy_remedy(text))


def no_ros_remedy(environ: Mapping[str, str], in_venv: bool) -> str:
    """Return what to do where rclpy does not import."""
    distributions = sorted(p.name for p in ROS.iterdir()) if ROS.is_dir() else []
    if not distributions:
        return 'install ROS 2, or use `make setup`, which installs it from wheels into .venv'
    if 'AMENT_PREFIX_PATH' not in environ:
        return f'source {ROS / distributions[-1]}/setup.bash'
    if in_venv:
        return ("this virtual environment cannot see ROS 2: make it with ROS's own Python, "
                '/usr/bin/python3 -m venv --system-site-packages .venv')
    return (f'ROS 2 {", ".join(distributions)} was built for another Python than '
            f'{sys.executable}: use /usr/bin/python3')


def running(topics: Sequence[str] = (), rectified: str = 'auto') -> Iterator[Finding]:
    """Look at the nodes that run now, and into image topics where some are given.

    Args:
        topics: of images.
        rectified: whether these are, see ``is_rectified``.
    """
    if not try_python('-c', 'import rclpy, sensor_msgs.msg')[0]:
        yield (bad if topics else note)('not looked at: no ROS 2', 'see above, or `demt doctor`')
        return
    works, text = try_python(
        '-m', 'demt_perception.ros.graph_check', '--rectified', rectified, *topics,
        timeout=60 + 10 * len(topics))
    if not works:
        yield bad(f'the running nodes cannot be looked at: {text}', 'mend ROS 2 first: see above')
        return
    for level, said, remedy in json.loads(text.splitlines()[-1]):
        yield Finding(Level[level], said, remedy)
