"""Joules, where the machine tells: Intel's and AMD's RAPL counters, Jetson's INA3221 sensors.

They count the whole processor or board, with whatever else runs on it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
import threading
import time

PERIOD = 0.02
"""Seconds between two readings of a sensor that tells watts only."""


class Rapl:
    """Energy counters of the processor packages: Linux's powercap."""

    def __init__(self, zones: list[Path]) -> None:
        """Count from now on."""
        self.name = 'RAPL, ' + ' + '.join((zone / 'name').read_text().strip() for zone in zones)
        self._zones = zones
        self._limits = [int((zone / 'max_energy_range_uj').read_text()) for zone in zones]
        self._last = self._counters()
        self._joules = 0.0

    def read(self) -> float:
        """Return joules since the beginning. Call it at least once a minute: counters wrap."""
        now = self._counters()
        for before, after, limit in zip(self._last, now, self._limits, strict=True):
            self._joules += ((after - before) % (limit + 1)) / 1e6
        self._last = now
        return self._joules

    def close(self) -> None:
        """Nothing is held."""

    def _counters(self) -> list[int]:
        return [int((zone / 'energy_uj').read_text()) for zone in self._zones]


class Sensor:
    """Integrates watts that are read in a thread."""

    def __init__(self, name: str, watts: Callable[[], float]) -> None:
        """Count from now on."""
        self.name = name
        self._watts = watts
        self._joules = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self) -> float:
        """Return joules since the beginning."""
        return self._joules

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(PERIOD):
            now = time.monotonic()
            self._joules += self._watts() * (now - before)
            before = now


def open_meter(root: str | Path = '/') -> tuple[Rapl | Sensor | None, str]:
    """Return what tells joules, or None, and a line that says what or why not.

    Args:
        root: of the file system.
    """
    root = Path(root)
    zones = _zones(root)
    if zones:
        try:
            meter = Rapl(zones)
        except PermissionError as error:
            return None, f'RAPL counters are there, but {error.filename} is readable by root only'
        except (OSError, ValueError) as error:
            return None, f'RAPL counters are there, but {error}'
        return meter, meter.name
    for label in sorted(root.glob('sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label')):
        if label.read_text().strip() in ('VDD_IN', 'POM_5V_IN', 'VIN_SYS_5V0'):
            sensor = Sensor(f'INA3221, {label.read_text().strip()}', partial(_watts, label))
            return sensor, sensor.name
    return None, 'not told: neither RAPL counters nor an INA3221 sensor'


def _zones(root: Path) -> list[Path]:
    """Return the RAPL zones that together count everything once.

    A package counts its parts, and ``psys``, the whole board of a laptop, counts the packages.
    """
    names = {zone: (zone / 'name').read_text().strip()
             for zone in sorted(root.glob('sys/class/powercap/*-rapl:*'))
             if zone.name.count(':') == 1 and (zone / 'name').is_file()}
    return [zone for zone, name in names.items() if name.startswith('package')] or [
        zone for zone, name in names.items() if name == 'psys']


def _watts(label: Path) -> float:
    """Return what a channel of the sensor measures, of the file that holds its name."""
    channel = label.name.removeprefix('in').removesuffix('_label')
    millivolts = int(label.with_name(f'in{channel}_input').read_text())
    milliamperes = int(label.with_name(f'curr{channel}_input').read_text())
    return millivolts * milliamperes / 1e6
