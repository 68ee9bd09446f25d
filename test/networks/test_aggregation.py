"""From four maps to one: against plain formulas, odd sizes, no dead parameter, fused, exported."""

from collections import Counter

import pytest
import torch
from torch.nn import functional as F

from demt_perception.networks.aggregation import ConcatAggregation, create_aggregation
from demt_perception.networks.fusing.aggregation import fuse_concat
from demt_perception.networks.fusing.norms import fold_batch_norms

CHANNELS, DIM = (6, 8, 12, 16), 10
ODD = ((13, 17), (7, 9), (4, 5), (2, 3))
SHAPES = {'odd': ODD, 'even': ((16, 24), (8, 12), (4, 6), (2, 3)), 'least': ((1, 1),) * 4,
          'dilated': ((11, 13), (6, 7), (6, 7), (6, 7)),
          'strange': ((5, 4), (9, 2), (1, 3), (3, 1))}
NAMES = ('concat', 'fpn', 'bifpn')
# Nothing here needs a plugin in ONNX Runtime, OpenVINO or TensorRT 10.3.
OPERATORS = {'Add', 'Cast', 'Concat', 'Conv', 'Div', 'LayerNormalization', 'MatMul', 'MaxPool',
             'Mul', 'Pow', 'ReduceMean', 'Reciprocal', 'Reshape', 'Resize', 'Sigmoid', 'Sqrt',
             'Transpose'}


def maps(shapes=ODD, batch=2):
    return [torch.randn(batch, c, *s) for c, s in zip(CHANNELS, shapes, strict=True)]


def randomise(module):
    """Weights and statistics at which no part can be forgotten unseen."""
    for child in module.modules():
        if isinstance(child, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(child.running_mean, 0, 0.3)
            torch.nn.init.uniform_(child.running_var, 0.5, 2)
        if isinstance(child, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
            torch.nn.init.normal_(child.weight, 1, 0.3)
            torch.nn.init.normal_(child.bias, 0, 0.3)
    for name, parameter in module.named_parameters():
        if parameter.shape in ((2,), (3,)):  # fusion weights, one of them cut off by the ReLU
            with torch.no_grad():
                parameter.copy_(torch.tensor([0.7, -0.4, 1.6])[:len(parameter)]
                                if 'first.up.0' in name else torch.rand(len(parameter)) + 0.2)
    return module


@pytest.fixture(params=NAMES)
def aggregation(request):
    return randomise(create_aggregation(request.param, CHANNELS, DIM)).eval()


def to(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


def layer_norm(layer, x):
    mean = x.mean(1, keepdim=True)
    spread = ((x - mean).square().mean(1, keepdim=True) + layer.eps).sqrt()
    weight, bias = (p.reshape(1, -1, 1, 1) for p in (layer.weight, layer.bias))
    return (x - mean) / spread * weight + bias


def concat_reference(module, m):
    x = torch.cat([m[0]] + [to(x, m[0].shape[-2:]) for x in m[1:]], dim=1)
    return torch.einsum('oc,bchw->bohw', module.project.weight, x) + \
        module.project.bias.reshape(1, -1, 1, 1)


def fpn_reference(module, m):
    p = [layer(x) for layer, x in zip(module.lateral, m, strict=True)]
    p3 = p[2] + to(p[3], p[2].shape[-2:])
    p2 = p[1] + to(p3, p[1].shape[-2:])
    return module.smooth(p[0] + to(p2, p[0].shape[-2:]))


def bifpn_reference(module, m):
    """The graph of the EfficientDet paper written out for four levels, fine a to coarse d."""
    def node(layer, *inputs):
        w = layer.weight.clamp(min=0)
        return layer.conv(F.silu(sum(w[i] * x for i, x in enumerate(inputs)) / (w.sum() + 1e-4)))

    def up(x, like):
        return to(x, like.shape[-2:])

    def down(x, like):
        if x.shape == like.shape:
            return x
        return to(F.max_pool2d(x, 3, 2, 1), like.shape[-2:])

    a, b, c, d = (layer(x) for layer, x in zip(module.lateral, m, strict=True))
    first = module.first
    c1 = node(first.down[2], c, up(d, c))
    b1 = node(first.down[1], b, up(c1, b))
    a1 = node(first.down[0], a, up(b1, a))
    b2 = node(first.up[0], b, b1, down(a1, b))
    c2 = node(first.up[1], c, c1, down(b2, c))
    d2 = node(first.up[2], d, down(c2, d))
    c3 = node(module.last[2], c2, up(d2, c))
    b3 = node(module.last[1], b2, up(c3, b))
    return node(module.last[0], a1, up(b3, a))


REFERENCES = {'ConcatAggregation': concat_reference, 'FPNAggregation': fpn_reference,
              'BiFPNAggregation': bifpn_reference}


@pytest.mark.parametrize('shapes', SHAPES.values(), ids=SHAPES)
@torch.no_grad()
def test_equals_the_formula(aggregation, shapes):
    aggregation.double()
    m = [x.double() for x in maps(shapes)]
    wanted = layer_norm(aggregation.norm, REFERENCES[type(aggregation).__name__](aggregation, m))
    got = aggregation(m)
    assert got.shape == (2, DIM, *shapes[0])
    assert (got - wanted).abs().max() < 1e-9


@torch.no_grad()
def test_concat_of_one_pixel_is_a_linear_layer():
    module = randomise(ConcatAggregation(CHANNELS, DIM))
    m = maps(((1, 1),) * 4)
    flat = torch.cat([x.flatten(1) for x in m], dim=1)
    assert torch.allclose(module(m).flatten(1), module.norm(module.project(flat)), atol=1e-6)


def test_every_parameter_and_every_map_matters(aggregation):
    for child in aggregation.modules():  # a negative fusion weight is cut off on purpose
        if isinstance(getattr(child, 'weight', None), torch.nn.Parameter) and child.weight.dim() \
                == 1:
            child.weight.data.abs_()
    aggregation.train()
    m = [x.requires_grad_() for x in maps()]
    aggregation(m).mul(torch.randn(1, DIM, 13, 17)).sum().backward()
    for name, parameter in aggregation.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 1e-6, name
    assert all(float(x.grad.abs().max()) > 1e-6 for x in m)


@torch.no_grad()
def test_images_do_not_influence_each_other(aggregation):
    m = maps(batch=3)
    alone = aggregation([x[1:2] for x in m])
    assert torch.allclose(aggregation(m)[1:2], alone, atol=1e-5)


def test_runs_in_bf16_autocast_near_float32(aggregation):
    m = maps()
    wanted = aggregation(m)
    with torch.autocast('cpu', torch.bfloat16):
        got = aggregation(m)
    got.float().sum().backward()
    assert (got.float() - wanted).norm() < 0.05 * wanted.norm()


@pytest.mark.parametrize('shapes', SHAPES.values(), ids=SHAPES)
@torch.no_grad()
def test_fused_concat_is_equal(shapes):
    module = randomise(ConcatAggregation(CHANNELS, DIM))
    module.project.bias.add_(3)  # a common shift of all channels, which the norm takes away
    fused, m = fuse_concat(module), maps(shapes)
    wanted = module(m)
    assert (fused(m) - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert not any(isinstance(x, torch.nn.LayerNorm | torch.nn.Linear) for x in fused.modules())


@torch.no_grad()
def test_fused_concat_keeps_the_original_as_it_is():
    module = randomise(ConcatAggregation(CHANNELS, DIM))
    m, before = maps(), {k: v.clone() for k, v in module.state_dict().items()}
    fused = fuse_concat(module)
    wanted = module(m)
    for parameter in fused.parameters():
        parameter.zero_()
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert torch.equal(module(m), wanted)


@pytest.mark.parametrize('name', ['fpn', 'bifpn'])
@torch.no_grad()
def test_norms_fold_into_the_convolutions_before_them(name):
    module, m = randomise(create_aggregation(name, CHANNELS, DIM)).eval(), maps()
    wanted = module(m)
    fold_batch_norms(module)
    assert not any(isinstance(x, torch.nn.BatchNorm2d) for x in module.modules())
    assert (module(m) - wanted).abs().max() < 1e-5 * wanted.abs().max()


class OnMaps(torch.nn.Module):
    def __init__(self, aggregation):
        super().__init__()
        self.aggregation = aggregation

    def forward(self, a, b, c, d):
        return self.aggregation([a, b, c, d])


@pytest.mark.parametrize('form', [*NAMES, 'fused'])
def test_export_runs_everywhere(form, tmp_path):
    onnx = pytest.importorskip('onnx', reason='export needs onnx: pip install onnx')
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime', reason='pip install onnxruntime')
    aggregation = randomise(create_aggregation('concat' if form == 'fused' else form,
                                               CHANNELS, DIM)).eval()
    module = OnMaps(fuse_concat(aggregation) if form == 'fused' else aggregation).eval()
    path, m = tmp_path / 'aggregation.onnx', maps(batch=1)
    torch.onnx.export(module, tuple(m), str(path), dynamo=True, opset_version=20,
                      external_data=False, verbose=False)
    model = onnx.load(path)
    operators = Counter(node.op_type for node in model.graph.node)
    assert not model.functions and set(operators) <= OPERATORS, set(operators) - OPERATORS
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    with torch.no_grad():
        wanted = module(*m)
    got = torch.from_numpy(session.run(None, {
        i.name: x.numpy() for i, x in zip(session.get_inputs(), m, strict=True)})[0])
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"aggregation 'fnp' is unknown: want one of \['bifpn'"):
        create_aggregation('fnp', CHANNELS, DIM)
