"""Finished runs beside each other: mean and spread over seeds, Delta_m over single-task runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from statistics import mean, stdev

from demt_perception.tasks import TASKS
from demt_perception.training.config import CONFIG, ConfigError, load_config
from demt_perception.training.logbook import read_log
from demt_perception.training.metrics import delta_m
from demt_perception.training.persistence import FREE

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """The runs of one configuration, which differ in their seeds alone.

    Attributes:
        name: of the run folders, without the seed.
        seeds: of the runs.
        figures: {task: main figure of each run}.
        gains: Delta_m of each run; empty for single-task runs and without such.
        seconds: mean time of a step.
    """

    name: str
    seeds: tuple[int, ...]
    figures: dict[str, tuple[float, ...]]
    gains: tuple[float, ...]
    seconds: float


def compare(folders: Iterable[str | Path]) -> list[Row]:
    """Return a row for each configuration among run folders, the last measurement of each run.

    Delta_m is over the mean figures of the runs that have one task only.

    Raises:
        ConfigError: a folder holds no run, or one that was never measured.
    """
    groups: dict[str, list[tuple[Path, int, Figures, float]]] = {}
    for folder in map(Path, folders):
        if not (folder / CONFIG).is_file():
            raise ConfigError(f'{folder} holds no run: want folders that `demt train` wrote')
        config = load_config(folder / CONFIG)
        lines = read_log(folder)
        measured = [line['main'] for line in lines if line['kind'] == 'validation']
        if not measured:
            raise ConfigError(f'{folder} was never measured: train with validation data')
        # What was trained decides what belongs together, not how the folder is called. The weights
        # that a run began with are free to change only because it never reads them again.
        same = {name: value for name, value in asdict(config).items()
                if name == 'start_from' or name not in (*FREE, 'seed')}
        pace = [line['seconds_per_step'] for line in lines if line['kind'] == 'train']
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(
            (folder, config.seed, measured[-1], mean(pace[1:] or pace)))
    single = {task: mean(run[2][task] for run in runs) for runs in groups.values()
              for task in runs[0][2] if len(runs[0][2]) == 1}
    return [_row(runs, single) for runs in groups.values()]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, mean ± standard deviation."""
    tasks = [task for task in TASKS if any(task in row.figures for row in rows)]
    lines = ['| runs | seeds | ' + ' | '.join(
        f'{task} {"up" if TASKS[task].higher_is_better else "down"}' for task in tasks)
        + ' | Delta_m, % | s / step |', '|---' * (len(tasks) + 4) + '|']
    for row in rows:
        cells = [_spread(row.figures.get(task, ()), 1) for task in tasks]
        lines.append(f'| {row.name} | {len(row.seeds)} | ' + ' | '.join(cells)
                     + f' | {_spread(row.gains, 100)} | {row.seconds:.2f} |')
    return '\n'.join(lines)


def _row(runs: Sequence[tuple[Path, int, Figures, float]], single: Figures) -> Row:
    tasks = runs[0][2]
    comparable = len(tasks) > 1 and set(tasks) <= set(single)
    gains = tuple(delta_m(figures, {task: single[task] for task in tasks})
                  for _, _, figures, _ in runs) if comparable else ()
    return Row(_common([run[0].name for run in runs]), tuple(run[1] for run in runs),
               {task: tuple(run[2][task] for run in runs) for task in tasks}, gains,
               mean(run[3] for run in runs))


def _common(names: Sequence[str]) -> str:
    """Return what the names begin with, without a separator at the end."""
    count = next((i for i, letters in enumerate(zip(*names, strict=False))
                  if len(set(letters)) > 1), len(min(names, key=len)))
    return (names[0][:count] if len(names) > 1 else names[0]).rstrip('_-. ') or names[0]


def _spread(values: Sequence[float], scale: float) -> str:
    if not values:
        return ''
    digits = 2 if scale * max(map(abs, values)) >= 1 else 4
    text = f'{scale * mean(values):{"+" if scale != 1 else ""}.{digits}f}'
    return text + (f' ± {scale * stdev(values):.{digits}f}' if len(values) > 1 else '')
