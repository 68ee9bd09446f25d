"""From trained weights to a model folder: ONNX graph, card, parity check."""

from collections.abc import Collection, Mapping
from dataclasses import replace
import logging
from pathlib import Path
from typing import Any
import warnings

import numpy as np
import torch
from torch import nn

from demt_perception.model_card import CARD_FILE, file_sha256, ModelCard, save_card, WEIGHTS
from demt_perception.networks import fuse
from demt_perception.networks.deform_node import as_deform_conv, onnx_translation
from demt_perception.networks.deploy import Deployed, logit_stride
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.tensor_file import save_tensors
from demt_perception.tasks import TASKS
from demt_perception.training.building import build, load_weights
from demt_perception.training.card_values import check_depth_range
from demt_perception.training.class_names import card_classes
from demt_perception.training.config import CONFIG, ConfigError, save_config, TrainConfig
from demt_perception.training.loading import normalisation
from demt_perception.training.objective import LOG_DEPTH

PROBABILITIES = {task.topic for task in TASKS.values() if task.kind == 'probability'}
SIZE_MULTIPLE = 32
OPSET = 20  # the newest that ONNX Runtime, OpenVINO and TensorRT 10.3 all read
ONNX = 'model.onnx'
# Measured, see docs/networks.md. OpenVINO cannot convert DeformConv, TensorRT-RTX rejects it.
SAMPLING = {'any': 'GridSample', 'onnxruntime': 'DeformConv', 'openvino': 'GridSample',
            'tensorrt': 'GridSample'}
NOT_YET = '0' * 64  # stands for the hash of a graph that is still to be written


def export_model(config: TrainConfig, weights: str | Path, out: str | Path,
                 licence: str = '', engine: str = 'any') -> ModelCard:
    """Write ``model.onnx``, ``weights.safetensors``, ``card.yaml`` and ``config.yaml`` to ``out``.

    The graph holds the fused network (see docs/networks.md) and takes any input size in
    multiples of 32; its default is the configuration's, rounded up. ``engine``: see
    ``for_engine``.

    Raises:
        RuntimeError: ONNX Runtime disagrees with torch by more than 1e-3 relative.
        ConfigError: ``out`` is a run, or where the weights lie; classes have no names; or the
            range of depth reaches the sky.
        TrainingError: the weights are damaged, or of another network.
        ValueError: ``engine`` is unknown.
    """
    out = Path(out)
    _refuse_overwriting(out, Path(weights))
    network = build(config)
    check_depth_range(config, network.tasks)
    load_weights(weights, network)
    mean, std = normalisation(config)
    uncertainty = bool(config.model_options.get('uncertainty'))
    classes, palette = card_classes(config, network.tasks.get('semseg', 0))
    card = ModelCard(
        name=out.resolve().name,
        architecture=architecture(config.model, config.model_options, config.backbone),
        tasks=tuple(network.tasks), classes=classes, palette=palette,
        input_size=(_rounded_up(config.size[0]), _rounded_up(config.size[1])),
        size_multiple=SIZE_MULTIPLE, mean=mean, std=std,
        focal=config.focal, assumed_hfov=config.assumed_hfov, depth_range=config.depth_range,
        onnx=ONNX, onnx_sha256=NOT_YET, licence=licence,
        uncertainty_factor=float(uncertainty),
        training={'sources': dict(config.sources),
                  **({'iterations': config.iterations} if config.iterations else
                     {'epochs': config.epochs}),
                  'batch': config.batch, 'loss_weights': dict(config.loss_weights),
                  'seed': config.seed})
    log = config.losses in LOG_DEPTH
    deployed = Deployed(for_engine(fuse(network), engine), tuple(network.tasks),
                        config.far if log else config.depth_range[1],
                        depth='log' if log else 'linear', uncertainty=uncertainty,
                        stride=logit_stride(network.eval()))
    card = export_network(deployed, card, out, network)
    save_config(without_places(config, card.name), out / CONFIG)
    return card


def _refuse_overwriting(out: Path, weights: Path) -> None:
    # Either end of a link would be written over; a run has the file that is exported last.
    ours = out.resolve() in (weights.parent.resolve(), weights.resolve().parent)
    if ours or ((out / CONFIG).exists() and not (out / CARD_FILE).exists()):
        raise ConfigError(
            f'{out} {"holds the weights to export" if ours else "is a run, not a model folder"}: '
            'its configuration and weights would be written over, give another --out')


def without_places(config: TrainConfig, name: str) -> TrainConfig:
    """Return how a model was trained, for everyone: folders by their last names only."""
    def last(path: str, before: str) -> str:
        return f'{before}/{Path(path).name}' if path else ''

    return replace(
        config, out=f'runs/{name}', root=last(config.root, 'data'),
        data=[replace(source, root=last(source.root, 'data')) for source in config.data],
        validation=[replace(source, root=last(source.root, 'data'))
                    for source in config.validation],
        teacher=tuple(last(path, 'models') for path in config.teacher),
        start_from=last(config.start_from, 'runs'), single_task=last(config.single_task, 'runs'))


def _rounded_up(side: int) -> int:
    return -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE


def architecture(name: str, options: Mapping[str, Any], backbone: str) -> str:
    """Return a network in one line, for the card."""
    inside = ', '.join(f'{key} {value}' for key, value in options.items())
    return f'{name} ({inside}), {backbone}' if inside else f'{name}, {backbone}'


def for_engine(model: MultiTaskModel, engine: str) -> MultiTaskModel:
    """Return the network with its deformable steps in the form that an engine runs fastest.

    Args:
        model: plain or fused.
        engine: ``onnxruntime``, ``openvino``, ``tensorrt``, or ``any`` for a graph that all run.

    Raises:
        ValueError: unknown engine.
    """
    if engine not in SAMPLING:
        raise ValueError(f'engine {engine!r} is unknown: want one of {sorted(SAMPLING)}')
    return as_deform_conv(model) if SAMPLING[engine] == 'DeformConv' else model


def export_network(deployed: Deployed, card: ModelCard, out: str | Path,
                   weights: nn.Module) -> ModelCard:
    """Write a model folder: graph, weights, and last the card, completed with the graph's hash.

    The graph takes any number of images at once and any size in multiples of 32 where the network
    can be exported so, else one image, else one of the card's size, with a warning.

    Args:
        deployed: what the graph computes; may hold a fused network.
        card: complete but for ``onnx_sha256`` and ``weights_sha256``.
        out: the folder.
        weights: the network as trained, for ``weights.safetensors``.

    Raises:
        RuntimeError: ONNX Runtime disagrees with torch by more than 1e-3 relative.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    deployed = deployed.eval()
    size = card.input_size
    for free, less in (('batch', 'size'), 'one image at a time'), (
            ('size',), f'images of {size[0]}x{size[1]} only'), ((), ''):
        try:
            write_onnx(deployed, size, out / ONNX, free)
            check_parity(deployed, out / ONNX, size, free)
            break
        except RuntimeError as error:  # of the exporter, or another size gives other numbers
            if not less:
                raise
            warnings.warn(f'{out} takes {less}: {error}', stacklevel=2)
    save_tensors(weights.state_dict(), out / WEIGHTS)
    card = replace(card, onnx=ONNX, onnx_sha256=file_sha256(out / ONNX),
                   weights_sha256=file_sha256(out / WEIGHTS))
    save_card(card, out)
    return card


def write_onnx(deployed: Deployed, size: tuple[int, int], path: Path,
               free: Collection[str] = ('batch', 'size')) -> None:
    """Export for any number of images (``batch``) and any ``size`` in multiples of 32.

    What is not in ``free`` is fixed: one image, of the size given.
    """
    # A batch of one would be taken for a constant.
    example = torch.zeros(2 if 'batch' in free else 1, 3, *size)
    dims: dict[int, Any] = {}
    if 'batch' in free:
        dims[0] = torch.export.Dim('batch', min=1, max=64)
    if 'size' in free:
        dims[2] = SIZE_MULTIPLE * torch.export.Dim('height', min=2, max=128)
        dims[3] = SIZE_MULTIPLE * torch.export.Dim('width', min=2, max=128)
    shapes = (dims,) if dims else None
    # The exporter warns that torchvision is absent, and of its own use of old functions.
    logging.getLogger('torch.onnx._internal.exporter._registration').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        torch.onnx.export(
            deployed, (example,), str(path), dynamo=True, opset_version=OPSET,
            input_names=['image'], output_names=list(deployed.names), external_data=False,
            dynamic_shapes=shapes, verbose=False, custom_translation_table=onnx_translation())
    _strip_notes(path)


def _strip_notes(path: Path) -> None:
    """Remove the exporter's notes: every node holds a stack trace with paths of this machine."""
    import onnx

    model = onnx.load(path)
    parts = [model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input,
             *model.graph.output, *model.graph.initializer]
    for part in parts:
        part.ClearField('metadata_props')
        part.ClearField('doc_string')
    onnx.save(model, path)


def check_parity(deployed: Deployed, path: Path, size: tuple[int, int],
                 free: Collection[str] = ('batch', 'size')) -> None:
    """Compare ONNX Runtime with torch at the default size and, as far as free, at another.

    There with another number of images, too.

    Relative to the greatest value; probabilities to 1, for a map that is nothing but noise near 0
    has no other scale.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    rng = np.random.default_rng(0)
    # Another size: narrower, but not below the least that a graph takes.
    other = size[0] + SIZE_MULTIPLE, size[1] + 64 * (-1 if size[1] >= 128 else 1)
    shapes = [(1, *size)]
    if free:
        shapes.append((3 if 'batch' in free else 1, *(other if 'size' in free else size)))
    for count, height, width in shapes:
        image = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
        with torch.no_grad():
            wanted = deployed(torch.from_numpy(image))
        for name, a, b in zip(deployed.names, wanted, session.run(None, {'image': image}),
                              strict=True):
            a = a.numpy()
            if a.dtype == np.uint8:
                error = float((a != b).mean())
            else:
                scale = 1.0 if name in PROBABILITIES else max(np.abs(a).max(), 1e-6)
                error = float(np.abs(a - b).max() / scale)
            if error > 1e-3:
                raise RuntimeError(
                    f'{path}: output {name} at {count}x{height}x{width} differs from torch by '
                    f'{error:.2e}, want at most 1e-3; the graph is not usable')
