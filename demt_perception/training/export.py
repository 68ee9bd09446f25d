"""From trained weights to a model folder: ONNX graph, card, parity check."""

from collections.abc import Mapping
from dataclasses import replace
import logging
from pathlib import Path
from typing import Any
import warnings

import numpy as np
from safetensors.torch import save_file
import torch
from torch import nn

from demt_perception.model_card import file_sha256, ModelCard, save_card
from demt_perception.networks import create_model, fuse, output_channels
from demt_perception.networks.backbones.efficientnet_lite import MEAN, STD
from demt_perception.networks.deform_node import as_deform_conv, onnx_translation
from demt_perception.networks.deploy import Deployed
from demt_perception.networks.model import MultiTaskModel
from demt_perception.training.config import TrainConfig
from demt_perception.training.trainer import load_weights

CAMVID_CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
                  'pedestrian', 'bicyclist')
# Cityscapes' colours for the classes that both have: what people are used to read.
CAMVID_PALETTE = ((70, 130, 180), (70, 70, 70), (153, 153, 153), (128, 64, 128), (244, 35, 232),
                  (107, 142, 35), (220, 220, 0), (190, 153, 153), (0, 0, 142), (220, 20, 60),
                  (119, 11, 32))
SIZE_MULTIPLE = 32
OPSET = 20  # the newest that ONNX Runtime, OpenVINO and TensorRT 10.3 all read
NEAR, FAR = 0.5, 100.0
ONNX = 'model.onnx'
# Measured, see docs/networks.md. OpenVINO cannot convert DeformConv, TensorRT-RTX rejects it.
SAMPLING = {'any': 'GridSample', 'onnxruntime': 'DeformConv', 'openvino': 'GridSample',
            'tensorrt': 'GridSample'}
NOT_YET = '0' * 64  # stands for the hash of a graph that is still to be written


def export_model(config: TrainConfig, weights: str | Path, out: str | Path,
                 licence: str = '', engine: str = 'any') -> ModelCard:
    """Write ``model.onnx``, ``weights.safetensors`` and ``card.yaml`` into ``out``.

    The graph holds the fused network (see docs/networks.md) and takes any input size in
    multiples of 32. ``engine``: see ``for_engine``.

    Raises:
        RuntimeError: ONNX Runtime disagrees with torch by more than 1e-3 relative.
        ValueError: ``engine`` is unknown.
    """
    out = Path(out)
    outputs = output_channels(config.tasks, config.classes)
    model = create_model(config.model, config.backbone, outputs, **config.model_options)
    load_weights(weights, model)
    card = ModelCard(
        name=out.name,
        architecture=architecture(config.model, config.model_options, config.backbone),
        tasks=config.tasks, classes=CAMVID_CLASSES, palette=CAMVID_PALETTE,
        input_size=config.input_size, size_multiple=SIZE_MULTIPLE, mean=MEAN, std=STD,
        focal=config.focal, assumed_hfov=60.0, depth_range=(NEAR, FAR), onnx=ONNX,
        onnx_sha256=NOT_YET, licence=licence,
        training={'sources': dict(config.sources), 'iterations': config.iterations,
                  'batch': config.batch, 'loss_weights': dict(config.loss_weights),
                  'seed': config.seed})
    fused = for_engine(fuse(model), engine)
    return export_network(Deployed(fused, config.tasks, config.far), card, out, model)


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

    The graph takes any input size in multiples of 32 where the network can be exported so, else
    the card's only, with a warning.

    Args:
        deployed: what the graph computes; may hold a fused network.
        card: complete but for ``onnx_sha256``.
        out: the folder.
        weights: the network as trained, for ``weights.safetensors``.

    Raises:
        RuntimeError: ONNX Runtime disagrees with torch by more than 1e-3 relative.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    deployed = deployed.eval()
    size = card.input_size
    try:
        write_onnx(deployed, size, out / ONNX)
        check_parity(deployed, out / ONNX, size)
    except RuntimeError as error:  # of the exporter, or another size gives other numbers
        warnings.warn(f'{out} takes images of {size[0]}x{size[1]} only: {error}', stacklevel=2)
        write_onnx(deployed, size, out / ONNX, fixed=True)
        check_parity(deployed, out / ONNX, size, fixed=True)
    save_file({name: value.contiguous() for name, value in weights.state_dict().items()},
              out / 'weights.safetensors')
    card = replace(card, onnx=ONNX, onnx_sha256=file_sha256(out / ONNX))
    save_card(card, out)
    return card


def write_onnx(deployed: Deployed, size: tuple[int, int], path: Path,
               fixed: bool = False) -> None:
    """Export with free height and width, in multiples of 32, or at one fixed size."""
    example = torch.zeros(1, 3, *size)
    height = torch.export.Dim('height', min=2, max=128)
    width = torch.export.Dim('width', min=2, max=128)
    shapes = None if fixed else ({2: SIZE_MULTIPLE * height, 3: SIZE_MULTIPLE * width},)
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
                 fixed: bool = False) -> None:
    """Compare ONNX Runtime with torch at the default and, unless fixed, at another size."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    rng = np.random.default_rng(0)
    # Another size: narrower, but not below the least that a graph takes.
    other = size[0] + SIZE_MULTIPLE, size[1] + 64 * (-1 if size[1] >= 128 else 1)
    for height, width in (size, other)[:1 if fixed else 2]:
        image = rng.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        with torch.no_grad():
            wanted = deployed(torch.from_numpy(image))
        for name, a, b in zip(deployed.names, wanted, session.run(None, {'image': image}),
                              strict=True):
            a = a.numpy()
            if a.dtype == np.uint8:
                error = float((a != b).mean())
            else:
                error = float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6))
            if error > 1e-3:
                raise RuntimeError(f'{path}: output {name} at {height}x{width} differs from torch '
                                   f'by {error:.2e}, want at most 1e-3; the graph is not usable')
