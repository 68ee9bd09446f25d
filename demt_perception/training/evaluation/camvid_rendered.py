"""Evaluation of a model folder through the same Predictor that the node runs."""

from pathlib import Path

import numpy as np

from demt_perception.inference import Predictor
from demt_perception.tasks import TASKS
from demt_perception.training.datasets import CamVid, class_edges, iterate, Rendered
from demt_perception.training.evaluation.classes import class_map
from demt_perception.training.evaluation.predicting import output_of
from demt_perception.training.metrics import (
    BoundaryScore,
    ConfusionMatrix,
    DepthError,
    NormalError,
)


def evaluate_camvid(predictor: Predictor, root: str | Path, split: str = 'test') -> dict:
    """Return mIoU, per-class IoU and boundary F on CamVid at its own 360x480.

    Raises:
        EvaluationError: the model has other classes.
    """
    dataset = CamVid(root, split)
    names, ids = dataset.classes, class_map(predictor.card.classes, dataset.classes)
    confusion, boundary = ConfusionMatrix(len(names)), BoundaryScore()
    for sample in iterate(dataset):
        predicted = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1]))
        assert sample.semseg is not None   # by `CamVid`
        confusion.add(ids[predicted.semantic], sample.semseg)
        boundary.add(predicted.boundary.astype(np.float32) / 255, class_edges(sample.semseg))
    return {'images': len(dataset), 'miou': confusion.miou(),
            'pixel_accuracy': confusion.pixel_accuracy(),
            'iou': {n: float(v) for n, v in zip(names, confusion.iou(), strict=True)},
            'boundary': boundary.summary()}


def evaluate_rendered(predictor: Predictor, root: str | Path) -> dict:
    """Return depth, normals, classes and boundaries on rendered scenes with exact labels.

    Raises:
        EvaluationError: the model has other classes.
    """
    near, far = predictor.card.depth_range
    depth = DepthError(near, far, missing=far)
    normals, boundary = NormalError(), BoundaryScore()
    dataset = Rendered(root)
    ids = class_map(predictor.card.classes, dataset.classes)
    confusion = ConfusionMatrix(len(dataset.classes))
    for sample in iterate(dataset):
        predicted = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1]), sample.focal)
        assert sample.depth is not None and sample.normals is not None  # by `Rendered`
        assert sample.edge is not None and sample.semseg is not None
        depth.add(predicted.depth, sample.depth)
        normals.add(output_of(TASKS['normals'], predicted), sample.normals)
        confusion.add(ids[predicted.semantic], sample.semseg)
        boundary.add(predicted.boundary.astype(np.float32) / 255, sample.edge)
    return {'images': len(dataset), 'depth': depth.summary(), 'normals': normals.summary(),
            'miou': confusion.miou(), 'boundary': boundary.summary()}
