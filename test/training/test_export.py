"""Export to a model folder: free sizes where the network allows, else the card's size."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='exporting needs torch')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript')

import runs
from safetensors.torch import save_file

from demt_perception.cli.main import main
from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.cutting import batch_is_free
from demt_perception.model_card import load_card
from demt_perception.networks.deploy import Deployed
from demt_perception.training import export
from demt_perception.training.building import build
from demt_perception.training.config import load_config, save_config, TrainConfig
from demt_perception.training.export import export_network, NOT_YET, without_places

TASKS = ('human_parts', 'sal', 'depth')


class Plain(torch.nn.Module):
    """Logits that follow from the image by one convolution; ``bound`` to the size of its input."""

    def __init__(self, bound: bool, saliency: int):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8 + saliency, 4, stride=4)
        self.bound = bound

    def logits(self, image, auxiliary=False):
        y = self.layer(image)
        for _ in range(image.shape[2] // 32 if self.bound else 0):  # a loop's length is exported
            y = y + 1
        return {'human_parts': y[:, :7], 'depth': y[:, 7:8], 'sal': y[:, 8:]}


@pytest.mark.parametrize('bound', [False, True], ids=['any size', 'one size'])
def test_export_at_any_size_or_at_the_only_one(bound, tiny_model, tmp_path):
    model = Plain(bound, saliency=2)
    card = replace(load_card(tiny_model), tasks=TASKS, onnx_sha256=NOT_YET, uncertainty_factor=0.0)
    deployed = Deployed(model, TASKS, 10.0, depth='linear')
    with pytest.warns(match='96x160 only') if bound else nullcontext():
        card = export_network(deployed, card, tmp_path / 'm', model)
    assert card == load_card(tmp_path / 'm')
    predictor = Predictor(tmp_path / 'm', 'onnxruntime', 1)
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    predictions = predictor.predict(image)
    rgb = (image[..., ::-1].astype(np.float32) - 127.5) / 127.5
    with torch.no_grad():
        logits = model.logits(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None])
    np.testing.assert_allclose(predictions._raw('depth'),
                               logits['depth'][0, 0].clamp(min=0).numpy(), atol=1e-4)
    np.testing.assert_allclose(predictions._raw('saliency'),
                               logits['sal'].softmax(1)[0, 1].numpy(), atol=1e-4)
    if bound:
        with pytest.raises(EngineError):
            Predictor(tmp_path / 'm', 'onnxruntime', 1, (64, 64))
    else:
        assert Predictor(tmp_path / 'm', 'onnxruntime', 1, (64, 64)).predict(image)
    assert batch_is_free((tmp_path / 'm' / 'model.onnx').read_bytes()) == (not bound)


def test_one_channel_of_saliency_is_a_sigmoid():
    model = Plain(False, saliency=1)
    image = torch.randn(1, 3, 32, 32)
    deployed = Deployed(model, ('sal',), 10.0)
    torch.testing.assert_close(deployed(image)[0], torch.sigmoid(model.logits(image)['sal'][:, 0]))


def test_depth_is_linear_or_logarithmic():
    logits = torch.tensor([-3.0, 0.0, 2.0, 9.0]).reshape(1, 1, 1, 4)

    class Given(torch.nn.Module):
        def logits(self, image):
            return {'depth': logits}

    linear = Deployed(Given(), ('depth',), 80.0, depth='linear')(torch.empty(0))[0]
    assert linear.flatten().tolist() == [0, 0, 2, 9]
    log = Deployed(Given(), ('depth',), 80.0)(torch.empty(0))[0].flatten()
    torch.testing.assert_close(log, torch.tensor([np.exp(-0.5), np.exp(2.5), np.exp(4.5), 80.0],
                                                 dtype=torch.float32).clamp(max=80.0))
    with pytest.raises(ValueError, match="'linear'"):
        Deployed(Given(), ('depth',), 80.0, depth='metres')


def test_a_card_says_what_its_run_trained_with(tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'write_onnx', runs.only_one_size)
    own = {'classes': ('ship', 'quay', 'water'), 'palette': ((1, 2, 3), (4, 5, 6), (7, 8, 9)),
           'mean': (10.0, 60.0, 200.0), 'std': (20.0, 40.0, 80.0), 'focal': 321.0,
           'assumed_hfov': 77.0, 'depth_range': (2.0, 30.0)}
    config = TrainConfig(
        model='multi_task', tasks={'semseg': 3}, backbone='resnet18', protocol='driving', out='a',
        data=[{'root': 'b'}], iterations=7, size=(50, 96), **own)
    save_file(build(config).state_dict(), tmp_path / 'best.safetensors')
    with pytest.warns(match='64x96 only'):
        export.export_model(config, tmp_path / 'best.safetensors', tmp_path / 'm')
    card = load_card(tmp_path / 'm')
    assert {name: getattr(card, name) for name in own} == own
    assert (card.input_size, card.tasks) == ((64, 96), ('semseg',))


def test_the_configuration_travels_without_anyones_folders(tmp_path):
    places = {'out': '/home/me/a', 'root': '/home/me/b', 'start_from': '/home/me/c.safetensors',
              'single_task': '/home/me/d.json', 'teacher': ('/home/me/e',)}
    config = TrainConfig(model='demt_light', tasks='driving', iterations=7, lr=0.3, **places,
                         data=[{'root': '/home/me/camvid', 'split': 'train'}],
                         validation=[{'root': '/home/me/val'}])
    save_config(without_places(config, 'mine'), tmp_path / 'config.yaml')
    assert '/home' not in (tmp_path / 'config.yaml').read_text()
    again = load_config(tmp_path / 'config.yaml')
    assert (again.out, again.root, again.teacher) == ('runs/mine', 'data/b', ('models/e',))
    assert again.data[0].root == 'data/camvid' and again.data[0].split == 'train'
    assert (again.iterations, again.lr, again.validation[0].root) == (7, 0.3, 'data/val')


@pytest.fixture
def run(tmp_path):
    """Return what a run leaves; no export comes as far as to read the weights."""
    config = TrainConfig(model='demt_light', tasks='driving', iterations=7, out='a',
                         data=[{'root': 'b'}])
    for name in ('run', 'other'):
        (tmp_path / name).mkdir()
        save_config(config, tmp_path / name / 'config.yaml')
        for weights in ('best.safetensors', 'weights.safetensors'):
            (tmp_path / name / weights).write_bytes(b'of the run')
    (tmp_path / 'link').symlink_to(tmp_path / 'run')
    return tmp_path / 'run'


@pytest.mark.parametrize(('out', 'said'), [
    ('run', 'holds the weights to export'), ('link', 'holds the weights to export'),
    ('run/../run', 'holds the weights to export'), ('other', 'is a run, not a model folder')])
def test_no_run_is_written_over_by_an_export(run, tmp_path, capsys, out, said):
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert main(['export', str(run), '--out', str(tmp_path / out)]) == 1
    assert f'{said}: its configuration and weights would be' in capsys.readouterr().err
    assert main(['export', str(run / 'config.yaml'), '--weights',
                 str(run / 'weights.safetensors'), '--out', str(tmp_path / out)]) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before
