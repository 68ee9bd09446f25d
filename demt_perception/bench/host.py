"""What the machine is that figures come from."""

import importlib.metadata
import os
from pathlib import Path
import platform
import subprocess

from demt_perception import __version__
from demt_perception.inference.cpu import cpu_flags, cpu_name, gpu_name, usable_cores

PACKAGES = ('numpy', 'opencv-python-headless', 'opencv-python', 'onnxruntime', 'onnxruntime-gpu',
            'openvino', 'torch', 'tensorrt', 'ros-rclpy', 'ros-rmw-fastrtps-cpp')
FLAGS = ('avx2', 'avx512', 'amx', 'avx_vnni', 'asimd', 'sve', 'bf16', 'i8mm')
"""Beginnings of the processor flags that networks profit from."""


def describe_host() -> dict[str, str]:
    """Return facts by name; those that cannot be told are left out."""
    flags = sorted(flag for flag in cpu_flags() if flag.startswith(FLAGS))
    facts = {
        'processor': cpu_name(), 'cores': str(usable_cores()), 'flags': ' '.join(flags),
        'gpu': gpu_name(),
        'governor': _read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
        'board': _read('/proc/device-tree/model').rstrip('\0'), 'memory': _memory(),
        'system': platform.platform(), 'python': platform.python_version(),
        'ros': os.environ.get('ROS_DISTRO', ''), 'demt_perception': __version__,
        'commit': _commit(),
    }
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {name: value for name, value in facts.items() if value}


def load_average() -> float:
    """Return how many processes wanted a core, on average over the last minute; 0: not told."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding='utf-8', errors='replace').strip()
    except OSError:
        return ''


def _memory() -> str:
    try:
        return f'{os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30:.1f} GiB'
    except (OSError, ValueError):
        return ''


def _commit() -> str:
    """Return the commit of the checkout that this package lies in, and whether it is changed."""
    try:
        done = subprocess.run(
            ['git', 'describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'],
            cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''
