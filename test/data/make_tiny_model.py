"""Write ``tiny_model/``: a real but tiny model whose every output follows from the image by hand.

The network is so plain that a test can compute what must come out: class 0, 1, 2 where red, green
or blue is strongest; depth grows with brightness from 0 m (black) to 80 m (white, beyond range),
and is said to be off by e^red tenths of it; normals lean with red and green; boundaries are
brightness steps. Run: python make_tiny_model.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

from demt_perception.model_card import file_sha256, ModelCard, save_card

FOLDER = Path(__file__).parent / 'tiny_model'
TASKS = ('semseg', 'depth', 'normals', 'edge')


def make_graph() -> onnx.ModelProto:
    """Return the graph: fixed weights, dynamic height and width, the outputs of a real model."""
    node = helper.make_node
    nodes = [
        node('AveragePool', ['image'], ['half'], kernel_shape=[2, 2], strides=[2, 2]),
        node('ArgMax', ['half'], ['class'], axis=1, keepdims=0),
        node('Cast', ['class'], ['semantic'], to=TensorProto.UINT8),
        node('AveragePool', ['half'], ['quarter'], kernel_shape=[2, 2], strides=[2, 2]),
        node('Mul', ['quarter', 'sharpness'], ['logits']),
        node('Mul', ['logits', 'inverse_temperature'], ['scores']),
        node('Softmax', ['scores'], ['probability'], axis=1),
        node('ReduceMax', ['probability'], ['confidence'], axes=[1], keepdims=0),
        node('ReduceMean', ['quarter'], ['brightness'], axes=[1], keepdims=1),
        node('Add', ['brightness', 'one'], ['positive']),
        node('Mul', ['positive', 'metres'], ['distance']),
        node('Squeeze', ['distance', 'axis'], ['depth']),
        node('Gather', ['quarter', 'first'], ['red'], axis=1),
        node('Exp', ['red'], ['spread']),
        node('Mul', ['spread', 'uncertainty_factor'], ['relative']),
        node('Mul', ['relative', 'depth'], ['depth_uncertainty']),
        node('Conv', ['quarter', 'lean', 'towards'], ['direction'], kernel_shape=[1, 1]),
        node('LpNormalization', ['direction'], ['normals'], axis=1, p=2),
        node('Conv', ['brightness', 'steps'], ['gradient'], kernel_shape=[3, 3],
             pads=[1, 1, 1, 1]),
        node('Abs', ['gradient'], ['step']),
        node('ReduceMax', ['step'], ['largest'], axes=[1], keepdims=0),
        node('Clip', ['largest', 'zero', 'one'], ['boundary']),
    ]
    steps = np.zeros((2, 1, 3, 3), np.float32)
    steps[0, 0, 1] = (-0.5, 0, 0.5)
    steps[1, 0, :, 1] = (-0.5, 0, 0.5)
    lean = np.zeros((3, 3, 1, 1), np.float32)
    lean[0, 0] = lean[1, 1] = 1
    constants = {
        'inverse_temperature': np.float32(1), 'uncertainty_factor': np.float32(0.1),
        'first': np.int64(0), 'sharpness': np.float32(4),
        'one': np.float32(1), 'zero': np.float32(0),
        'metres': np.float32(40), 'axis': np.array([1], np.int64), 'lean': lean,
        'towards': np.array([0, 0, -1], np.float32), 'steps': steps,
    }
    outputs = [
        helper.make_tensor_value_info('semantic', TensorProto.UINT8, [1, 'h2', 'w2']),
        helper.make_tensor_value_info('confidence', TensorProto.FLOAT, [1, 'h4', 'w4']),
        helper.make_tensor_value_info('depth', TensorProto.FLOAT, [1, 'h4', 'w4']),
        helper.make_tensor_value_info('depth_uncertainty', TensorProto.FLOAT, [1, 'h4', 'w4']),
        helper.make_tensor_value_info('normals', TensorProto.FLOAT, [1, 3, 'h4', 'w4']),
        helper.make_tensor_value_info('boundary', TensorProto.FLOAT, [1, 'h4', 'w4']),
    ]
    graph = helper.make_graph(
        nodes, 'tiny',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 'H', 'W'])], outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Write the graph and its card."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / 'model.onnx'
    path.write_bytes(make_graph().SerializeToString(deterministic=True))
    save_card(ModelCard(
        name='tiny_model', architecture='pooling and fixed 1x1 filters, for tests', tasks=TASKS,
        classes=('red', 'green', 'blue'), palette=((200, 30, 30), (30, 180, 30), (40, 40, 220)),
        input_size=(96, 160), size_multiple=32, mean=(127.5,) * 3, std=(127.5,) * 3,
        focal=100.0, assumed_hfov=60.0, depth_range=(0.5, 70.0), onnx=path.name,
        onnx_sha256=file_sha256(path), uncertainty_factor=0.1, metrics={},
        training={'data': 'none: weights are fixed'},
        licence='Apache-2.0'), FOLDER)


if __name__ == '__main__':
    main()
