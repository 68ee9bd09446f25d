"""What ``demt doctor`` checks of ROS 2. Imports none of it: it may be absent or broken."""

from collections.abc import Callable, Iterator, Mapping
import os
from pathlib import Path
import sys

from demt_perception.cli.finding import bad, Finding, good, note, try_python
from demt_perception.ros.transport import profile_variable, transport_environment

ROS = Path('/opt/ros')
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
ENOUGH = 0.9
CONVERT = ('import numpy, cv_bridge; '
           'cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((2, 2, 3), "u1"), "bgr8")')


def installation() -> Iterator[Finding]:
    """Check that rclpy and the messages import, and say how to get there."""
    works, text = try_python(
        '-c', 'import rclpy; print(rclpy.get_rmw_implementation_identifier())')
    if not works:
        yield note(f'rclpy: {text}; `demt predict` works without it, the nodes do not',
                   no_ros_remedy(os.environ, sys.prefix != sys.base_prefix))
        return
    distribution = os.environ.get('ROS_DISTRO', 'from wheels')
    yield good(f'rclpy on {text}, ROS 2 {distribution}, domain '
               f'{os.environ.get("ROS_DOMAIN_ID", "0")}')
    for name, what, remedy in (
            ('demt_msgs', 'no DensePrediction, LabelTable, statistics and services',
             'colcon build --base-paths . demt_msgs and source it, or `make setup`'),
            ('vision_msgs', 'no LabelInfo; the label table of demt_msgs says the same',
             f'sudo apt install ros-{os.environ.get("ROS_DISTRO", "$ROS_DISTRO")}-vision-msgs')):
        works, text = try_python('-c', f'import {name}.msg')
        yield good(name) if works else note(f'{name}: {text}: {what}', remedy)
    works, text = try_python('-c', CONVERT)
    yield good('cv_bridge') if works else note(
        f'cv_bridge: {text}; only needed for unusual image encodings',
        "where the text is about NumPy, it was built for NumPy 1: pip install 'numpy<2'")


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


def transport() -> Iterator[Finding]:
    """Check the settings, then send large images between two processes."""
    yield from transport_settings(os.environ)
    if not try_python('-c', 'import rclpy, sensor_msgs.msg')[0]:
        yield note('not tried: no ROS 2')
        return
    own = any(os.environ.get(name) for name in ('FASTDDS_BUILTIN_TRANSPORTS', *PROFILE_VARIABLES))
    yield _try_transport(
        'as set in this shell', os.environ, bad if own else note,
        'start the nodes by the launch files or `make demo`, which set the transport, or export '
        f"{profile_variable(os.environ)}, for every node, as the package's config/fastdds.xml")
    if not own:
        from demt_perception.inference.models import share_folders

        profile = next((p for folder in share_folders('config')
                        if (p := folder / 'fastdds.xml').is_file()), None)
        if profile is None:
            yield bad("the package's config/fastdds.xml is not there", 'install it again')
            return
        ours = {**os.environ, **transport_environment(profile, os.environ)}
        yield _try_transport(f'with {profile}', ours, bad,
                             'free /dev/shm, which holds the images in transit (df /dev/shm), and '
                             'look for a firewall between processes (UDP on localhost)')


def _try_transport(
    what: str, environment: Mapping[str, str], otherwise: Callable[[str, str], Finding], cure: str,
) -> Finding:
    works, text = try_python(
        '-m', 'demt_perception.ros.transport_check', timeout=60, environment=environment)
    if not works:
        return otherwise(f'{what}: {text}', cure)
    received, sent = map(int, text.split()[-1].split('/'))
    text = f'{what}: {received} of {sent} images of 1280x720 arrived'
    return good(text) if received >= ENOUGH * sent else otherwise(text, cure)


def transport_settings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look for settings that lose images or hide nodes from each other."""
    discovery = environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    builtin = environ.get('FASTDDS_BUILTIN_TRANSPORTS', '')
    profiles = {name: environ[name] for name in PROFILE_VARIABLES if environ.get(name)}
    if environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp':
        yield note(f'RMW_IMPLEMENTATION={environ["RMW_IMPLEMENTATION"]}: the settings of Fast DDS '
                   'that this package ships do not apply')
    if discovery == 'OFF':
        yield bad('ROS_AUTOMATIC_DISCOVERY_RANGE=OFF: nodes do not find each other',
                  'unset ROS_AUTOMATIC_DISCOVERY_RANGE')
    local = discovery == 'LOCALHOST' or environ.get('ROS_LOCALHOST_ONLY') == '1'
    if local and builtin and not profiles:
        yield bad(f'FASTDDS_BUILTIN_TRANSPORTS={builtin} is ignored while discovery is limited '
                  'to this machine',
                  'unset ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_LOCALHOST_ONLY, or set '
                  "FASTDDS_DEFAULT_PROFILES_FILE to the package's config/fastdds.xml instead")
    for name, value in profiles.items():
        if not Path(value).is_file():
            yield bad(f'{name}={value}: no such file, Fast DDS uses its defaults',
                      'correct the path, or unset it')
    if not builtin and not profiles:
        yield note('no transport set: Fast DDS loses large best-effort images without a word',
                   'use the launch files or `make demo`, or export '
                   f"{profile_variable(environ)} as the package's config/fastdds.xml")
    if 'MALLOC_MMAP_THRESHOLD_' not in environ:
        yield note('MALLOC_MMAP_THRESHOLD_ is not set: every image is fresh memory, which costs '
                   'milliseconds', 'export MALLOC_MMAP_THRESHOLD_=1073741824 '
                   'MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864')
