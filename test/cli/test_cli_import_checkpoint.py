"""Official checkpoints become model folders that run."""

import argparse
import hashlib
import os
from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='importing weights needs torch')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript')
sys.path.append(str(Path(__file__).parents[1] / 'networks'))
from official_states import demt, hrnet
from safetensors.torch import save_file

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.model_card import load_card
from demt_perception.networks import load_official
from demt_perception.networks.detect import build, detect


def import_(file, out, *more):
    return main(['import-checkpoint', str(file), '--out', str(out), '--input-size', '64', '96',
                 *more])


def image(height=128, width=192):
    return cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8),
                      (width, height))


@pytest.fixture(scope='module')
def lightning(tmp_path_factory):
    """A first-release DeMT as Lightning saves it."""
    torch.manual_seed(3)
    state = demt('first_release')
    path = tmp_path_factory.mktemp('file') / 'epoch=3.ckpt'
    torch.save({'state_dict': state, 'epoch': 3, 'hyper_parameters': argparse.Namespace(lr=1e-3),
                'optimizer_states': [{'state': {}}]}, path)
    return path, state


def test_demt_becomes_a_model_that_gives_what_torch_gives(lightning, tmp_path, capsys):
    file, state = lightning
    assert import_(file, tmp_path / 'mine', '--licence', 'research only', '--name', 'DeMT') == 0
    said = capsys.readouterr().out
    assert 'mixer first_release' in said
    assert 'every key and shape fits' in said
    assert 'runs on' in said
    card = load_card(tmp_path / 'mine')
    assert (card.name, card.licence, card.input_size) == ('DeMT', 'research only', (64, 96))
    assert card.tasks == ('semseg', 'depth', 'normals', 'edge')
    assert (card.classes[0], len(card.classes), card.depth_range) == ('wall', 40, (0.5, 10.0))
    # ImageNet's, as all official training code has them, and the Kinect's.
    assert (card.mean, card.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert (card.focal, card.assumed_hfov) == (518.8, 63.3)
    assert card.training == {'imported from': 'epoch=3.ckpt',
                             'sha256': hashlib.sha256(file.read_bytes()).hexdigest()}
    model = build(detect(state)).eval()
    load_official(model, state)
    bgr = image(64, 96)
    predictions = Predictor(tmp_path / 'mine', 'onnxruntime', 1).predict(bgr)
    rgb = (bgr[..., ::-1].astype(np.float32) - card.mean) / card.std
    with torch.no_grad():
        logits = model.logits(torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None])
    wanted = logits['depth'][0, 0].clamp(min=0).numpy()
    seen = predictions._raw('depth')
    np.testing.assert_allclose(seen, wanted, atol=1e-3 * np.abs(wanted).max())
    normals = torch.nn.functional.normalize(logits['normals'], dim=1)[0].numpy()
    np.testing.assert_allclose(predictions._raw('normals'), normals, atol=2e-3)
    # another size than the default one: the graph is not bound to it
    assert Predictor(tmp_path / 'mine', 'onnxruntime', 1, (96, 128)).predict(
        image()).semantic.shape == (128, 192)
    from safetensors.torch import load_file
    own = load_file(tmp_path / 'mine' / 'weights.safetensors')
    assert own.keys() == model.state_dict().keys()


def test_five_tasks_of_pascal_with_one_saliency_channel(tmp_path, capsys):
    torch.manual_seed(4)
    tasks = {'semseg': 21, 'human_parts': 7, 'sal': 1, 'normals': 3, 'edge': 1}
    state = {f'module.backbone.{key}': value for key, value in hrnet().items()}
    for task, channels in tasks.items():
        layer = f'module.decoders.{task}.last_layer'
        state |= {f'{layer}.0.weight': torch.randn(60, 60, 1, 1) / 8,
                  f'{layer}.0.bias': torch.zeros(60), f'{layer}.1.weight': torch.ones(60),
                  f'{layer}.1.bias': torch.zeros(60), f'{layer}.1.running_mean': torch.zeros(60),
                  f'{layer}.1.running_var': torch.ones(60),
                  f'{layer}.3.weight': torch.randn(channels, 60, 1, 1) / 8,
                  f'{layer}.3.bias': torch.zeros(channels)}
    torch.save({'model': state, 'epoch': 59, 'best_result': {'sal': 0.6}},
               tmp_path / 'checkpoint.pth.tar')
    assert import_(tmp_path / 'checkpoint.pth.tar', tmp_path / 'five') == 0
    assert 'sal 1' in capsys.readouterr().out
    card = load_card(tmp_path / 'five')
    assert card.tasks == tuple(tasks)
    assert (card.name, card.classes[15]) == ('five', 'person')
    predictions = Predictor(tmp_path / 'five', 'onnxruntime', 1).predict(image())
    assert predictions.human_parts.max() < 7
    assert predictions.saliency.dtype == np.uint8
    assert predictions.saliency.min() < predictions.saliency.max()
    assert predictions.sheet().ndim == 3


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_is_refused_in_one_line_and_nothing_is_written(tmp_path, capsys):
    torch.save({'state_dict': demt(), 'callbacks': Malicious(f'touch {tmp_path / "touched"}')},
               tmp_path / 'bad.ckpt')
    assert import_(tmp_path / 'bad.ckpt', tmp_path / 'out') == 1
    said = capsys.readouterr().err
    assert 'system' in said
    assert 'safetensors' in said
    assert said.count('\n') == 1
    assert not (tmp_path / 'touched').exists()
    assert not (tmp_path / 'out').exists()


def test_what_does_not_fit_is_listed_and_nothing_is_written(tmp_path, capsys):
    state = demt()
    del state['head.smlp.0.weight']
    torch.save(state | {'head.more': torch.zeros(2)}, tmp_path / 'a.pth')
    assert import_(tmp_path / 'a.pth', tmp_path / 'out') == 1
    said = capsys.readouterr().err
    assert 'missing: head.smlp.0.weight' in said
    assert 'unexpected: head.more' in said
    assert not (tmp_path / 'out').exists()


def test_a_single_task_network_needs_its_task(tmp_path, capsys):
    torch.save({**{f'backbone.{k}': v for k, v in hrnet().items()},
                'decoder.last_layer.3.weight': torch.zeros(1, 60, 1, 1)}, tmp_path / 'a.pth')
    assert import_(tmp_path / 'a.pth', tmp_path / 'out') == 1
    assert '--task semseg' in capsys.readouterr().err
    for task, text in (('normals', 'task normals has 1 channels, want 3'), ('flow', "'flow'")):
        assert main(['import-checkpoint', str(tmp_path / 'a.pth'), '--out', str(tmp_path / 'out'),
                     '--task', task]) == 1
        assert text in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('linked', [False, True])
def test_the_checkpoint_is_not_written_over(tmp_path, capsys, linked):
    file = tmp_path / 'model' / 'weights.safetensors'
    file.parent.mkdir()
    save_file(demt(), file)
    before = file.read_bytes()
    given = tmp_path / 'a.safetensors' if linked else file
    if linked:
        given.symlink_to(file)
    assert import_(given, file.parent) == 1
    assert 'give another --out' in capsys.readouterr().err
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize('size', [('60', '96'), ('0', '0')])
def test_a_wrong_input_size_is_said(lightning, tmp_path, capsys, size):
    assert main(['import-checkpoint', str(lightning[0]), '--out', str(tmp_path / 'out'),
                 '--input-size', *size]) == 1
    assert 'input_size' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
