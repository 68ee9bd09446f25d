"""Delta_m of a model against files of figures of single-task models."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from demt_perception.outside import read_json
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.metrics import delta_m


def read_single(files: Iterable[str | Path], tasks: Collection[str]) -> dict[str, float]:
    """Return {task: main figure} of single-task models.

    Args:
        files: JSON of `demt eval` of each single-task model, or of ``{task: figure}``.
        tasks: that Delta_m is wanted over.

    Raises:
        EvaluationError: a file is not such JSON, or a task has no figure that gains can be
            relative to.
        OSError: a file cannot be read.
    """
    single: dict[str, float] = {}
    for path in files:
        try:
            content = read_json(path)
            trained = 'main' in content and 'step' in content
            single.update({task: _figure(task, value) for task, value in content.get(
                'main', content).items() if task in tasks})
        except EvaluationError as error:
            raise EvaluationError(f'{path}: {error}') from error
        except (AttributeError, TypeError, ValueError) as error:
            raise EvaluationError(f'{path} ({error}): want JSON of `demt eval --json`, or '
                                  '{"semseg": 0.45, "depth": 0.6, ...}') from error
        if trained:   # see training/validation.py: depth is the canonical camera's
            raise EvaluationError(f'{path} was measured while training, in other units and sizes: '
                                  'want JSON of `demt eval --json` of the exported model')
    single = {task: single[task] for task in tasks if task in single}
    gain(dict.fromkeys(tasks, 1.0), single)
    return single


def _figure(task: str, value: Any) -> float:
    if value is None:   # JSON's for NaN
        raise EvaluationError(f'{task} has no figure: nothing was labelled')
    return float(value)


def gain(main: Mapping[str, float], single: Mapping[str, float]) -> float:
    """Return Delta_m of a multi-task model over its tasks.

    Args:
        main: {task: main figure} of the model.
        single: the same of single-task models, see ``read_single``.

    Raises:
        EvaluationError: a task has no figure, or 0.
    """
    try:
        return delta_m(main, single)
    except ValueError as error:
        raise EvaluationError(str(error)) from error
