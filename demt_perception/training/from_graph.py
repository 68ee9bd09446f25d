"""Weights to train on from, taken back out of a deployed graph: what export folded, undone.

A graph computes what the network did, with fewer operations (``networks.fusing``): it has lost how
the work was shared out between what was merged. Any way of sharing that gives the same function
will do to go on from, and the simplest is taken: one part gets all, the others do nothing.
"""

from collections.abc import Iterator, Mapping
import math
from pathlib import Path

from google.protobuf.message import DecodeError
import numpy as np
import onnx
from onnx import numpy_helper
import torch
from torch import nn, Tensor

from demt_perception.inference.engines import EngineError
from demt_perception.inference.graph_file import read_graph
from demt_perception.model_card import load_card, WEIGHTS
from demt_perception.networks.demt_light import DeMTLightHead
from demt_perception.networks.detail_head import DetailHead
from demt_perception.networks.model import MultiTaskModel
from demt_perception.training.failures import TrainingError

PREFIX = 'model.'
"""Of a network's weights in a graph, see ``networks.deploy.Deployed``."""


def weights_of_graph(folder: Path, network: nn.Module) -> dict[str, Tensor]:
    """Return the weights that make a network compute what a model's graph does.

    Its BatchNorms pass on what comes, with statistics that are not those of pictures: they are to
    be kept in training (``freeze_norms``).

    Args:
        folder: of a model that ``demt export`` wrote of a ``demt_light``.
        network: of the same configuration.

    Raises:
        TrainingError: the folder is none of such a model, or that of another network.
    """
    head = network.head if isinstance(network, MultiTaskModel) else None
    if not isinstance(head, DeMTLightHead):
        raise TrainingError(f'start_from: {folder} has no {WEIGHTS}, and of graphs only those of '
                            'demt_light can be trained on from')
    try:
        graph, biases = read_weights(load_graph(folder))
    except (ValueError, TypeError, LookupError, EngineError) as error:   # of card or onnx
        raise TrainingError(f'start_from: {error}') from error
    if other := _unlike(head, graph):
        raise TrainingError(f'the graph of {folder} is of another network: {other}')
    own = network.state_dict()
    try:
        found = {**_zeros(own), **_plain(own, graph), **_folded(network, graph),
                 **_decoder(head, graph, biases)}
        missing = next((name for name in own if name not in found), '')
    except KeyError as error:
        missing = error.args[0]
    if missing:
        raise TrainingError(f'the graph of {folder} has no {missing}: it is of another network, '
                            'an older export, or one in int8')
    for name, value in own.items():
        if found[name].shape != value.shape:
            raise TrainingError(f'the graph of {folder} is of another network: its {name} is '
                                f'{tuple(found[name].shape)}, want {tuple(value.shape)}')
    return {name: found[name].to(value) for name, value in own.items()}


def load_graph(folder: Path) -> onnx.GraphProto:
    """Return the graph of a model folder, verified.

    Raises:
        ModelCardError: the card is wrong, or the graph not the one it names.
        EngineError: it is no graph.
    """
    content = read_graph(load_card(folder), folder)
    try:
        return onnx.load_from_string(content).graph
    except DecodeError as error:
        raise EngineError(f'{folder} has no ONNX graph, or a damaged one: {error}') from error


def read_weights(graph: onnx.GraphProto) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights of a graph, and by the names of convolutions what is added to them."""
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    biases = {}
    for node in graph.node:
        for one, other in (node.input, node.input[::-1]) if node.op_type == 'Add' else ():
            conv, constant = makers.get(one), _constant(other, makers, values)
            if conv is not None and conv.op_type == 'Conv' and constant is not None:
                biases[conv.input[1].removeprefix(PREFIX)] = _tensor(constant)
    return {name.removeprefix(PREFIX): _tensor(value) for name, value in values.items()}, biases


def _constant(name: str, makers: Mapping[str, onnx.NodeProto], values: Mapping[str, np.ndarray],
              ) -> np.ndarray | None:
    """Return the channels' constant (C, 1, 1) in the sum of a name: of coordinates and a bias."""
    node = makers.get(name)
    parts = node.input if node is not None and node.op_type == 'Add' else [name]
    return next((values[part].ravel() for part in parts
                 if part in values and values[part].ndim == 3
                 and values[part].shape[1:] == (1, 1)), None)


def _tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(value))


def _unlike(head: DeMTLightHead, graph: Mapping[str, Tensor]) -> str:
    """Return what of a graph is not as in a network, though weights may fit; '' if nothing."""
    asking = {name.split('.')[2] for name in graph if name.startswith('head.ask.')}
    if asking and asking != set(head.tasks):
        return f'its tasks are {", ".join(sorted(asking))}, want {", ".join(sorted(head.tasks))}'
    heads = {len(value) for name, value in graph.items() if name.endswith('.sums')}
    wanted = {query.heads for query in head.queries.values()}
    if heads and heads != wanted:
        return f'it has {heads} heads of attention, want {wanted}'
    if (unsure := any('.uncertainty.' in name for name in graph)) != bool(head.uncertainty):
        return f'it has {"an" if unsure else "no"} uncertainty (model_options.uncertainty)'
    return ''


def _zeros(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return biases that others have taken in, see ``_decoder``, and counts of batches."""
    merged = ('value.bias', 'out.bias', 'key.bias')
    return {name: torch.zeros_like(value) for name, value in own.items()
            if name.endswith('.num_batches_tracked') or (
                name.startswith(('head.interaction.', 'head.queries.')) and name.endswith(merged))}


def _plain(own: Mapping[str, Tensor], graph: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what has its own name in both."""
    return {name: graph[name] for name in own if name in graph}


def _folded(network: nn.Module, graph: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return BatchNorms that add what their convolution adds in the graph, and do nothing else."""
    found: dict[str, Tensor] = {}
    for name, norm, conv in _norms(network):
        if f'{name}.weight' in graph:
            continue
        shift = graph[f'{conv}.bias']
        found |= {f'{name}.running_mean': torch.zeros_like(shift),
                  f'{name}.running_var': torch.ones_like(shift),
                  f'{name}.weight': torch.full_like(shift, math.sqrt(1 + norm.eps)),
                  f'{name}.bias': shift, f'{conv}.bias': torch.zeros_like(shift)}
    return found


def _norms(network: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d, str]]:
    """Yield every BatchNorm, its name, and that of the convolution it is folded into."""
    for name, module in network.named_modules():
        before = ''
        for child, part in module.named_children():
            if isinstance(part, nn.BatchNorm2d):
                # See ``fusing.norms``: in the head, the norm of a sum shifts the second part.
                conv = 'detail' if isinstance(module, DetailHead) else before
                yield f'{name}.{child}', part, f'{name}.{conv}'
            before = child


def _decoder(head: DeMTLightHead, graph: Mapping[str, Tensor], biases: Mapping[str, Tensor],
             ) -> dict[str, Tensor]:
    """Return norm, interaction, queries and offsets, see ``fusing.maps`` and ``fusing.deform``."""
    def get(name: str) -> Tensor:
        return graph[f'head.{name}'].squeeze()

    found = {'norm.weight': get('norm_maps.weight'), 'norm.bias': get('norm_maps.bias')}
    dim = head.norm.normalized_shape[0]
    parts = {'interaction': 'interact', **{f'queries.{task}': f'ask.{task}.out'
                                           for task in head.tasks}}
    for name, merged in parts.items():
        found |= {f'{name}.value.weight': torch.eye(dim), f'{name}.out.weight': torch.eye(dim),
                  f'{name}.smlp.0.weight': get(f'{merged}.weight'),
                  f'{name}.smlp.0.bias': get(f'{merged}.bias'),
                  f'{name}.smlp.1.weight': get(f'{merged}.norm.weight'),
                  f'{name}.smlp.1.bias': get(f'{merged}.norm.bias')}
    for task, query in head.queries.items():
        scale = (dim // query.heads) ** 0.5
        found |= {f'queries.{task}.query.weight': get(f'ask.{task}.query') * scale,
                  f'queries.{task}.query.bias': get(f'ask.{task}.query_bias') * scale,
                  f'queries.{task}.key.weight': get(f'ask.{task}.key'),
                  f'queries.{task}.value.weight': get(f'ask.{task}.value')}
        offset = f'mixers.{task}.spatial.0.p_conv'
        if f'head.{offset}.bias' not in graph:   # it is added to the coordinates
            found[f'{offset}.bias'] = biases[f'head.{offset}.weight']
    return {f'head.{name}': value for name, value in found.items()}
