"""Interactions that mix pixels, against loops in float64; gradients, precision, export."""

from collections import Counter
import math

import pytest
import torch
from torch.nn import functional as F

from demt_perception.networks.interaction.flexible import DeformableInteraction
from demt_perception.networks.interaction.spatial import SpatialInteraction

DIM, HEADS, TASKS = 12, 3, 3
MAKERS = {
    'full': lambda: SpatialInteraction(DIM, HEADS, reduction=1),
    'reduced': lambda: SpatialInteraction(DIM, HEADS, reduction=3),
    'windowed': lambda: SpatialInteraction(DIM, HEADS, window=4),
    'deformable': lambda: DeformableInteraction(DIM, HEADS, points=2)}
SIZES = [(1, 1), (1, 6), (5, 7), (8, 4)]
# Nothing here needs a plugin in ONNX Runtime, OpenVINO or TensorRT 10.3.
OPERATORS = {
    'Add', 'AveragePool', 'Cast', 'Concat', 'Div', 'Expand', 'Gather', 'Greater', 'GridSample',
    'IsNaN', 'LayerNormalization', 'MatMul', 'Mul', 'Neg', 'Pad', 'Range', 'ReduceSum', 'Reshape',
    'Shape', 'Slice', 'Softmax', 'Squeeze', 'Sub', 'Transpose', 'Unsqueeze', 'Where'}


@pytest.fixture(params=list(MAKERS))
def interaction(request):
    module = MAKERS[request.param]().eval()
    for name, parameter in module.named_parameters():
        if 'norm' in name or 'smlp.1' in name:
            torch.nn.init.normal_(parameter, 0.5, 0.5)
        if 'aim' in name:  # leave the ring: offsets and weights differ from token to token
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter) * 0.4)
    return module


def tokens(size, batch=2, scale=1.0):
    return torch.randn(batch, TASKS, size[0] * size[1], DIM) * scale


def linear(layer, x):
    bias = 0 if layer.bias is None else layer.bias.double()
    return x @ layer.weight.double().T + bias


def norm(layer, x):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.square().mean(-1, keepdim=True) + layer.eps).sqrt()
    return x * layer.weight.double() + layer.bias.double()


def attend(query, keys, values):
    """One query (C,) to (L, C) keys and values, head by head."""
    width, out = DIM // HEADS, []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        weights = torch.softmax(keys[:, part] @ query[part] / math.sqrt(width), 0)
        out.append(weights @ values[:, part])
    return torch.cat(out)


def spatial_reference(module, x, size):
    """What the tokens of one image (T, P, C) receive."""
    height, width = size
    x = x.reshape(TASKS, height, width, DIM)
    out = torch.zeros_like(x)
    step = module.reduction
    means = torch.stack([x[t, r:r + step, c:c + step].reshape(-1, DIM).mean(0)
                         for t in range(TASKS) for r in range(0, height, step)
                         for c in range(0, width, step)])
    for t in range(TASKS):
        for r in range(height):
            for c in range(width):
                seen = means
                if module.window:
                    w = module.window
                    top, left = r // w * w, c // w * w
                    seen = x[:, top:top + w, left:left + w].reshape(-1, DIM)
                out[t, r, c] = attend(linear(module.query, x[t, r, c]),
                                      linear(module.key, seen), linear(module.value, seen))
    return out.reshape(TASKS, -1, DIM)


def bilinear(plane, y, x):
    """Sample (H, W, C) at (y, x) pixels, zero outside."""
    out = torch.zeros(plane.shape[-1], dtype=torch.float64)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                out += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return out


def deformable_reference(module, x, size):
    height, width = size
    points, part = module.points, DIM // HEADS
    values = linear(module.value, x).reshape(TASKS, height, width, HEADS, part)
    own = linear(module.aim, x).reshape(TASKS, height, width, 3, HEADS, points)
    other = linear(module.aim_task, x).reshape(TASKS, height, width, 3, HEADS, points)
    out = torch.zeros(TASKS, height, width, HEADS, part, dtype=torch.float64)
    for t in range(TASKS):
        for r in range(height):
            for c in range(width):
                aims = own[t, r, c] + other[:, r, c]  # (task looked at, 3, heads, points)
                for head in range(HEADS):
                    weights = torch.softmax(aims[:, 2, head].flatten(), 0).reshape(TASKS, points)
                    for target in range(TASKS):
                        for k in range(points):
                            dx, dy = aims[target, 0, head, k], aims[target, 1, head, k]
                            out[t, r, c, head] += weights[target, k] * bilinear(
                                values[target, :, :, head], r + float(dy), c + float(dx))
    return out.reshape(TASKS, -1, DIM)


@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_equals_the_slow_reference(interaction, size):
    z = tokens(size)
    reference = deformable_reference if isinstance(interaction, DeformableInteraction) \
        else spatial_reference
    for image, got in zip(z.double(), interaction(z, size).double(), strict=True):
        mixed = reference(interaction, norm(interaction.norm, image), size)
        small = linear(interaction.smlp[0], image + linear(interaction.out, mixed))
        wanted = norm(interaction.smlp[1], small)
        assert (got - wanted).abs().max() < 2e-5 * wanted.abs().max()


@torch.no_grad()
def test_without_reduction_it_is_torch_multihead_attention():
    module = SpatialInteraction(DIM, HEADS, reduction=1)
    theirs = torch.nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    theirs.in_proj_weight.copy_(torch.cat(
        [m.weight for m in (module.query, module.key, module.value)]))
    theirs.in_proj_bias.copy_(torch.cat(
        [module.query.bias, torch.zeros(DIM), module.value.bias]))
    theirs.out_proj.load_state_dict(module.out.state_dict())
    z = tokens((4, 5))
    flat = module.norm(z).flatten(1, 2)
    wanted = module.smlp(z + theirs(flat, flat, flat)[0].reshape(z.shape))
    assert torch.allclose(module(z, (4, 5)), wanted, atol=1e-5)


@torch.no_grad()
def test_a_window_as_large_as_the_map_sees_all_of_it():
    full = SpatialInteraction(DIM, HEADS, reduction=1)
    window = SpatialInteraction(DIM, HEADS, window=9)
    window.load_state_dict(full.state_dict())
    z = tokens((5, 7))
    assert torch.allclose(full(z, (5, 7)), window(z, (5, 7)), atol=1e-5)


@torch.no_grad()
def test_sampling_starts_on_a_ring_with_equal_weights():
    module = DeformableInteraction(16, 4, points=2)
    aims = module.aim.bias.reshape(3, 4, 2)
    directions = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1]])  # x, y of the four heads
    assert torch.allclose(aims[:2, :, 0], directions, atol=1e-6)
    assert torch.allclose(aims[:2, :, 1], 2 * directions, atol=1e-6)
    assert not aims[2].any() and not module.aim.weight.any() and not module.aim_task.weight.any()


@torch.no_grad()
def test_images_do_not_influence_each_other(interaction):
    z = tokens((6, 5), batch=3)
    together = interaction(z, (6, 5))
    for index in range(3):
        alone = interaction(z[index:index + 1], (6, 5))
        assert torch.allclose(together[index:index + 1], alone, atol=1e-5)


@torch.no_grad()
def test_tasks_and_pixels_do_influence_each_other(interaction):
    z = tokens((4, 4), batch=1)
    changed = z.clone()
    changed[0, 1, 5] += torch.randn(DIM)
    moved = (interaction(z, (4, 4)) - interaction(changed, (4, 4))).abs().amax(-1)[0] > 1e-5
    others = moved.clone()
    others[1, 5] = False
    assert others[0].any() and others[2].any(), 'the other tasks see nothing of it'
    assert others[:, torch.arange(16) != 5].any(), 'the other pixels see nothing of it'


@pytest.mark.parametrize('name', list(MAKERS))
def test_every_parameter_gets_a_gradient_from_the_start(name):
    module = MAKERS[name]()
    module(tokens((7, 6)), (7, 6)).mul(torch.randn(DIM)).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 1e-5, key


@pytest.mark.parametrize('size', [(1, 1), (9, 14)])
def test_runs_in_bf16_autocast_near_float32(interaction, size):
    z = tokens(size)
    wanted = interaction(z, size)
    with torch.autocast('cpu', torch.bfloat16):
        got = interaction(z, size)
    got.float().sum().backward()
    assert got.isfinite().all()
    assert (got.float() - wanted).norm() < 0.05 * wanted.norm()


def test_coordinates_stay_float32_under_autocast(monkeypatch):
    grids, plain = [], F.grid_sample

    def record(x, grid, **options):
        assert x.dtype == torch.float32
        grids.append(grid)
        return plain(x, grid, **options)

    monkeypatch.setattr(F, 'grid_sample', record)
    module = DeformableInteraction(DIM, HEADS)
    torch.nn.init.normal_(module.aim.weight)
    z = tokens((2, 300), batch=1)
    module(z, (2, 300))
    with torch.autocast('cpu', torch.bfloat16):
        module(z, (2, 300))
    half = len(grids) // 2
    for wanted, got in zip(grids[:half], grids[half:], strict=True):
        assert got.dtype == torch.float32
        assert (wanted - got).abs().max() * 150 < 1e-3, 'pixels'


@torch.no_grad()
def test_works_in_other_floating_types(interaction):
    z = tokens((5, 6))
    wanted = interaction(z, (5, 6))
    double = interaction.double()(z.double(), (5, 6))
    assert double.dtype == torch.float64 and torch.allclose(double.float(), wanted, atol=1e-4)


class OnMaps(torch.nn.Module):
    """As a head calls it: maps (B, T, C, h, w) of any size."""

    def __init__(self, interaction):
        super().__init__()
        self.interaction = interaction

    def forward(self, maps):
        size = maps.shape[-2:]
        z = self.interaction(maps.flatten(3).transpose(2, 3), (size[0], size[1]))
        return z.transpose(2, 3).unflatten(3, size)


def test_export_runs_everywhere_at_any_size(interaction, tmp_path):
    onnx = pytest.importorskip('onnx', reason='export needs onnx: pip install onnx')
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime', reason='pip install onnxruntime')
    module, path = OnMaps(interaction).eval(), tmp_path / 'interaction.onnx'
    sizes = {3: torch.export.Dim('h', min=1, max=512), 4: torch.export.Dim('w', min=1, max=512)}
    torch.onnx.export(module, (torch.randn(1, TASKS, DIM, 6, 11),), str(path), dynamo=True,
                      opset_version=20, external_data=False, dynamic_shapes=(sizes,),
                      verbose=False)
    model = onnx.load(path)
    operators = Counter(node.op_type for node in model.graph.node)
    assert not model.functions and {n.domain for n in model.graph.node} == {''}
    assert [i.version for i in model.opset_import if i.domain == ''] == [20]
    assert set(operators) <= OPERATORS, set(operators) - OPERATORS
    if isinstance(interaction, DeformableInteraction):
        assert operators['GridSample'] == TASKS
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    for size in ((6, 11), (1, 1), (8, 4), (3, 13)):
        maps = torch.randn(1, TASKS, DIM, *size)
        with torch.no_grad():
            wanted = module(maps)
        got = torch.from_numpy(session.run(None, {'maps': maps.numpy()})[0])
        assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max(), size


@pytest.mark.parametrize('make', [SpatialInteraction, DeformableInteraction])
def test_wrong_numbers_are_refused(make):
    with pytest.raises(ValueError, match='dim 10 is not divisible by heads 4: choose a divisor'):
        make(10, 4)
    options = {'window': 0} if make is SpatialInteraction else {'points': 0}
    with pytest.raises(ValueError, match='want 1 or more'):
        make(8, 2, **options)
