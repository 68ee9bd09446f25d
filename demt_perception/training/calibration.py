"""Fitting a finished model's confidence and depth uncertainty to labelled pictures.

One number each: the temperature that classes' scores are divided by (Guo et al., On Calibration
of Modern Neural Networks, ICML 2017), and the factor of the uncertainty. Neither changes a class
or a depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demt_perception.inference.engines import create_engine
from demt_perception.inference.graph_file import read_graph
from demt_perception.inference.postprocess import valid_depth
from demt_perception.inference.preprocess import focal_at_input, Preprocessor
from demt_perception.model_card import file_sha256, load_card, ModelCard, save_card
from demt_perception.training.calibrated_graph import (
    scores_name,
    set_factor,
    set_temperature,
    UNCERTAINTY,
)
from demt_perception.training.datasets import IGNORE, Sample
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.metrics import CalibrationError, SparsificationError

MOST_PIXELS = 2_000_000   # of the fit: more change the fourth digit, and fill the memory
SMOOTHEST, SHARPEST = 0.01, 100.0   # inverse temperatures


@dataclass
class Pixels:
    """What is collected of pictures, on the grid of the network's small outputs.

    Attributes:
        scores: float32 (N, classes) each.
        labels: ids of the model (N,) each.
        ratios: error of log depth over the uncertainty of it (N,) each.
        before: sparsification with the uncertainty as it is.
        images: how many pictures.
    """

    scores: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    ratios: list[np.ndarray] = field(default_factory=list)
    before: SparsificationError = field(default_factory=SparsificationError)
    images: int = 0


def collector(folder: Path, card: ModelCard, tasks: tuple[str, ...], ids: np.ndarray | None,
              count: int) -> Callable[[Sample, Pixels], None]:
    """Return a function that runs the model on a sample and adds what the fit needs.

    Args:
        folder: of the model.
        card: its card.
        tasks: of ``semseg`` and ``depth``, those to fit.
        ids: uint8 (256,), the dataset's id of every id of the model; None without semseg.
        count: of pictures to come.
    """
    import onnx

    model = onnx.load_from_string(read_graph(card, folder))
    scores = ''
    if 'semseg' in tasks:
        scores = scores_name(model.graph)
        model.graph.output.append(onnx.helper.make_tensor_value_info(
            scores, onnx.TensorProto.FLOAT, None))
        own = np.full(256, IGNORE, np.uint8)
        assert ids is not None
        own[ids[:len(card.classes)]] = np.arange(len(card.classes))
    engine = create_engine('onnxruntime', model.SerializeToString(), (1, 3, *card.input_size))
    prepare = Preprocessor(card, card.input_size)

    def add(sample: Sample, pixels: Pixels) -> None:
        bgr = np.ascontiguousarray(sample.image[..., ::-1])
        outputs = engine.run(prepare(bgr))
        if scores and sample.semseg is not None:
            values = outputs[scores][0]
            label = own[_shrunk(sample.semseg, values.shape[1:])]
            known = label < len(values)
            step = max(1, -(-int(known.sum()) * count // MOST_PIXELS))
            pixels.scores.append(values[:, known].T[::step])
            pixels.labels.append(label[known][::step])
        if 'depth' in tasks and sample.depth is not None:
            focal = focal_at_input(sample.focal, bgr.shape[:2], card.input_size,
                                   card.assumed_hfov)
            scale = focal / card.focal
            depth = valid_depth(outputs['depth'][0], scale, card.depth_range)
            label = _shrunk(sample.depth, depth.shape)
            near, far = card.depth_range
            known = np.isfinite(depth) & (label >= near) & (label <= far)
            depth, label = depth[known].astype(float), label[known].astype(float)
            unsure = outputs[UNCERTAINTY][0][known].astype(float) * scale
            pixels.ratios.append(np.abs(np.log(depth / label)) * depth / unsure)
            pixels.before.add(unsure[None], np.abs(depth - label)[None])
        pixels.images += 1
    return add


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of the greatest likelihood, rounded to four digits.

    Args:
        scores: (N, classes).
        labels: (N,) ids.

    Raises:
        EvaluationError: there is no pixel, or the likelihood has no greatest value.
    """
    if not len(labels):
        raise EvaluationError('no labelled pixel to fit the temperature to: give other data')
    # The likelihood is concave in the inverse temperature: its slope falls, and has one zero.
    low, high = SMOOTHEST, SHARPEST
    if slope(scores, labels, low)[0] <= 0 or slope(scores, labels, high)[0] >= 0:
        raise EvaluationError('the labels fit no temperature: every pixel is right, or the scores '
                              'tell nothing of them; give other data, or train first')
    inverse = 1.0
    for _ in range(60):
        value, fall = slope(scores, labels, inverse)
        low, high = (inverse, high) if value > 0 else (low, inverse)
        newton = inverse + value / fall if fall > 0 else low
        step = newton if low < newton < high else (low * high) ** 0.5
        if abs(step - inverse) < 1e-6 * inverse:
            break
        inverse = step
    return float(f'{1 / inverse:.4g}')


def slope(scores: np.ndarray, labels: np.ndarray, inverse: float) -> tuple[float, float]:
    """Return the slope of the mean log-likelihood by the inverse temperature, and its fall."""
    value = fall = 0.0
    for start in range(0, len(labels), 100_000):   # in pieces that fit the memory
        z = scores[start:start + 100_000].astype(float)
        p = probabilities(z, inverse)
        mean = (p * z).sum(1)
        rows = np.arange(len(z))
        value += float((z[rows, labels[start:start + 100_000]] - mean).sum())
        fall += float(((p * z * z).sum(1) - mean ** 2).sum())
    return value / len(labels), fall / len(labels)


def probabilities(scores: np.ndarray, inverse: float) -> np.ndarray:
    """Return the softmax of the scores over a temperature, (N, classes)."""
    x = scores * inverse
    x = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(x / x.sum(1, keepdims=True))


def sureness_of(scores: np.ndarray, labels: np.ndarray, temperature: float) -> dict[str, float]:
    """Return ``ece`` of 8-bit confidences, and ``nll`` of the labels, at a temperature."""
    p = probabilities(scores, 1 / temperature)
    metric = CalibrationError()
    metric.add(np.rint(p.max(1) * 255).astype(np.uint8), (p.argmax(1) == labels).astype(np.uint8))
    likelihood = p[np.arange(len(labels)), labels]
    return {'ece': metric.main, 'nll': float(-np.log(np.maximum(likelihood, 1e-30)).mean())}


def calibrate(folder: Path, temperature: float | None, factor: float | None,
              note: dict[str, Any]) -> ModelCard:
    """Write the numbers into the graph and onto the card of a model folder; None leaves one.

    Args:
        folder: of the model.
        temperature: of the classes.
        factor: of the uncertainty, in all.
        note: for the card's metrics, under ``calibration``.
    """
    import onnx

    card = load_card(folder)
    model = onnx.load_from_string(read_graph(card, folder))
    if temperature is not None:
        set_temperature(model.graph, temperature)
        card = replace(card, temperature=temperature)
    if factor is not None:
        set_factor(model.graph, factor)
        card = replace(card, uncertainty_factor=factor)
    onnx.checker.check_model(model)
    part = folder / f'{card.onnx}.part'
    onnx.save(model, part)
    card = replace(card, onnx_sha256=file_sha256(part),
                   metrics={**card.metrics,
                            'calibration': {**card.metrics.get('calibration', {}), **note}})
    os.replace(part, folder / card.onnx)
    save_card(card, folder)
    return card


def _shrunk(label: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(label, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
