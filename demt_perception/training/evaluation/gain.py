"""Delta_m of a model against files of figures of single-task models."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from demt_perception.outside import read_json
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.metrics import delta_m


def gain(main: Mapping[str, float], files: Iterable[str | Path]) -> float:
    """Return Delta_m over the tasks that were measured.

    Args:
        main: {task: main figure} of the multi-task model.
        files: JSON of `demt eval` of each single-task model, or of ``{task: figure}``.

    Raises:
        EvaluationError: a file is not such JSON, or a task has no figure.
        OSError: a file cannot be read.
    """
    single: dict[str, float] = {}
    for path in files:
        try:
            content = read_json(path)
            trained = 'main' in content and 'step' in content
            single.update({task: float(value)
                           for task, value in content.get('main', content).items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise EvaluationError(f'{path} ({error}): want JSON of `demt eval --json`, or '
                                  '{"semseg": 0.45, "depth": 0.6, ...}') from error
        if trained:   # see training/validation.py: depth is the canonical camera's
            raise EvaluationError(f'{path} was measured while training, in other units and sizes: '
                                  'want JSON of `demt eval --json` of the exported model')
    try:
        return delta_m(main, {task: single[task] for task in main if task in single})
    except ValueError as error:
        raise EvaluationError(str(error)) from error
