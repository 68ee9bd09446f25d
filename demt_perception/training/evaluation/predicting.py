"""Predictions of the node's Predictor in the form that metrics take."""

from collections.abc import Callable, Sequence

import numpy as np

from demt_perception.inference import Predictions, Predictor
from demt_perception.inference.postprocess import normals
from demt_perception.tasks import get_tasks, Task
from demt_perception.training.datasets import Sample
from demt_perception.training.evaluation.accumulate import Predict


def _probability(prediction: np.ndarray) -> np.ndarray:
    return prediction.astype(np.float32) / 255


def _as_it_is(prediction: np.ndarray) -> np.ndarray:
    return prediction


# By the kind of a task: from an output of `Predictions` to what the metric adds.
CONVERT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'classes': _as_it_is, 'scalar': _as_it_is, 'probability': _probability}


def output_of(task: Task, predictions: Predictions) -> np.ndarray:
    """Return what a model predicts for a task, in the form of its metric."""
    if task.kind == 'vector':
        # As the network has them, not cut out where its depth ends: a model of normals alone cuts
        # nothing out, and both are to be measured alike.
        return normals(predictions.maps[task.topic], predictions.size)
    return CONVERT[task.kind](getattr(predictions, task.topic))


def predict_with(predictor: Predictor, tasks: Sequence[str],
                 classes: np.ndarray | None = None, more: Sequence[str] = ()) -> Predict:
    """Return a function from a sample to {task: prediction} at the size of its picture.

    Args:
        predictor: runs the model.
        tasks: names; those of the model that are wanted.
        classes: uint8 (256,), the dataset's id for every id of the model; None: the same.
        more: other outputs of `Predictions`, returned by their names as they are.
    """
    wanted = get_tasks(tasks)

    def predict(sample: Sample) -> dict[str, np.ndarray]:
        predictions = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1]),
                                        sample.focal)
        found = {task.name: output_of(task, predictions) for task in wanted}
        # Tasks whose classes are the model's own: those of the table are the same everywhere.
        for task in wanted:
            if classes is not None and task.kind == 'classes' and task.channels is None:
                found[task.name] = classes[found[task.name]]
        return found | {name: getattr(predictions, name) for name in more}
    return predict
