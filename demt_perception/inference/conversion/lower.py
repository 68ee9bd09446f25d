"""Rewrite an ONNX graph from f32 to f16 or bf16, with casts where both meet."""

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

from demt_perception.inference.conversion.sensitive import in_f32

TYPES = {'f16': TensorProto.FLOAT16, 'bf16': TensorProto.BFLOAT16}
LARGEST = {'f16': 65504.0, 'bf16': 3.38e38}

FLOAT_ONLY = {'Resize': (0,)}
"""Inputs that may be in a lower precision, where not all floats may: a Resize's scales may not."""


def lower(content: bytes, precision: str) -> bytes:
    """Return the graph in a lower precision; see ``converted``.

    Raises:
        ValueError: it is no ONNX graph, has subgraphs or functions, or a weight is beyond the
            range of the precision.
    """
    model = _read(content)
    graph = model.graph
    stay = in_f32(graph)
    kind = TYPES[precision]
    floats = _floats(model)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    low_made = {name for index, node in enumerate(graph.node) if index not in stay
                for name in node.output if name in floats}
    nodes: list[onnx.NodeProto] = []
    made: dict[tuple[str, int], str] = {}

    def as_type(name: str, wanted: int) -> str:
        """Return the name of a tensor in the type that is wanted, cast once."""
        if name not in floats or (name in low_made) == (wanted == kind):
            return name
        if (name, wanted) not in made:
            made[name, wanted] = other = f'{name}/{"f32" if wanted != kind else precision}'
            if name in weights and wanted == kind:
                graph.initializer.append(_weight(weights[name], other, precision))
            else:
                nodes.append(helper.make_node('Cast', [name], [other], f'{other}/cast', to=wanted))
        return made[name, wanted]

    outputs = {output.name for output in graph.output}
    for index, node in enumerate(graph.node):
        wanted = TensorProto.FLOAT if index in stay else kind
        places = FLOAT_ONLY.get(node.op_type)
        for place, name in enumerate(node.input):
            low = places is None or place in places
            node.input[place] = as_type(name, wanted if low else TensorProto.FLOAT)
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in outputs and name in low_made:  # the type of an output is f32, as it was
                node.output[place] = f'{name}/{precision}'
                nodes.append(helper.make_node(
                    'Cast', [node.output[place]], [name], f'{name}/cast', to=TensorProto.FLOAT))
                low_made.discard(name)
                made[name, kind] = node.output[place]
    _finish(graph, nodes)
    return bytes(model.SerializeToString())


def _read(content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and the checker's own
        raise ValueError(f'onnx refuses it ({" ".join(str(error).split())[:200]})') from error
    inner = [node.op_type for node in model.graph.node for attribute in node.attribute
             if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)]
    if inner or model.functions:
        raise ValueError(f'{inner[0] if inner else "a function"} holds a graph of its own')
    return model


def _floats(model: onnx.ModelProto) -> set[str]:
    """Return the names of all tensors that are float32."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=False).graph
    infos = (*graph.value_info, *graph.input, *graph.output)
    known = {info.name: info.type.tensor_type.elem_type for info in infos}
    known |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    unknown = {name for node in graph.node for name in node.output if name and not known.get(name)}
    if unknown:
        raise ValueError(f'the type of {sorted(unknown)[0]} is not known')
    return {name for name, kind in known.items() if kind == TensorProto.FLOAT}


def _weight(tensor: onnx.TensorProto, name: str, precision: str) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    finite = values[np.isfinite(values)]
    if finite.size and float(np.abs(finite).max()) > LARGEST[precision]:
        raise ValueError(f'a value of {tensor.name} is {float(np.abs(finite).max()):.3g}, beyond '
                         f'{LARGEST[precision]:g}')
    if precision == 'f16':
        return numpy_helper.from_array(values.astype(np.float16), name)
    # The upper half of a float32, rounded to nearest, ties to even.
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return TensorProto(name=name, data_type=TensorProto.BFLOAT16, dims=values.shape,
                       raw_data=rounded.astype('<u2').tobytes())


def _finish(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put the nodes in place; drop weights that nobody uses, and types that may be others now."""
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
