"""Every operator of the torch engine gives what ONNX Runtime gives, or says that it does not."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='pip install torch onnx')
onnx = pytest.importorskip('onnx', reason='pip install torch onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from demt_perception.inference.engines.torch_graph import convert

OPSET = 20
PICTURE = np.random.default_rng(0).normal(size=(1, 4, 6, 9)).astype(np.float32)
SQUARE = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)


def graph(operator, constants=(), opset=OPSET, outputs=1, shape=PICTURE.shape, **attributes):
    """Return a graph of one node; a constant '' is an input left out."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    names, tensors = ['image'], []
    for place, value in enumerate(constants):
        names.append('' if isinstance(value, str) else f'c{place}')
        if names[-1]:
            tensors.append(numpy_helper.from_array(np.asarray(value), names[-1]))
    info = helper.make_tensor_value_info
    nodes = [helper.make_node(operator, names, [f'y{i}' for i in range(outputs)], **attributes)]
    model = helper.make_model(
        helper.make_graph(nodes, 'g', [info('image', 1, shape)],
                          [helper.make_empty_tensor_value_info(f'y{i}') for i in range(outputs)],
                          tensors),
        opset_imports=[helper.make_opsetid('', opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def both(content, image=PICTURE):
    """Return the outputs of torch and of ONNX Runtime."""
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    wanted = session.run(None, {'image': image})
    seen = [one.numpy() for one in convert(content, image.shape)(torch.from_numpy(image))]
    return seen, wanted


def assert_same(content, image=PICTURE, limit=2e-5):
    seen, wanted = both(content, image)
    for one, other in zip(seen, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=limit, atol=limit)


def i64(*values):
    return np.array(values, np.int64)


def f32(*shape, seed=2):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(('operator', 'constants', 'attributes'), [
    ('AveragePool', (), {'kernel_shape': [3, 2], 'strides': [2, 2], 'pads': [1, 1, 1, 1]}),
    ('AveragePool', (), {'kernel_shape': [3, 3], 'strides': [2, 2], 'pads': [1, 1, 1, 1],
                         'count_include_pad': 1}),
    ('AveragePool', (), {'kernel_shape': [2, 2], 'strides': [2, 2], 'ceil_mode': 1}),
    ('MaxPool', (), {'kernel_shape': [3, 3], 'strides': [2, 2], 'pads': [0, 1, 1, 0]}),
    ('MaxPool', (), {'kernel_shape': [2, 2], 'strides': [2, 2], 'ceil_mode': 1}),
    ('Conv', (f32(6, 2, 3, 3), f32(6)), {'group': 2, 'pads': [1, 0, 2, 1], 'strides': [1, 2]}),
    ('Conv', (f32(2, 4, 3, 3),), {'dilations': [2, 3], 'pads': [2, 3, 2, 3]}),
    ('ConvTranspose', (f32(4, 3, 3, 3), f32(3)), {
        'strides': [2, 2], 'pads': [1, 1, 1, 1], 'output_padding': [1, 0]}),
    ('ConvTranspose', (f32(4, 3, 2, 2),), {'group': 2}),
    ('GlobalAveragePool', (), {}),
    ('BatchNormalization', (f32(4), f32(4), f32(4), np.abs(f32(4))), {'epsilon': 1e-3}),
    ('LayerNormalization', (f32(9), f32(9)), {'epsilon': 1e-3}),
    ('LayerNormalization', (f32(6, 9),), {'axis': 2}),
    ('LpNormalization', (), {'axis': 1}),
    ('LpNormalization', (), {'axis': 2, 'p': 1}),
    ('Softmax', (), {'axis': 1}),
    ('Gelu', (), {}), ('Gelu', (), {'approximate': 'tanh'}),
    ('Clip', (np.float32(-0.5), np.float32(0.5)), {}), ('Clip', ('', np.float32(0.5)), {}),
    ('Clip', (), {}),
    ('Mod', (np.abs(f32(1, 4, 1, 1)) + 0.1,), {'fmod': 1}),
    ('ArgMax', (), {'axis': 1, 'keepdims': 0}), ('ArgMax', (), {'axis': -1}),
    ('Slice', (i64(5, -1), i64(-10, 2), i64(2, 3), i64(-2, -3)), {}),
    ('Slice', (i64(0, 1), i64(1, 3)), {}),
    ('Split', (i64(1, 3),), {'axis': 1}), ('Split', (), {'axis': 3, 'num_outputs': 2}),
    ('Gather', (i64(0, -1, 2),), {'axis': 1}), ('Gather', (np.int64(-2),), {'axis': 2}),
    ('Gather', (np.array([[0, 1], [3, -4]], np.int64),), {'axis': 1}),
    ('Unsqueeze', (i64(0, -1),), {}), ('Squeeze', (i64(0),), {}), ('Squeeze', (), {}),
    ('Expand', (i64(2, 3, 1, 6, 1),), {}), ('Tile', (i64(1, 2, 1, 3),), {}),
    ('Pad', (i64(0, 0, 1, 2, 0, 1, 0, 3), np.float32(0.5)), {}),
    ('Pad', (i64(0, 0, -1, 2, 0, 0, 0, -3),), {}),
    ('Flatten', (), {'axis': 2}), ('Flatten', (), {'axis': 0}), ('Flatten', (), {'axis': -1}),
    ('Reshape', (i64(0, 2, -1, 9),), {}), ('Transpose', (), {'perm': [0, 2, 3, 1]}),
    ('Transpose', (), {}), ('Concat', (PICTURE,), {'axis': -1}),
    ('Cast', (), {'to': 1}), ('Cast', (), {'to': 11}), ('Cast', (), {'to': 7}),
    ('Cast', (), {'to': 9}),
    ('Resize', ('', i64().astype(np.float32), i64(1, 4, 11, 4)), {'mode': 'linear'}),
    ('Resize', ('', np.float32([1, 1, 2, 3])), {
        'mode': 'nearest', 'coordinate_transformation_mode': 'asymmetric',
        'nearest_mode': 'floor'}),
    ('Resize', ('', '', i64(1, 4, 12, 18)), {
        'mode': 'cubic', 'coordinate_transformation_mode': 'align_corners'}),
    ('Resize', ('', '', i64(1, 4, 3, 4)), {
        'mode': 'linear', 'coordinate_transformation_mode': 'pytorch_half_pixel'}),
    ('GridSample', (np.clip(f32(1, 3, 5, 2), -1.2, 1.2),), {}),
    ('GridSample', (np.clip(f32(1, 3, 5, 2), -1.2, 1.2),), {
        'mode': 'nearest', 'padding_mode': 'border', 'align_corners': 1}),
    ('GridSample', (np.clip(f32(1, 3, 5, 2), -0.9, 0.9),), {
        'mode': 'cubic', 'padding_mode': 'reflection'}),
    ('QuantizeLinear', (np.float32(0.02),), {}),
    ('QuantizeLinear', (np.abs(f32(4)) / 9 + 0.01, np.int8([3, -4, 0, 9])), {'axis': 1}),
], ids=lambda value: value if isinstance(value, str) else '')
def test_same_as_onnxruntime(operator, constants, attributes):
    outputs = 2 if operator == 'Split' else 1
    assert_same(graph(operator, constants, outputs=outputs, **attributes))


@pytest.mark.parametrize('operator', [
    'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2'])
@pytest.mark.parametrize(('constants', 'attributes'), [
    ((i64(1, -1),), {}), ((i64(2),), {'keepdims': 0}), ((), {})])
def test_reductions(operator, constants, attributes):
    assert_same(graph(operator, constants, **attributes))


@pytest.mark.parametrize('attributes', [
    {}, {'transA': 1, 'alpha': 0.5}, {'transB': 1, 'beta': 2.0}])
@pytest.mark.parametrize('bias', [(), (f32(5),)])
def test_gemm(attributes, bias):
    assert_same(graph('Gemm', (f32(5, 5), *bias), shape=SQUARE.shape, **attributes), SQUARE)


@pytest.mark.parametrize('operator', [
    'Sqrt', 'Exp', 'Log', 'Abs', 'Neg', 'Reciprocal', 'Erf', 'Tanh', 'Floor', 'Sigmoid', 'Relu',
    'HardSwish', 'Softplus', 'Identity'])
def test_functions_of_one_number(operator):
    values = np.float32([[-30, -3, -1, -0.5, -1e-6, 0, 1e-6, 0.5, 1, 3, 25, 80]])
    assert_same(graph(operator, shape=values.shape), values)


@pytest.mark.parametrize('operator', [
    'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'Equal', 'Less', 'Greater', 'LessOrEqual',
    'GreaterOrEqual', 'MatMul'])
def test_functions_of_two(operator):
    picture = np.abs(PICTURE) if operator == 'Pow' else PICTURE
    other = f32(9, 3) if operator == 'MatMul' else np.concatenate(
        [picture[0, 0, :1, :5], f32(1, 4)], axis=1)   # some are equal
    assert_same(graph(operator, (other,)), picture)


@pytest.mark.parametrize(('operator', 'values'), [
    ('Div', [7, -7, 7, -7]), ('Mod', [7, -7, 7, -7])])
def test_integers_that_are_known(operator, values):
    """What depends on shapes alone is calculated with integers while the graph is converted."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    info = helper.make_tensor_value_info
    nodes = [helper.make_node(operator, ['a', 'b'], ['c']),
             helper.make_node('Cast', ['c'], ['d'], to=1),
             helper.make_node('Add', ['image', 'd'], ['y'])]
    content = helper.make_model(helper.make_graph(
        nodes, 'g', [info('image', 1, [4])], [info('y', 1, [4])],
        [numpy_helper.from_array(i64(*values), 'a'),
         numpy_helper.from_array(i64(2, 2, -2, -2), 'b')]),
        opset_imports=[helper.make_opsetid('', OPSET)], ir_version=9).SerializeToString()
    assert_same(content, np.zeros(4, np.float32))


@pytest.mark.parametrize(('operator', 'constants', 'attributes', 'said'), [
    ('AveragePool', (), {'kernel_shape': [2, 2], 'pads': [0, 0, 1, 1]}, 'symmetric pads'),
    ('Conv', (f32(2, 4, 3, 3),), {'auto_pad': 'SAME_UPPER'}, 'explicit pads'),
    ('ConvTranspose', (f32(4, 2, 3, 3),), {'pads': [0, 0, 1, 1]}, 'symmetric pads'),
    ('Resize', ('', np.float32([1, 1, 1.3, 1.3])), {'mode': 'linear'}, 'whole sizes'),
    ('Resize', ('', '', i64(1, 8, 6, 9)), {'mode': 'linear'}, 'height and width'),
    ('Resize', ('', '', i64(1, 4, 9, 9)), {'mode': 'nearest'}, 'nearest by floor'),
    ('Resize', ('', '', i64(1, 4, 9, 9)), {'mode': 'linear', 'coordinate_transformation_mode':
                                           'half_pixel_symmetric'}, 'half_pixel'),
    ('Resize', ('', '', i64(1, 4, 9, 9)), {'mode': 'cubic', 'cubic_coeff_a': -0.5}, 'cubic'),
    ('Resize', ('', '', i64(1, 4, 3, 4)), {'mode': 'linear', 'antialias': 1}, 'antialias'),
    ('ReduceL2', (i64(),), {'noop_with_empty_axes': 1}, 'axes'),   # ORT: of each value its own
    ('Pad', (i64(0, 0, 1, 1, 0, 0, 1, 1),), {'mode': 'reflect'}, 'constant borders'),
    ('ArgMax', (), {'axis': 1, 'select_last_index': 1}, 'select_last_index 0'),
    ('Reshape', (i64(0, 2, -1, 9),), {'allowzero': 1}, 'allowzero 0'),
])
def test_what_torch_does_otherwise_is_refused(operator, constants, attributes, said):
    with pytest.raises(NotImplementedError, match=f'operator {operator}: want .*{said}'):
        convert(graph(operator, constants, **attributes), PICTURE.shape)


def test_older_operators_that_mean_something_else_are_refused():
    """Before opset 13 Softmax went over all axes from the first on."""
    with pytest.raises(ValueError, match=r'opset 11, want 13 or newer.*export'):
        convert(graph('Softmax', opset=11), PICTURE.shape)


def test_a_shape_that_depends_on_the_picture_is_refused():
    helper = onnx.helper
    info = helper.make_tensor_value_info
    nodes = [helper.make_node('Cast', ['image'], ['i'], to=7),
             helper.make_node('Reshape', ['image', 'i'], ['y'])]
    content = helper.make_model(helper.make_graph(
        nodes, 'g', [info('image', 1, [1])], [info('y', 1, None)]),
        opset_imports=[helper.make_opsetid('', OPSET)], ir_version=9).SerializeToString()
    with pytest.raises(NotImplementedError, match='input 1 depends on the picture'):
        convert(content, (1,))


def test_what_a_weight_cannot_be_is_named():
    with pytest.raises(ValueError, match='operator Conv'):
        convert(graph('Conv', (f32(6, 5, 3, 3),), shape=None), PICTURE.shape)


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
def test_norms_that_are_written_out_are_computed_in_f32(kind):
    """As the light DeMT's: 300 has no square in f16, and its norm would be the bias alone."""
    helper = onnx.helper
    nodes = [helper.make_node('Conv', ['image', 'w'], ['x']),
             helper.make_node('Mul', ['x', 'x'], ['squares']),
             helper.make_node('ReduceMean', ['squares', 'axes'], ['mean'], keepdims=1),
             helper.make_node('Sqrt', ['mean'], ['root']),
             helper.make_node('Reciprocal', ['root'], ['scale']),
             helper.make_node('Mul', ['x', 'scale'], ['y0'])]
    info = helper.make_tensor_value_info
    weights = [onnx.numpy_helper.from_array(300 * np.eye(4, dtype=np.float32)[:, :, None, None],
                                            'w'), onnx.numpy_helper.from_array(i64(1), 'axes')]
    content = helper.make_model(
        helper.make_graph(nodes, 'g', [info('image', 1, PICTURE.shape)],
                          [helper.make_empty_tensor_value_info('y0')], weights),
        opset_imports=[helper.make_opsetid('', OPSET)], ir_version=9).SerializeToString()
    content = onnx.shape_inference.infer_shapes(onnx.load_from_string(content)).SerializeToString()
    (wanted,) = both(content)[1]
    with torch.autocast('cpu', kind):
        (seen,) = convert(content, PICTURE.shape)(torch.from_numpy(PICTURE))
    assert seen.dtype == torch.float32
    np.testing.assert_allclose(seen.numpy(), wanted, atol=0.02)


def test_exponentials_are_computed_in_f32():
    (seen,) = convert(graph('Exp'), PICTURE.shape)(torch.full(PICTURE.shape, 12).half())
    assert seen.dtype == torch.float32 and seen.isfinite().all()
