"""Measuring a run from time to time, and keeping its best weights."""

from collections.abc import Mapping
import json
from typing import Any

from demt_perception.outside import read_json
from demt_perception.training import loading, validation
from demt_perception.training.checkpoints import write_text
from demt_perception.training.config import ConfigError
from demt_perception.training.panels import panel
from demt_perception.training.persistence import BEST, write_weights

FIGURES = 'best.json'


def measure_run(run: Any) -> None:
    """Measure a ``trainer.Run`` on its validation data, and keep the best weights.

    The averaged weights where there are. Best is the greatest Delta_m against the single-task
    figures; without these, whatever is better on average than the best so far.
    """
    if not run.held_out:
        return
    if run.average is not None:
        run.average.swap(run.weights())
    run.module.eval()
    metrics = validation.create_metrics(run.config, run.tasks)
    fabric, drawn = run.fabric, 0
    share = -(-run.config.panels // len(run.held_out))
    mean, std = loading.normalisation(run.config)
    for number, items in enumerate(run.held_out, 1):
        loader = loading.validation_loader(items, run.config, fabric.global_rank,
                                           fabric.world_size)
        for batch, predictions in validation.measure(
                run.module, map(fabric.to_device, loader), metrics, run.objective,
                loading.share(items, fabric.global_rank, fabric.world_size)):
            if drawn < min(share * number, run.config.panels):
                run.book.picture(run.step, drawn, panel(batch, predictions, mean, std,
                                                        run.config.palette))
                drawn += 1
    figures, main = validation.figures_of(validation.merged(metrics))
    result = {'step': run.step, 'main': main, 'figures': figures}
    reference = run.reference or (run.best['main'] if run.best else {})
    better = validation.gain(main, reference)
    if run.reference:
        result['delta_m'] = better
    run.book.write(run.step, 'validation', result)
    run.book.say(f'{run.step:6d}  ' + '  '.join(
        f'{task} {value:.4f}' for task, value in main.items())
        + (f'  Delta_m {100 * better:+.2f} %' if run.reference else ''))
    # Its own gain anew: the single-task figures may have been given since it was measured.
    if run.best is None or better > (
            validation.gain(run.best['main'], run.reference) if run.reference else 0):
        run.best = result
        write_weights(run, BEST)
        if fabric.is_global_zero:
            write_text(run.out / FIGURES, json.dumps(result, indent=2) + '\n')
    if run.average is not None:
        run.average.swap(run.weights())


def read_figures(path: str, tasks: Mapping[str, int]) -> dict[str, float]:
    """Return the single-task figures that Delta_m is measured against, {} without a file."""
    if not path:
        return {}
    try:
        content = read_json(path)
        return {task: float(content[task]) for task in tasks}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'single_task {path}: want JSON {{task: figure}} for {list(tasks)}: '
                          f'{error!r}') from error
