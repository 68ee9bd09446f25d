"""Runs camera, node and listener, and asks them for the figures of one phase after another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import subprocess
import time
from typing import Any

from demt_perception.child import python_command
from demt_perception.ros.bench.search import find_peak
from demt_perception.ros.frame_statistics import WINDOW
from demt_perception.ros.processes import (
    Lines,
    parameters,
    Process,
    ProcessError,
    quiet_environment,
)

FIRST_TIMEOUT = 120.0
"""Seconds; loading a large network takes that on a small board."""

MOST_LOST = 0.01
SETTLING = 0.5
"""Seconds at the beginning of a phase that are not counted."""

TRAIL = 1.3
"""Seconds after a phase until the last frames and the node's report of them are there."""

WARM_UP = 2.0
CALM = 0.75
"""Share of the peak rate at which the stages are measured after a search."""

LONG_ENOUGH = WINDOW + 2
"""Seconds of a measured phase: the node's percentiles look back ``WINDOW``, and would else be
those of the warm-up at another rate."""


@dataclass(frozen=True)
class Setup:
    """What to run; see the node's parameters.

    Attributes:
        model: folder.
        engine, precision, threads: 0 threads: the node's choice.
        input_size: (height, width) of the network's input; None: the card's.
        image_size: (height, width) of the camera's images.
        source: see ``load_pictures``.
        cache: folder of built engines.
        output_scale: size of the outputs over that of the images.
    """

    model: str
    engine: str
    precision: str
    threads: int
    input_size: tuple[int, int] | None
    image_size: tuple[int, int]
    source: str
    cache: Path
    output_scale: float = 1.0


class Bench:
    """Three processes that are ready to be measured; a context manager ends them."""

    def __init__(self, setup: Setup, folder: Path, show: Callable[[str], None]) -> None:
        """Start them and wait for the first output.

        Args:
            setup: what to run.
            folder: for logs.
            show: is told what is done.

        Raises:
            ProcessError: one ended early, or nothing came out; the text holds the log's end.
        """
        environ = quiet_environment(folder) | {'DEMT_CACHE': str(setup.cache)}
        self._processes: list[Process] = []
        self._show = show

        def start(name: str, module: str, *arguments: str, pipe: bool = True) -> Process:
            both = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE} if pipe else {}
            self._processes.append(Process(
                name, python_command('-m', f'demt_perception.ros.{module}', *arguments),
                environ, folder / f'{name}.log', **both))
            return self._processes[-1]

        try:
            height, width = setup.image_size
            show('starting camera and listener')
            self._camera = start('camera', 'bench.camera', '--height', str(height),
                                 '--width', str(width), '--source', setup.source)
            self._listener = start('listener', 'bench.listener', '--model', setup.model)
            self._lines = {one: Lines(one) for one in self._processes}
            self._await(self._camera, 'ready', 60)
            self._await(self._listener, 'ready', 60)
            self._camera.command(rate=10, count=1_000_000)
            show('starting the node')
            self._node = start('node', 'perception_node', *parameters(
                model=setup.model, engine=setup.engine, threads=setup.threads,
                precision='' if setup.precision == 'auto' else setup.precision,
                input_size=list(setup.input_size or ()), output_scale=setup.output_scale),
                pipe=False)
            first = self._await(self._listener, 'first', FIRST_TIMEOUT)
            self.first_frame_s = first['time'] - self._node.started
            time.sleep(WARM_UP)
            self._counts: dict[str, int] = {}
            self.phase(10, 1)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> 'Bench':
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the processes."""
        self.close()

    def close(self) -> None:
        """End the processes."""
        for process in reversed(self._processes):
            process.stop()

    def phase(self, rate: float, seconds: float) -> dict[str, Any]:
        """Let the camera send at a rate in Hz; return what came of it.

        Raises:
            ProcessError: a process ended.
        """
        settling = round(SETTLING * rate)
        cpu, began = self._cpu(), time.monotonic()
        self._camera.command(rate=rate, count=settling + max(1, round(seconds * rate)))
        stamps = self._await(self._camera, 'sent', 4 * (SETTLING + seconds) + 30)['stamps']
        passed = time.monotonic() - began
        used = {name: (seconds - cpu[name]) / passed for name, seconds in self._cpu().items()}
        time.sleep(TRAIL)
        counted = stamps[settling:]
        self._listener.command(stamps=counted, settling=stamps[:settling])
        found = self._await(self._listener, 'figures', 30)
        memory, peak = self._node.memory_mb()
        span = (counted[-1] - counted[0]) / 1e9
        return found | {
            'rate': rate, 'seconds': seconds, 'sent': len(counted), 'cpu': used,
            'sent_rate': (len(counted) - 1) / span if span else rate,
            'lost': 1 - len(found['complete']) / len(counted),
            'lost_where': self._where(len(stamps), found), 'memory_mb': memory,
            'peak_memory_mb': peak, 'torch_loaded': self._node.has_mapped('libtorch')}

    def search(self, start: float, seconds: float) -> tuple[float, list[dict[str, Any]]]:
        """Return the greatest rate with less than 1 % lost, 0 where there is none; and the trials.

        A rate at which a little more is lost is tried once more: on a machine that others use,
        one hiccup is not the node's.
        """
        trials: list[dict[str, Any]] = []

        def is_good(rate: float) -> bool:
            for _ in range(2):
                self._show(f'trying {rate:.1f} Hz')
                trials.append(self.phase(rate, seconds))
                lost = trials[-1]['lost']
                if trials[-1]['sent_rate'] < 0.97 * rate:
                    return False  # the camera cannot
                if lost < MOST_LOST or lost > 10 * MOST_LOST:
                    break
            return bool(lost < MOST_LOST)

        return find_peak(is_good, start), trials

    def _where(self, sent: int, found: dict[str, Any]) -> dict[str, int]:
        """Return how many frames of a phase, its beginning included, were lost where."""
        counts, before = found['counts'], self._counts
        if counts is None:
            return {}
        self._counts = counts
        new = {name: count - before.get(name, 0) for name, count in counts.items()}
        received, processed = new.pop('received'), new.pop('processed')
        behind = max(0, processed - len(found['complete']) - found['settled'])
        return {'before the node': max(0, sent - received), **new, 'behind the node': behind}

    def _cpu(self) -> dict[str, float]:
        return {process.name: process.cpu_seconds() for process in self._processes}

    def _await(self, process: Process, event: str, timeout: float) -> dict[str, Any]:
        """Return the next report of that kind."""
        limit = time.monotonic() + timeout
        while time.monotonic() < limit:
            for report in self._lines[process].read(0.1):
                if report['event'] == event:
                    return report
            for one in self._processes:
                one.check()
        logs = '\n'.join(one.log_tail() for one in self._processes)
        raise ProcessError(f'no {event!r} of the {process.name} within {timeout:g} s\n{logs}')


def run_bench(setup: Setup, rate: float | None, seconds: float, folder: Path,
              show: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of one phase at a rate; None: of one below the peak, and that.

    Raises:
        ProcessError: see ``Bench``.
    """
    with Bench(setup, folder, show) as bench:
        peak: float | None = None
        trials: list[dict[str, Any]] = []
        if rate is None:
            first = bench.phase(10, 3)
            total = first['stages'].get('total', {'p50_ms': 50.0})['p50_ms']
            peak, trials = bench.search(1000 / max(total, 1.0), max(5.0, seconds))
            rate = max(peak, 1.0) * CALM
        seconds = max(LONG_ENOUGH, seconds)
        show(f'measuring {seconds:g} s at {rate:.1f} Hz')
        return bench.phase(rate, seconds) | {
            'peak_hz': peak, 'first_frame_s': bench.first_frame_s,
            'trials': [{key: one[key] for key in ('rate', 'sent_rate', 'lost')}
                       for one in trials]}
