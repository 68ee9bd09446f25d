"""The published losses against the official numbers, slow references and their own rules."""

import json
from pathlib import Path
import re

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from hypothesis import given, settings
from hypothesis import strategies as st

from demt_perception.training.losses.released import (
    balanced_bce,
    DEMT_NYUD,
    DEMT_PASCAL,
    hed_bce,
    MTL,
    MTL_PARTIAL,
    normals_l1_per_element,
    normals_l1_per_pixel,
    WEIGHTS,
)

GOLDEN = Path(__file__).resolve().parents[1] / 'data' / 'golden'
TABLES = {'demt': DEMT_NYUD, 'mtl': MTL}
CASES = [(name, task) for name, table in TABLES.items() for task in table]
CHANNELS = {'semseg': 5, 'human_parts': 7, 'sal': 2, 'normals': 3, 'depth': 1, 'edge': 1}
# All that ignore 255, under both names of tasks.
IGNORING = {f'demt {task}': (task, loss) for task, loss in DEMT_PASCAL.items()} | {
    f'mtl {task}': (task, MTL_PARTIAL[task]) for task in ('sal', 'normals', 'edge')}


@pytest.fixture(scope='module')
def official():
    safetensors = pytest.importorskip('safetensors.torch')
    if not GOLDEN.exists():
        pytest.skip(f'{GOLDEN} is not at hand')
    return (safetensors.load_file(GOLDEN / 'losses_metrics.safetensors'),
            json.loads((GOLDEN / 'losses_metrics.json').read_text()))


def golden_prediction(arrays, name, task):
    own = f'{name}.pred.{task}'
    return arrays[own if own in arrays else f'pred.{task}'].clone()


@pytest.mark.parametrize(('name', 'task'), CASES)
def test_value_and_gradient_are_the_official_ones(official, name, task):
    arrays, values = official
    prediction = golden_prediction(arrays, name, task).requires_grad_()
    loss = TABLES[name][task](prediction, arrays[f'target.{task}'])
    assert loss.item() == pytest.approx(values[f'{name}.loss.{task}'], rel=3e-7)
    loss.backward()
    wanted = arrays[f'{name}.grad.{task}']
    assert (prediction.grad - wanted).abs().max() <= 3e-7 * wanted.abs().max()


def test_boundary_weights_are_the_official_ones(official):
    arrays, values = official
    pair = arrays['pred.edge'], arrays['target.edge']
    assert DEMT_PASCAL['edge'](*pair).item() == pytest.approx(
        values['demt.loss.edge_pos0.95'], rel=3e-7)
    assert balanced_bce(*pair).item() == pytest.approx(
        values['demt.loss.edge_HED(pos_weight=None)'], rel=3e-7)


@pytest.mark.parametrize(('name', 'task'), CASES)
def test_half_precision_is_computed_in_full(official, name, task):
    arrays, _ = official
    half = golden_prediction(arrays, name, task).bfloat16()
    target = arrays[f'target.{task}']
    half.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        loss = TABLES[name][task](half, target)
    full = half.detach().float().requires_grad_()
    wanted = TABLES[name][task](full, target)
    assert loss.dtype == torch.float32
    assert loss.item() == wanted.item()
    loss.backward()
    wanted.backward()
    assert torch.equal(half.grad, full.grad.bfloat16())


@pytest.mark.parametrize('key', IGNORING)
def test_nothing_labelled_gives_zero_and_a_zero_gradient(key):
    task, loss = IGNORING[key]
    channels = 1 if key == 'mtl sal' else CHANNELS[task]
    logits = torch.randn(2, channels, 4, 5, requires_grad=True)
    value = loss(logits, torch.full((2, 3 if task == 'normals' else 1, 4, 5), 255.0))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_without_ignoring_unlabelled_counts_as_positive():
    logits = torch.zeros(1, 1, 1, 2, requires_grad=True)
    value = hed_bce(logits, torch.tensor([[[[255.0, 0.0]]]]), 0.95)
    assert value.item() == pytest.approx(np.log(2) * (0.95 + 0.05) / 2)


def test_depth_ignores_what_our_datasets_mark_unknown_or_sky():
    target = torch.tensor([[[float('nan'), float('inf'), 255.0, 3.0]]])
    logits = torch.tensor([[[[9.0, 9.0, 9.0, 5.0]]]], requires_grad=True)
    value = DEMT_NYUD['depth'](logits, target)
    value.backward()
    assert value.item() == 2
    assert logits.grad.flatten().tolist() == [0, 0, 0, 1]


def test_the_conventions_of_normals_differ_by_three():
    logits, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    target[0, :, 1] = 255
    assert normals_l1_per_pixel(logits, target).item() == pytest.approx(
        3 * normals_l1_per_element(logits, target).item(), rel=1e-6)


def test_labels_of_another_size_are_refused():
    for loss in (balanced_bce, hed_bce, DEMT_NYUD['depth']):
        with pytest.raises(ValueError, match=re.escape(
                'target (1, 1, 4, 4) does not fit logits (2, 1, 4, 4): want one channel, and '
                'resize the logits to the labels first') + '$'):
            loss(torch.zeros(2, 1, 4, 4), torch.zeros(1, 4, 4))


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize('key', IGNORING)
def test_every_precision_is_computed_in_single_at_least(key, kind):
    task, loss = IGNORING[key]
    generator = torch.Generator().manual_seed(0)
    channels = 1 if key == 'mtl sal' else CHANNELS[task]
    logits = torch.randn(2, channels, 4, 5, generator=generator).to(kind)
    wanted = torch.promote_types(kind, torch.float32)
    shape = (2, 3 if task == 'normals' else 1, 4, 5)
    target = torch.randint(0, 2, shape, generator=generator).to(wanted)
    value = loss(logits, target)
    assert value.dtype == wanted
    assert value.item() == loss(logits.to(wanted), target).item()


def test_a_boundary_as_likely_as_not_counts_as_one():
    logits, target = torch.tensor([[[[1.0, -2.0, 3.0]]]]), torch.tensor([[[0.5, 0.49, 0.0]]])
    costs = np.logaddexp(0, [-1.0, -2.0, 3.0])
    assert hed_bce(logits, target, 0.7).item() == pytest.approx(costs @ [0.7, 0.3, 0.3] / 3)
    # One of three is positive: unless it is said it weighs two thirds.
    assert hed_bce(logits, target).item() == pytest.approx(costs @ [2 / 3, 1 / 3, 1 / 3] / 3)


def test_a_single_pixel_is_the_mean_of_itself():
    one, target = torch.tensor([[[[2.0]]]]), torch.ones(1, 1, 1, 1)
    assert DEMT_NYUD['edge'](one, target).item() == pytest.approx(0.8 * np.logaddexp(0, -2))
    assert DEMT_PASCAL['edge'](one, target).item() == pytest.approx(0.95 * np.logaddexp(0, -2))
    assert DEMT_NYUD['depth'](one, target).item() == 1
    two = torch.tensor([[[[2.0]], [[0.0]]]])
    assert DEMT_NYUD['semseg'](two, target).item() == pytest.approx(np.logaddexp(0, 2))
    # All that is labelled is positive: positives weigh the share of negatives, none.
    assert DEMT_NYUD['sal'](two, target).item() == 0


def softplus(x):
    return np.logaddexp(0, x)


def slow_cross_entropy(x, y, balanced=False):
    """Pixel by pixel, in float64."""
    pixels = [(x[b, :, i, j], int(y[b, 0, i, j])) for b, i, j in np.ndindex(y[:, 0].shape)
              if y[b, 0, i, j] != 255]
    positives = sum(k for _, k in pixels) / max(len(pixels), 1)
    weight = (positives, 1 - positives) if balanced else None
    total = sum((weight[k] if weight else 1) * (np.logaddexp.reduce(z) - z[k]) for z, k in pixels)
    return total / max(len(pixels), 1)


def slow_bce(x, y, w=None):
    pixels = [(a, b) for a, b in zip(x.ravel(), y.ravel(), strict=True) if b != 255]
    if w is None:
        w = sum(1 - b for _, b in pixels) / max(len(pixels), 1)
    return sum(w * b * softplus(-a) + (1 - w) * (1 - b) * softplus(a)
               for a, b in pixels) / max(len(pixels), 1)


def slow_depth(x, y):
    errors = [abs(a - b) for a, b in zip(x.ravel(), y.ravel(), strict=True) if b != 255]
    return sum(errors) / max(len(errors), 1)


def slow_normals(x, y):
    errors = []
    for b, i, j in np.ndindex(y[:, 0].shape):
        if not (y[b, :, i, j] == 255).any():
            unit = x[b, :, i, j] / np.sqrt((x[b, :, i, j] ** 2).sum())
            errors.append(np.abs(unit - y[b, :, i, j]).sum())
    return sum(errors) / max(len(errors), 1)


SLOW = {
    'demt semseg': slow_cross_entropy, 'demt human_parts': slow_cross_entropy,
    'demt sal': lambda x, y: slow_cross_entropy(x, y, balanced=True),
    'demt normals': slow_normals, 'demt depth': slow_depth,
    'demt edge': lambda x, y: slow_bce(x, y, 0.95),
    'mtl sal': slow_bce, 'mtl normals': lambda x, y: slow_normals(x, y) / 3,
    'mtl edge': lambda x, y: slow_bce(x, y, 0.95)}


@st.composite
def labelled(draw, key):
    """Return (logits, target, ignored pixels), float64, with any share of pixels ignored."""
    task = IGNORING[key][0]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b, h, w = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)))
    channels = 1 if key == 'mtl sal' else CHANNELS[task]
    logits = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 10.0])), (b, channels, h, w))
    if task == 'normals':
        target = rng.normal(size=(b, 3, h, w))
        target /= np.linalg.norm(target, axis=1, keepdims=True)
    elif task == 'depth':
        target = rng.uniform(0.5, 10, (b, 1, h, w))
    else:
        target = rng.integers(0, max(channels, 2), (b, 1, h, w)).astype(float)
    ignored = rng.random((b, 1, h, w)) < draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    target[np.broadcast_to(ignored, target.shape)] = 255
    return torch.from_numpy(logits), torch.from_numpy(target), torch.from_numpy(ignored)


@pytest.mark.parametrize('key', IGNORING)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_agrees_with_the_slow_reference(key, data):
    logits, target, _ = data.draw(labelled(key))
    value = IGNORING[key][1](logits, target).item()
    assert value == pytest.approx(SLOW[key](logits.numpy(), target.numpy()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize('key', IGNORING)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_lies_under_ignored_pixels_has_no_influence(key, data):
    logits, target, ignored = data.draw(labelled(key))
    logits.requires_grad_()
    loss = IGNORING[key][1]
    value = loss(logits, target)
    value.backward()
    assert (logits.grad * ignored == 0).all()
    changed = torch.where(ignored, torch.randn_like(logits) * 100, logits)
    assert loss(changed, target).item() == value.item()


@pytest.mark.parametrize('key', IGNORING)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_sums_add_up_over_the_batch(key, data):
    """The mean over a batch is that of its images' sums; balancing looks at the batch whole."""
    logits, target, ignored = data.draw(labelled(key))
    loss = IGNORING[key][1]
    if key.endswith('sal'):
        loss = DEMT_PASCAL['edge' if key == 'mtl sal' else 'semseg']
    counts = (~ignored).sum((1, 2, 3))
    parts = sum(n * loss(x[None], y[None]) for n, x, y in zip(counts, logits, target, strict=True))
    assert (loss(logits, target) * counts.sum()).item() == pytest.approx(
        parts.item(), rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_ignoring_changes_nothing_where_all_is_labelled(data):
    logits, target, ignored = data.draw(labelled('mtl sal'))
    target = torch.where(ignored, 1.0, target)
    for task in ('sal', 'edge'):
        assert MTL[task](logits, target).item() == pytest.approx(
            MTL_PARTIAL[task](logits, target).item(), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_channel_is_the_difference_of_two(data):
    logits, target, _ = data.draw(labelled('demt sal'))
    assert balanced_bce(logits[:, 1:] - logits[:, :1], target).item() == pytest.approx(
        DEMT_NYUD['sal'](logits, target).item(), rel=1e-9, abs=1e-12)


def test_the_published_weights():
    assert dict(WEIGHTS) == {'semseg': 1, 'human_parts': 2, 'sal': 5, 'normals': 10, 'depth': 1,
                             'edge': 50}
