"""Totals with deep supervision, on what real networks give."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
from torch.nn import functional as F

from demt_perception.networks.baselines import MultiTaskHead
from demt_perception.networks.mti_net import MTINetHead
from demt_perception.networks.pad_net import PADNetHead
from demt_perception.training.config import TrainConfig
from demt_perception.training.losses.released import MTL, WEIGHTS
from demt_perception.training.losses.supervision import predictions, task_losses
from demt_perception.training.objective import Objective

GOLDEN = Path(__file__).resolve().parents[1] / 'data' / 'golden'
CHANNELS = (4, 6, 8, 10)
MAIN = {'semseg': 5, 'depth': 1}
AUXILIARY = MAIN | {'normals': 3, 'edge': 1, 'sal': 1, 'human_parts': 7}
SIZE = (32, 64)


def objective(losses, tasks):
    """Return what a run with a published table of losses minimises."""
    return Objective(TrainConfig(model='mti_net', tasks=dict(tasks), data=[{'root': 'x'}], out='x',
                                 iterations=1, losses=losses), tasks)


def maps():
    return [torch.randn(2, c, SIZE[0] // s, SIZE[1] // s)
            for c, s in zip(CHANNELS, (4, 8, 16, 32), strict=True)]


def labels():
    targets = {'semseg': torch.randint(0, 5, (2, 1, *SIZE)).float(),
               'human_parts': torch.randint(0, 7, (2, 1, *SIZE)).float(),
               'sal': torch.randint(0, 2, (2, 1, *SIZE)).float(),
               'edge': torch.randint(0, 2, (2, 1, *SIZE)).float(),
               'depth': torch.rand(2, 1, *SIZE) * 9 + 1,
               'normals': F.normalize(torch.randn(2, 3, *SIZE), dim=1)}
    for target in targets.values():
        target[:, :, :3] = 255
    return targets


@pytest.mark.parametrize('name', ['nyud', 'pascal'])
def test_totals_are_the_official_ones(name):
    safetensors = pytest.importorskip('safetensors.torch')
    if not GOLDEN.exists():
        pytest.skip(f'{GOLDEN} is not at hand')
    arrays = safetensors.load_file(GOLDEN / 'losses_metrics.safetensors')
    values = json.loads((GOLDEN / 'losses_metrics.json').read_text())
    terms = {key.removesuffix('_final'): value
             for key, value in values[f'demt.weighted_terms.{name}'].items()}
    targets = {task: arrays[f'target.{task}'] for task in terms}
    outputs = {task: arrays[f'pred.{task}'] for task in terms}
    total, parts = objective(f'demt_{name}', {
        task: logits.shape[1] for task, logits in outputs.items()})(outputs, targets)
    assert total.item() == pytest.approx(values[f'demt.total.{name}'], rel=3e-7)
    assert {task: WEIGHTS[task] * part.item() for task, part in parts.items()} == pytest.approx(
        terms, rel=3e-7)


def test_mti_net_is_supervised_at_every_scale():
    head, targets = MTINetHead(CHANNELS, MAIN, auxiliary=AUXILIARY), labels()
    outputs = head.train()(maps())
    total, values = objective('mtl', AUXILIARY)(outputs, targets)
    assert set(values) == set(MAIN) | {
        f'{task}/scale_{scale}' for task in AUXILIARY for scale in range(4)}
    wanted = sum(WEIGHTS[task] * MTL[task](outputs[task], targets[task]) for task in MAIN)
    for scale in range(4):
        for task in AUXILIARY:
            small = outputs['deep_supervision'][f'scale_{scale}'][task]
            fine = F.interpolate(small, SIZE, mode='bilinear')
            wanted = wanted + WEIGHTS[task] * MTL[task](fine, targets[task])
    assert total.item() == pytest.approx(wanted.item(), rel=1e-6)
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert not [name for name, p in head.named_parameters() if p.grad is None]


def test_pad_net_is_supervised_at_its_first_guess():
    head, targets = PADNetHead(CHANNELS, MAIN, auxiliary=AUXILIARY), labels()
    outputs = head.train()(maps())
    total, values = objective('mtl', AUXILIARY)(outputs, targets)
    assert set(values) == set(MAIN) | {f'{task}/initial' for task in AUXILIARY}
    wanted = sum(WEIGHTS[task] * MTL[task](outputs[task], targets[task]) for task in MAIN)
    for task in AUXILIARY:
        fine = F.interpolate(outputs[f'initial_{task}'], SIZE, mode='bilinear')
        wanted = wanted + WEIGHTS[task] * MTL[task](fine, targets[task])
    assert total.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_plain_network_has_one_part_per_task():
    head, targets = MultiTaskHead(CHANNELS, MAIN), labels()
    _, values = objective('mtl', MAIN)(head.train()(maps()), targets)
    assert set(values) == set(MAIN)
    assert not any(value.requires_grad for value in values.values())


def test_unlabelled_tasks_of_a_batch_cost_nothing():
    head, targets = MTINetHead(CHANNELS, MAIN), labels()
    outputs = head.train()(maps())
    targets['depth'] = torch.full_like(targets['depth'], 255)
    parts = task_losses(outputs, targets, MTL)
    assert [loss.item() for loss in parts['depth'].values()] == [0] * 5
    sum(loss for stages in parts.values() for loss in stages.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_bf16_outputs_are_resized_and_summed_in_full():
    head, targets = MTINetHead(CHANNELS, MAIN), labels()
    with torch.autocast('cpu', torch.bfloat16):
        outputs = head.train()(maps())
        total, _ = objective('mtl', MAIN)(outputs, targets)
    assert outputs['semseg'].dtype == torch.bfloat16
    in_full = {k: v.float() if k in MAIN else
               {s: {t: x.float() for t, x in at.items()} for s, at in v.items()}
               for k, v in outputs.items()}
    assert total.dtype == torch.float32
    assert total.item() == objective('mtl', MAIN)(in_full, targets)[0].item()


def test_labels_of_one_channel_need_no_axis_for_it():
    targets = labels()
    outputs = {'semseg': torch.randn(2, 5, 8, 16), 'depth': torch.rand(2, 1, 8, 16)}
    wanted = task_losses(outputs, targets, MTL)
    found = task_losses(outputs, {task: targets[task][:, 0] for task in outputs}, MTL)
    assert found == wanted


def test_features_and_uncertainties_are_no_predictions():
    x = torch.ones(1)
    outputs = {'semseg': x, 'depth_uncertainty': x, 'initial_depth': x,
               'deep_supervision': {'scale_0': {'features_semseg': x, 'semseg': x},
                                    'scale_1': {'depth': x}}}
    assert [(task, stage) for task, stage, _ in predictions(outputs)] == [
        ('semseg', 'final'), ('depth', 'initial'), ('semseg', 'scale_0'), ('depth', 'scale_1')]


@pytest.mark.parametrize(('leave_out', 'message'), [
    ('labels', "^the network predicts 'edge' .scale_0. but there is no labels for it, only for "
     r"\['depth', 'human_parts', 'normals', 'sal', 'semseg'\]: add it, or build the network "
     'without this task$'),
    ('loss', "^the network predicts 'edge' .scale_0. but there is no loss for it, only for "
     r"\['depth', 'human_parts', 'normals', 'sal', 'semseg'\]: add it, or build the network "
     'without this task$')])
def test_what_is_missing_is_named(leave_out, message):
    outputs = MTINetHead(CHANNELS, MAIN, auxiliary=MAIN | {'edge': 1}).train()(maps())
    given = {'labels': labels(), 'loss': dict(MTL)}
    del given[leave_out]['edge']
    with pytest.raises(ValueError, match=message):
        task_losses(outputs, *given.values())


def test_the_driving_losses_weigh_as_in_the_shipped_models():
    tasks = {'semseg': 5, 'depth': 1, 'normals': 3, 'edge': 1}
    assert objective('driving', tasks).weighting.weights == {
        'semseg': 1, 'depth': 1, 'normals': 0.7, 'edge': 5}
    assert objective('mtl', tasks).weighting.weights['edge'] == WEIGHTS['edge'] == 50
