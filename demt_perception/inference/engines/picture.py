"""The way from a camera picture to the network's input, as an ONNX graph for GPUs.

The same steps as ``preprocess.py`` takes on the CPU, but on the GPU: the uint8 picture is
uploaded, a quarter of the bytes of floats, and what is made of it never comes back. Each GPU
engine runs this graph the way it runs the network.
"""

from collections.abc import Sequence

import numpy as np

SIZES = 8
"""Of pictures that a GPU is prepared for, as each takes memory; others are left to the CPU."""


def picture_graph(
    image_size: tuple[int, int], input_size: tuple[int, int],
    mean: Sequence[float], std: Sequence[float],
) -> bytes:
    """Return an ONNX graph: ``picture``, uint8 1xHxWx3 BGR, to ``image``, float32 1x3xhxw RGB.

    Differs from the CPU's by no more than the rounding to whole grey levels that that does
    between its steps.

    Args:
        image_size: (H, W) of the camera's pictures.
        input_size: (h, w) of the network's input.
        mean: of R, G and B, 0 to 255.
        std: likewise.
    """
    import onnx
    from onnx import helper

    steps = [*halvings(image_size, input_size), input_size]
    if steps[0] == image_size:
        steps = []
    weights: dict[str, np.ndarray] = {
        'rgb': np.array([2, 1, 0], np.int64),
        'scale': np.array([1 / one for one in std], np.float32).reshape(1, 3, 1, 1),
        'offset': np.array([-m / s for m, s in zip(mean, std, strict=True)], np.float32).reshape(
            1, 3, 1, 1),
        **{f'size_{i}': np.array([1, 3, *size], np.int64) for i, size in enumerate(steps)}}
    nodes = [helper.make_node('Cast', ['picture'], ['floats'], to=onnx.TensorProto.FLOAT),
             helper.make_node('Transpose', ['floats'], ['step_0'], perm=[0, 3, 1, 2])]
    nodes += [helper.make_node(
        'Resize', [f'step_{i}', '', '', f'size_{i}'], [f'step_{i + 1}'], mode='linear',
        coordinate_transformation_mode='half_pixel') for i in range(len(steps))]
    nodes += [helper.make_node('Gather', [f'step_{len(steps)}', 'rgb'], ['turned'], axis=1),
              helper.make_node('Mul', ['turned', 'scale'], ['scaled']),
              helper.make_node('Add', ['scaled', 'offset'], ['image'])]
    graph = helper.make_graph(
        nodes, 'picture',
        [helper.make_tensor_value_info('picture', onnx.TensorProto.UINT8, [1, *image_size, 3])],
        [helper.make_tensor_value_info('image', onnx.TensorProto.FLOAT, [1, 3, *input_size])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()])
    # The opset and format that TensorRT 10.3 reads, too.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
    return bytes(model.SerializeToString())


def halvings(image_size: tuple[int, int], input_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes on the way down: see ``resize.shrink``."""
    (height, width), sizes = image_size, []
    while height >= 2 * input_size[0] and width >= 2 * input_size[1]:
        height, width = height // 2, width // 2
        sizes.append((height, width))
    return sizes
