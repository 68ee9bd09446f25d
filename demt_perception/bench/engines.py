"""Measures combinations in turn, each in a process of its own."""

from collections.abc import Mapping, Sequence
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
import time
from typing import Any

import numpy as np

from demt_perception.bench import EAGER
from demt_perception.bench.energy import Rapl, Sensor
from demt_perception.bench.figures import spread
from demt_perception.bench.results import BenchError, Combination, Measurement, Start
from demt_perception.bench.worker import Job
from demt_perception.bench.workers import Worker
from demt_perception.inference import parity
from demt_perception.model_card import load_card
from demt_perception.progress import Progress

ROUNDS = 10
"""Turns into which the seconds of a combination are cut."""

FEWEST_ROUNDS = 3
"""Also where one moment takes longer than its turn."""


@dataclass
class _Entrant:
    """A combination in the race."""

    job: Job
    worker: Worker
    cold: Start
    rounds: list[dict[str, list[float]]] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)
    outputs: list[dict[str, np.ndarray]] = field(default_factory=list)


def measure(
    jobs: Sequence[Job], seconds: float, meter: Rapl | Sensor | None, folder: Path,
    progress: Progress,
) -> tuple[list[Measurement], dict[str, str]]:
    """Return the figures, and why combinations failed, by name.

    Each is started twice, with an empty engine cache and with what that start left in it; then
    all run in turn, so that other load of the machine meets all alike.

    Args:
        jobs: what to measure.
        seconds: of measurement for each; at least ``FEWEST_ROUNDS`` turns.
        meter: counts joules.
        folder: for engine caches and logs.
        progress: is told how far it is.
    """
    failures: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        entrants = _start(jobs, seconds, folder, progress, failures, running)
        _race(entrants, seconds, meter, progress, failures)
        _take_outputs(_left(entrants, failures), folder, failures)
        entrants = _left(entrants, failures)
        ends = _end(entrants, failures)
        entrants = _left(entrants, failures)
        found = [_figures(one, entrants[0], ends[str(one.job.combination)]) for one in entrants]
    progress.close()
    return found, failures


def _left(entrants: Sequence[_Entrant], failures: Mapping[str, str]) -> list[_Entrant]:
    return [one for one in entrants if str(one.job.combination) not in failures]


def _end(entrants: Sequence[_Entrant], failures: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return what each worker tells at its end, by combination."""
    ends = {}
    for one in entrants:
        name = str(one.job.combination)
        try:
            ends[name] = one.worker.ask(end=True)
        except BenchError as error:
            failures[name] = str(error)
    return ends


def _start(jobs: Sequence[Job], seconds: float, folder: Path, progress: Progress,
           failures: dict[str, str], running: contextlib.ExitStack) -> list[_Entrant]:
    entrants: list[_Entrant] = []
    began = time.monotonic()
    for index, job in enumerate(jobs):
        name = str(job.combination)
        each = (time.monotonic() - began) / index if index else None
        left = None if each is None else (each * (len(jobs) - index) + seconds * len(jobs))
        progress.show(f'starting {index + 1} of {len(jobs)}: {name}', left)
        cache, log = folder / f'cache_{index}', folder / f'worker_{index}.log'
        try:
            worker = Worker(job, cache, log)
            cold = worker.start
            if job.combination.engine != EAGER:  # which keeps nothing
                worker.close()
                worker = Worker(job, cache, log)
        except BenchError as error:
            failures[name] = str(error)
            continue
        running.callback(worker.close)
        entrants.append(_Entrant(job, worker, cold))
    return entrants


def _race(entrants: Sequence[_Entrant], seconds: float, meter: Rapl | Sensor | None,
          progress: Progress, failures: dict[str, str]) -> None:
    began = time.monotonic()
    limit = seconds * len(entrants)
    turns = 0
    while turns < FEWEST_ROUNDS or time.monotonic() - began < limit:
        for one in entrants:
            name = str(one.job.combination)
            if name in failures:
                continue
            passed = time.monotonic() - began
            needed = passed / turns * FEWEST_ROUNDS if turns else 0.0
            left = max(limit, needed) - passed
            progress.show(f'round {turns + 1}: {name}', left if left > 0 else None)
            before = meter.read() if meter else 0.0
            try:
                turn = one.worker.ask(run=seconds / ROUNDS, warm=turns > 0)
            except BenchError as error:
                failures[name] = str(error)
                continue
            if meter:
                one.joules.append((meter.read() - before) / turn['ran'])
            one.rounds.append(turn['times'])
        turns += 1


def _take_outputs(entrants: Sequence[_Entrant], folder: Path, failures: dict[str, str]) -> None:
    """Fetch the outputs of those that the first one can be compared with."""
    path = folder / 'outputs.npz'
    for one in entrants:
        if not _same_network(one, entrants[0]) or len(entrants) == 1:
            continue
        try:
            one.worker.ask(outputs=str(path))
        except BenchError as error:
            failures[str(one.job.combination)] = str(error)
            continue
        with np.load(path) as arrays:
            for key in arrays.files:
                index, _, name = key.partition(' ')
                while len(one.outputs) <= int(index):
                    one.outputs.append({})
                one.outputs[int(index)][name] = arrays[key]


def _same_network(one: _Entrant, other: _Entrant) -> bool:
    a, b = one.job.combination, other.job.combination
    return (a.model, a.size) == (b.model, b.size)


def _agreement(one: _Entrant, first: _Entrant) -> str:
    # The first may be another than the outputs were taken for: that one's process has ended.
    if one is first or not one.outputs or not first.outputs or not _same_network(one, first):
        return ''
    limits: Mapping[str, float] = load_card(one.job.folder).limits
    found = parity.compare(first.outputs, one.outputs, limits)
    outside = parity.trouble(found)
    return '; '.join(map(str, found)) + (f'; outside the limits: {outside}' if outside else '')


def _figures(one: _Entrant, first: _Entrant, ended: Mapping[str, Any]) -> Measurement:
    every = {stage: [ms for turn in one.rounds for ms in turn[stage]] for stage in one.rounds[0]}
    return Measurement(
        combination=one.job.combination, used=one.worker.used, moment=spread(every['moment']),
        engine=spread(every['engine']),
        moment_rounds=_medians(one.rounds, 'moment'),
        engine_rounds=_medians(one.rounds, 'engine'),
        stages={stage: float(np.median(times)) for stage, times in every.items()
                if stage != 'moment'},
        per_second=1000 / float(np.mean(every['moment'])),
        peak_mb=ended['peak_mb'], joules=float(np.median(one.joules)) if one.joules else None,
        cold=one.cold, warm=one.worker.start, torch_loaded=ended['torch_loaded'],
        agreement=_agreement(one, first))


def _medians(rounds: Sequence[Mapping[str, list[float]]], stage: str) -> tuple[float, ...]:
    return tuple(float(np.median(turn[stage])) for turn in rounds)


def combinations(
    models: Sequence[str], engines: Sequence[str], precisions: Sequence[str],
    sizes: Mapping[str, Sequence[tuple[int, int]]], cameras: Sequence[int], threads: int,
) -> list[Combination]:
    """Return every way of running: the first of each list comes first.

    Args:
        models: see ``Combination``, as for the rest.
        engines: eager torch calculates in f32 only.
        precisions: of the engines.
        sizes: by model.
        cameras: numbers of them.
        threads: for all.
    """
    return [Combination(model, engine, 'f32' if engine == EAGER else precision, size, count,
                        threads)
            for model in models for size in sizes[model] for count in cameras
            for engine in engines
            for precision in (precisions[:1] if engine == EAGER else precisions)]
