"""Every plot of an evaluation."""

from collections.abc import Callable
from pathlib import Path

from demt_perception.tasks import TASKS
from demt_perception.training.evaluation.accumulate import Tally
from demt_perception.training.evaluation.histogram import BIN_WIDTH
from demt_perception.training.evaluation.job import Opened
from demt_perception.training.evaluation.report import class_ious
from demt_perception.training.plots.class_iou import plot_class_iou
from demt_perception.training.plots.confusion import plot_confusion
from demt_perception.training.plots.errors import plot_depth_errors, plot_normal_errors
from demt_perception.training.plots.precision_recall import plot_precision_recall
from demt_perception.training.plots.sureness import plot_reliability, plot_sparsification
from demt_perception.training.plots.worst import plot_worst

ANGLE_BIN = 180   # degrees, by the number of bins of the metric


def plot_evaluation(folder: Path, opened: Opened, tally: Tally) -> list[Path]:
    """Write the plots that suit the tasks; return the files.

    Args:
        folder: made where it does not exist.
        opened: model and dataset.
        tally: what was measured on them.

    Raises:
        ImportError: matplotlib is not installed.
    """
    written: list[Path] = []

    def write(name: str, plot: Callable[..., None], *content: object) -> None:
        path = folder / f'{name}.png'
        plot(path, *content)
        if path.exists():
            written.append(path)

    ious = class_ious(tally, opened.listing.classes)
    for task, metric in tally.metrics.items():
        if task in ious:
            write(f'confusion_{task}', plot_confusion, metric.sums['counts'], list(ious[task]))
            write(f'iou_{task}', plot_class_iou, ious[task], metric.main)
        elif TASKS[task].kind == 'scalar':
            write(f'errors_{task}', plot_depth_errors, metric.sums['histogram'], BIN_WIDTH)
        elif TASKS[task].kind == 'vector':
            histogram = metric.sums['histogram']
            write(f'errors_{task}', plot_normal_errors, histogram,
                  ANGLE_BIN / (len(histogram) - 1))
        write(f'worst_{task}', plot_worst, opened, tally, task)
    for task, metric in tally.sureness.items():
        if TASKS[task].kind == 'classes':
            write(f'reliability_{task}', plot_reliability, metric)
        else:
            write(f'sparsification_{task}', plot_sparsification, metric)
    curves = {task: metric for task, metric in tally.metrics.items()
              if TASKS[task].kind == 'probability'}
    if curves:
        write('precision_recall', plot_precision_recall, curves)
    return written
