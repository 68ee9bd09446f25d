"""The process environment in which Fast DDS carries large images.

With its defaults (a shared-memory segment of 512 KiB) Fast DDS loses large best-effort images
without a word. A profile with a larger segment cures it. It must be in the environment of the
*sending* process before that makes its first node, and of no other. Our nodes put it there
themselves. A launch file gives it to its own processes by ``additional_env``, as
``SetEnvironmentVariable`` would give it to all of a robot that includes the file, and with it
glibc's settings, which count only where they are there as a process starts. They keep every image
from being a fresh mmap: together they halve the latency of a 720p image. One arena for all
threads: see ``inference/memory.py``. No caches of threads: each of some twenty keeps up to 448
small pieces, after a model is freed mostly pieces of that, each of which holds a page. That was
most of what the memory of a node grew by whose model was exchanged for hours.

On Humble ROS_LOCALHOST_ONLY=1 is kept by transports that rmw_fastrtps adds to those of a profile,
which would go on listening on every interface: so there it is another profile. From Iron on such
settings limit whom a node looks for, not where it listens, with a profile or without.
"""

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from demt_perception.share import share_file

PROFILE = 'config/fastdds.xml'
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
# What a user may have set on purpose: then we add nothing.
OWN = (*PROFILE_VARIABLES, 'FASTDDS_BUILTIN_TRANSPORTS')

MALLOC = {
    'MALLOC_MMAP_THRESHOLD_': str(1 << 30),
    'MALLOC_TRIM_THRESHOLD_': str(1 << 30),
    'MALLOC_TOP_PAD_': str(64 << 20),
    'MALLOC_ARENA_MAX': '1',
    'GLIBC_TUNABLES': 'glibc.malloc.tcache_count=0',
}


def transport_environment(profile: str | Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to a node's environment.

    Args:
        profile: the package's ``config/fastdds.xml``.
        environ: the present environment; what it sets itself is left alone.
    """
    wanted = MALLOC | _transport(profile, environ)
    return {name: value for name, value in wanted.items() if name not in environ}


def choose_transport(environ: MutableMapping[str, str]) -> None:
    """Name our profile in the environment of this process, before its first node is made.

    For ``ros2 run``, which has nobody else to do it. What a user has set is left alone.

    Raises:
        FileNotFoundError: the installation has no profile.
    """
    for name, value in _transport(share_file(PROFILE), environ).items():
        environ.setdefault(name, value)


def profile_for(profile: str | Path, environ: Mapping[str, str]) -> Path:
    """Return the profile that keeps what ROS_LOCALHOST_ONLY promises: this one, or its sibling."""
    path = Path(profile)
    return path.with_name('fastdds_localhost.xml') if localhost_only(environ) else path


def localhost_only(environ: Mapping[str, str]) -> bool:
    """Tell whether nodes must not listen beyond this machine, which only Humble can be told."""
    return environ.get('ROS_DISTRO') == 'humble' and environ.get('ROS_LOCALHOST_ONLY') == '1'


def profile_variable(environ: Mapping[str, str]) -> str:
    """Return the variable that names the profile: Fast DDS 3 (Kilted) renamed it, and warns."""
    old = environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    return 'FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'


def _transport(profile: str | Path, environ: Mapping[str, str]) -> dict[str, str]:
    if any(environ.get(name) for name in OWN):
        return {}
    return {profile_variable(environ): str(profile_for(profile, environ))}
