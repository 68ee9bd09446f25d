"""A choice of precision that is kept is made anew where what was compared is no more."""

import hashlib
from types import SimpleNamespace

import pytest

from demt_perception.inference.engines import Order, precision
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.precision import CONVERSION, load_chosen

GRAPH = """<ir_version: 9, opset_import: ["" : 18]>
g (float[1,3,8,8] image) => (float[1,3,16,16] depth)
<float[3,3,1,1] w = {0.1, -1.7, 2.3, 0.01, 3.14159, 2.71828, -0.333, 7.7, 100.3},
 int64[1] zero = {0}, int64[1] two = {2}, int64[1] last = {3}, float[4] scales = {1, 1, 2, 2},
 float[0] roi = {}>
{
  y = Conv (image, w)
  offset = Conv (y, w)
  turned = Transpose <perm = [0, 2, 3, 1]> (offset)
  grid = Slice (turned, zero, two, last)
  moved = GridSample (y, grid)
  squares = Mul (moved, moved)
  power = ReduceMean (squares)
  root = Sqrt (power)
  normed = Div (moved, root)
  shares = Softmax <axis = 1> (normed)
  mixed = Conv (shares, w)
  depth = Resize <mode = "linear"> (mixed, roi, scales)
}"""
"""Something of all that the conversion treats in its own way."""


@pytest.fixture
def compared(monkeypatch, tmp_path):
    """Return the precisions that are compared from then on; all are good."""
    seen = []
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path))
    monkeypatch.setattr(precision, 'Trial', lambda *order: SimpleNamespace(
        against='all', figures=lambda engine, exact: seen.append(engine.precision) or []))
    return seen


def load():
    order = Order(b'graph', (1, 3, 8, 8), 1, 'auto', 'cuda', Build())
    return load_chosen(order, 'onnxruntime cuda', '1.31', ('f16', 'f32'), lambda name: (
        SimpleNamespace(precision=name, reason='cuda', close=lambda: None)))


@pytest.mark.parametrize(('name', 'value'), [('CONVERSION', CONVERSION + 1),
                                             ('__version__', '99.0.0')])
def test_what_other_code_makes_of_graphs_is_compared_anew(compared, monkeypatch, name, value):
    for _ in range(2):
        assert load().precision == 'f16'
    assert compared == ['f16']
    monkeypatch.setattr(precision, name, value)
    assert 'as chosen before' not in load().reason
    assert compared == ['f16', 'f16']
    assert 'as chosen before' in load().reason


def test_who_changes_the_conversion_raises_its_number():
    """Where this fails: raise ``CONVERSION``, and write it here with the new hash."""
    onnx = pytest.importorskip('onnx', reason='converts graphs')
    from demt_perception.inference.conversion import converted

    graph = onnx.parser.parse_model(GRAPH).SerializeToString()
    content = hashlib.sha256()
    for kind in ('f16', 'bf16'):
        made = onnx.load_from_string(converted(graph, kind)).graph
        for node in made.node:
            content.update(f'{node.op_type} {[*node.input, *node.output]}'.encode())
        for tensor in made.initializer:
            content.update(f'{tensor.name} {tensor.data_type} {tensor.raw_data!r}'.encode())
    assert (CONVERSION, content.hexdigest()[:16]) == (1, 'be04d40a4fd0898e')
