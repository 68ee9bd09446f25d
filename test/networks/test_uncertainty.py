"""The depth uncertainty of the driving DeMT: learned beside depth, which never feels it."""

import pytest
import torch

from demt_perception.networks import create_model, fuse
from demt_perception.networks.deploy import Deployed
from demt_perception.training.config import load_config
from demt_perception.training.export import check_parity, write_onnx
from demt_perception.training.losses.uncertainty import laplace
from demt_perception.training.objective import Objective

SMALL = {'dim': 16, 'hidden': 8}
FOUR = {'semseg': 3, 'depth': 1, 'normals': 3, 'edge': 1}
CONFIG = """
model: demt_light
tasks: {semseg: 3, depth: 1, normals: 3, edge: 1}
data: [{root: unused}]
out: unused
losses: driving
protocol: driving
iterations: 1
"""


@pytest.fixture
def models():
    """Return a network without and one with uncertainty, of one seed."""
    pair = []
    for wanted in (False, True):
        torch.manual_seed(5)
        pair.append(create_model('demt_light', tasks=FOUR, uncertainty=wanted, **SMALL))
    with torch.no_grad():
        pair[1].head.uncertainty['depth'][2].weight.normal_()
    return pair


def batch():
    generator = torch.Generator().manual_seed(1)
    depth = torch.rand(2, 32, 48, generator=generator) * 60 + 1
    depth[:, :8] = 150.0
    depth[:, 8:10] = torch.nan
    return {'image': torch.randn(2, 3, 64, 96, generator=generator), 'depth': depth,
            'semseg': torch.randint(0, 3, (2, 32, 48), generator=generator),
            'normals': torch.nn.functional.normalize(
                torch.randn(2, 3, 32, 48, generator=generator), dim=1),
            'edge': torch.randint(0, 2, (2, 32, 48), generator=generator).float(),
            'camera': torch.full((2, 4), torch.nan)}


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'config.yaml').write_text(CONFIG)
    return load_config(tmp_path / 'config.yaml')


def test_depth_and_all_gradients_are_the_same_with_and_without(models, config):
    gradients, losses = [], []
    for model in models:
        data = batch()
        total, values = Objective(config, FOUR)(model.train().logits(data['image'], True), data)
        total.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        losses.append(values)
    without, with_it = gradients
    assert losses[1].pop('depth_uncertainty').isfinite() and losses[0] == losses[1]
    added = {n for n in with_it if n not in without}
    assert added == {f'head.uncertainty.depth.{i}.{p}' for i in (0, 2) for p in ('weight', 'bias')}
    assert all(torch.equal(with_it[n], g) for n, g in without.items())
    assert all(bool(with_it[n].any()) for n in added)


def test_the_fused_network_is_as_unsure(models, randomised):
    model = randomised(models[1])
    image = batch()['image']
    with torch.no_grad():
        plain, fused = model(image), fuse(model)(image)
    assert plain['depth_uncertainty'].shape == (2, 1, 16, 24)
    assert torch.allclose(plain['depth_uncertainty'], fused['depth_uncertainty'], rtol=1e-4,
                          atol=1e-5)


def test_the_graph_gives_metres_and_says_so(models, randomised, tmp_path):
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    deployed = Deployed(fuse(randomised(models[1])), tuple(FOUR), 150.0, uncertainty=True).eval()
    assert deployed.names == ('semantic', 'confidence', 'depth', 'depth_uncertainty', 'normals',
                              'boundary')
    write_onnx(deployed, (64, 96), tmp_path / 'model.onnx')
    check_parity(deployed, tmp_path / 'model.onnx', (64, 96))
    image = batch()['image'][:1]
    with torch.no_grad():
        log_scale = deployed.model.logits(image)['depth_uncertainty'][:, 0]
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    out = dict(zip(deployed.names, session.run(None, {'image': image.numpy()}), strict=True))
    wanted = out['depth'] * torch.exp(log_scale.clamp(-6, 0)).numpy()
    assert out['depth_uncertainty'] == pytest.approx(wanted, rel=1e-3)


def test_the_scale_that_is_learned_is_the_mean_error():
    """The maximum of a Laplace likelihood is the mean absolute error: of log depth, here."""
    far = 150.0
    target = torch.exp(torch.linspace(2, 4, 400)).reshape(1, 20, 20)
    target[0, 0] = torch.nan
    target[0, 1] = far  # sky
    logits = torch.full((1, 1, 20, 20), 0.3)
    scale = torch.zeros(1, 1, 1, 1, requires_grad=True)
    optimizer = torch.optim.Adam([scale], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        laplace(scale.expand(1, 1, 20, 20), logits, target, far).backward()
        optimizer.step()
    errors = (2.8 - torch.log(target[0, 2:])).abs()
    assert float(scale.detach().exp()) == pytest.approx(float(errors.mean()), rel=1e-3)


def test_nothing_labelled_costs_nothing():
    log_scale = torch.zeros(1, 1, 4, 4, requires_grad=True)
    loss = laplace(log_scale, torch.zeros(1, 1, 4, 4), torch.full((1, 4, 4), torch.nan), 150.0)
    loss.backward()
    assert float(loss.detach()) == 0 and not log_scale.grad.any()


def test_what_cannot_be_is_refused(config):
    with pytest.raises(ValueError, match=r'uncertainty of the tasks semseg, edge: want.*depth'):
        create_model('demt_light', tasks={'semseg': 3, 'edge': 1}, uncertainty=True, **SMALL)
    config.model_options['uncertainty'] = True
    config.losses = 'demt_nyud'
    with pytest.raises(ValueError, match=r'model_options\.uncertainty with losses demt_nyud'):
        Objective(config, FOUR)
