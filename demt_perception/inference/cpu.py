"""What the processor is and how much of it this process may use."""

import ctypes
import os
from pathlib import Path
import platform

MOST_THREADS = 8

# What Linux and NVIDIA's driver tell.
CPUINFO, QUOTA = Path('/proc/cpuinfo'), Path('/sys/fs/cgroup/cpu.max')
NVIDIA = Path('/proc/driver/nvidia')


def cpu_name() -> str:
    """Return the processor's own name, or its architecture where the system does not tell."""
    return _cpuinfo('model name') or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the instruction set flags as Linux names them, e.g. ``avx512_bf16``."""
    return frozenset((_cpuinfo('flags') or _cpuinfo('Features')).split())


def gpu_name() -> str:
    """Return the first NVIDIA GPU's own name and its driver's version; '' where there is none."""
    try:
        driver = (NVIDIA / 'version').read_text(encoding='utf-8').split('\n')[0]
        for path in sorted(NVIDIA.glob('gpus/*/information')):
            model = path.read_text(encoding='utf-8').split('\n')[0].partition(':')[2].strip()
            return f'{model}, {" ".join(driver.partition(":")[2].split())}'
    except OSError:
        pass
    return ''


def has_gpu() -> bool:
    """Tell whether NVIDIA's driver is there and has a GPU; on a Jetson, too."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and (
        count.value > 0)


def usable_cores() -> int:
    """Return the cores this process may use: its affinity and, in a container, its CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else (
        os.cpu_count() or 1)
    try:
        quota, period = QUOTA.read_text(encoding='ascii').split()
        return min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores  # no cgroup v2, or no quota ('max')


def default_threads() -> int:
    """Return the threads to calculate with: both of two cores, else one is left to others.

    A small network gains nothing from more than ``MOST_THREADS``.
    """
    cores = usable_cores()
    return min(cores if cores <= 2 else cores - 1, MOST_THREADS)


def _cpuinfo(key: str) -> str:
    try:
        text = CPUINFO.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return ''
    lines = (line.partition(':') for line in text.splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), '')
