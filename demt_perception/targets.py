"""Which kind of machine this is: it chooses the parameter file ``config/<target>.yaml``."""

from pathlib import Path

TARGETS = ('cpu', 'desktop', 'jetson')


def detect_target(root: Path = Path('/')) -> str:
    """Return one of TARGETS by what the kernel shows below a root folder.

    A Jetson names itself in the device tree; a desktop GPU shows as a loaded NVIDIA driver.
    """
    if (root / 'etc/nv_tegra_release').exists():
        return 'jetson'
    try:
        model = (root / 'proc/device-tree/model').read_bytes()
    except OSError:
        model = b''
    if b'jetson' in model.lower():
        return 'jetson'
    if (root / 'proc/driver/nvidia/version').exists():
        return 'desktop'
    return 'cpu'
