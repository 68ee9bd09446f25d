"""What ``demt doctor`` checks of the way that large images take. Imports nothing of ROS 2."""

from collections.abc import Callable, Iterator, Mapping
import os
from pathlib import Path
import shutil

from demt_perception.cli.finding import bad, Finding, good, note, try_python
from demt_perception.ros.transport import (
    localhost_only,
    MALLOC,
    OWN,
    PROFILE,
    profile_for,
    profile_variable,
    PROFILE_VARIABLES,
    transport_environment,
)
from demt_perception.share import share_file

ENOUGH = 0.9
MIB = 1 << 20
# Four processes with the 64 MiB of config/fastdds.xml each.
SHARED_MEMORY = 256 * MIB
# One 1080p image of 6 MB waits there until it is read.
RECEIVE_BUFFER = 8 * MIB


def transport() -> Iterator[Finding]:
    """Check the settings, then send large images between two processes."""
    yield from transport_settings(os.environ)
    yield from limits()
    if not try_python('-c', 'import rclpy, sensor_msgs.msg')[0]:
        yield note('not tried: no ROS 2')
        return
    own = any(os.environ.get(name) for name in OWN)
    yield _try_transport(
        'as set in this shell', os.environ, bad if own else note,
        'start the nodes by the launch files or `make demo`, which set the transport, or export '
        f"{profile_variable(os.environ)}, for every node, as the package's "
        f'{profile_for(PROFILE, os.environ)}')
    if not own:
        try:
            profile = profile_for(share_file(PROFILE), os.environ)
        except FileNotFoundError as error:
            yield bad(f"the package's {PROFILE} is not there", str(error))
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
    ours = f"the package's {profile_for(PROFILE, environ)}"
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
                  f'{profile_variable(environ)} to {ours} instead')
    for name, value in profiles.items():
        if not Path(value).is_file():
            yield bad(f'{name}={value}: no such file, Fast DDS uses its defaults',
                      'correct the path, or unset it')
        elif localhost_only(environ) and _listens_everywhere(Path(value)):
            yield bad(f'ROS_LOCALHOST_ONLY=1, and {name}={value} has UDP on every interface: '
                      'other machines reach the nodes', f'export {name} as {ours}')
    if not builtin and not profiles:
        yield note('no transport set: Fast DDS loses large best-effort images without a word',
                   'use the launch files or `make demo`, or export '
                   f'{profile_variable(environ)} as {ours}')
    first = next(iter(MALLOC))
    if first not in environ:
        yield note(f'{first} is not set: every image is fresh memory, which costs milliseconds',
                   'export ' + ' '.join(f'{name}={value}' for name, value in MALLOC.items()))


def _listens_everywhere(profile: Path) -> bool:
    text = profile.read_text(encoding='utf-8', errors='replace')
    return '>UDPv4<' in text and 'interfaceWhiteList' not in text


def limits(shared: Path = Path('/dev/shm'), kernel: Path = Path('/proc/sys/net')
           ) -> Iterator[Finding]:
    """Look at the room that the system gives to images on their way."""
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        if free < SHARED_MEMORY:
            yield bad(f'{shared} has {free / MIB:.0f} MiB free, want {SHARED_MEMORY // MIB}: '
                      'images between processes are lost',
                      'in Docker: --shm-size=1g or --ipc=host; else remove what fills it: '
                      f'`ls -lS {shared}`, fastrtps_* and fastdds_* of processes that crashed')
    file = kernel / 'core' / 'rmem_max'
    if file.is_file() and int(file.read_text()) < RECEIVE_BUFFER:
        yield note(f'net.core.rmem_max is {int(file.read_text())} bytes: large images from other '
                   'machines are lost; on one machine they take shared memory',
                   'sudo sysctl -w net.core.rmem_max=67108864 (docs/dds.md tells how to keep it)')
