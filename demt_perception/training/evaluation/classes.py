"""Whether the ids of a model mean the same as those of a dataset."""

from collections.abc import Sequence

import numpy as np

from demt_perception.training.evaluation.errors import EvaluationError


def class_map(model: Sequence[str], dataset: Sequence[str]) -> np.ndarray:
    """Return uint8 (256,): the dataset's id for every id of the model.

    Raises:
        EvaluationError: one has a class that the other has not; names both lists.
    """
    if not dataset:
        raise EvaluationError('the dataset names no classes: list them in dataset.yaml, or leave '
                              'semseg out with --tasks')
    if sorted(model) != sorted(dataset):
        odd = [f'{who} has {sorted(set(a) - set(b))}' for who, a, b in (
            ('only the model', model, dataset), ('only the dataset', dataset, model))
            if set(a) - set(b)]
        raise EvaluationError(
            'the classes of model and dataset differ: ' + '; '.join(odd)
            + f'\n  model:   {", ".join(model)}\n  dataset: {", ".join(dataset)}\n'
            'Name them alike (card.yaml, dataset.yaml), or leave semseg out with --tasks')
    table = np.arange(256, dtype=np.uint8)
    table[:len(model)] = [dataset.index(name) for name in model]
    return table
