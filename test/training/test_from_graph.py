"""Training on from a model folder that has a graph and no weights, as demt_driving_base."""

from dataclasses import replace
from pathlib import Path
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')
pytest.importorskip('onnx', reason='graphs are read by onnx')

import archives
import onnxruntime
import runs
from safetensors.torch import load_file

from demt_perception.model_card import file_sha256, load_card, save_card, WEIGHTS
from demt_perception.networks import fuse
from demt_perception.networks.deploy import Deployed
from demt_perception.training import trainer
from demt_perception.training.building import build, start_from
from demt_perception.training.config import ConfigError
from demt_perception.training.export import write_onnx
from demt_perception.training.failures import TrainingError
from demt_perception.training.from_graph import weights_of_graph

MODELS = Path(__file__).parents[2] / 'models'
FAST = {'model': 'demt_light', 'backbone': 'efficientnet_lite0', 'tasks': 'driving',
        'model_options': {'uncertainty': True}, 'losses': 'driving', 'protocol': 'driving',
        'freeze_norms': ('',)}
BASE = {**FAST, 'backbone': 'efficientnet_lite2',
        'model_options': {'uncertainty': True, 'dim': 128, 'hidden': 96}}


@pytest.fixture
def bare(tmp_path):
    """The folder of fast without weights."""
    folder = tmp_path / 'bare'
    folder.mkdir()
    for name in ('card.yaml', 'model.onnx'):
        shutil.copy(MODELS / 'demt_driving_fast' / name, folder)
    return folder


def network_of(options, tmp_path, seed=3):
    return build(runs.small_config(tmp_path, tmp_path / 'run', seed=seed, **options)).eval()


@torch.no_grad()
def test_the_network_does_what_the_graph_does(tmp_path):
    folder = MODELS / 'demt_driving_base'
    network = network_of(BASE, tmp_path)
    network.load_state_dict(weights_of_graph(folder, network))
    image = np.random.default_rng(0).normal(size=(1, 3, 96, 160)).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / 'model.onnx')
    given = dict(zip((output.name for output in session.get_outputs()),
                     session.run(None, {'image': image}), strict=True))
    deployed = Deployed(network, tuple(network.tasks), 150.0).eval()
    made = dict(zip(deployed.names, deployed(torch.from_numpy(image)), strict=True))
    for name in ('depth', 'normals', 'boundary'):
        np.testing.assert_allclose(made[name].numpy(), given[name], rtol=1e-3, atol=1e-4)
    assert (made['semantic'].numpy() == given['semantic']).mean() > 0.999


@torch.no_grad()
def test_the_weights_of_a_graph_do_what_those_beside_it_do(bare, tmp_path):
    one, other = network_of(FAST, tmp_path), network_of(FAST, tmp_path)
    one.load_state_dict(weights_of_graph(bare, one))
    other.load_state_dict(load_file(MODELS / 'demt_driving_fast' / WEIGHTS))
    image = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    wanted = other.logits(image)
    for task, logits in one.logits(image).items():
        assert torch.allclose(logits, wanted[task], rtol=1e-3, atol=1e-3), task


def test_a_run_starts_from_it(bare, tmp_path):
    root = archives.write_folder(tmp_path / 'data', count=6, size=(48, 64))
    data = [{'root': str(root), 'label_maps': {'semseg': {each: each for each in range(5)}}}]
    config = runs.small_config(root, tmp_path / 'run', **FAST, start_from=str(bare), data=data,
                               classes=tuple('abcdefghijk'))
    run = trainer.Run(config)
    wanted = weights_of_graph(bare, network_of(FAST, tmp_path))   # on other random weights
    begun = run.network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in wanted.items())
    run.finish()
    left = run.network.state_dict()
    assert all(torch.equal(left[name], wanted[name])
               for name in left if name.endswith(('running_mean', 'running_var')))
    assert not torch.equal(left['head.interaction.out.weight'], torch.eye(64))


def test_a_folder_with_weights_gives_these(tmp_path):
    folder = MODELS / 'demt_driving_fast'
    network = network_of(FAST, tmp_path)
    config = runs.small_config(tmp_path, tmp_path / 'run', **FAST, start_from=str(folder))
    assert start_from(config, network) == []
    given = load_file(folder / WEIGHTS)
    assert all(torch.equal(value, given[name]) for name, value in network.state_dict().items())


@torch.no_grad()
def test_a_graph_exported_now_gives_its_weights_back(tmp_path):
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    options = {**FAST, 'model_options': {'dim': 32, 'hidden': 16}}
    one, other = network_of(options, tmp_path), network_of(options, tmp_path, seed=4)
    generator = torch.Generator().manual_seed(0)
    for value in one.state_dict().values():   # equal ones the exporter would keep once
        if value.dtype.is_floating_point:
            value.mul_(1 + 0.1 * torch.rand(value.shape, generator=generator))
            value.add_(0.01 * torch.rand(value.shape, generator=generator))
    write_onnx(Deployed(fuse(one), tuple(one.tasks), 150.0).eval(), (64, 96),
               tmp_path / 'model.onnx')
    card = load_card(MODELS / 'demt_driving_fast')
    save_card(replace(card, onnx_sha256=file_sha256(tmp_path / 'model.onnx'), weights_sha256=''),
              tmp_path)
    other.load_state_dict(weights_of_graph(tmp_path, other))
    image = torch.randn(1, 3, 64, 96, generator=generator)
    wanted = one.logits(image)
    for task, logits in other.logits(image).items():
        assert torch.allclose(logits, wanted[task], rtol=1e-3, atol=1e-3), task


def test_an_unfinished_run_is_no_model(tmp_path):
    config = runs.small_config(tmp_path, tmp_path / 'run', **FAST, start_from=str(tmp_path))
    with pytest.raises(TrainingError, match='is its run finished'):
        start_from(config, network_of(FAST, tmp_path))


def test_norms_must_be_kept(bare, tmp_path):
    options = {**FAST, 'freeze_norms': ('backbone',)}
    config = runs.small_config(tmp_path, tmp_path / 'run', **options, start_from=str(bare))
    with pytest.raises(ConfigError, match=r"set freeze_norms=\[''\]"):
        start_from(config, network_of(options, tmp_path))


@pytest.mark.parametrize(('options', 'words'), [
    (BASE, 'no backbone'), ({**FAST, 'model_options': {'dim': 32}}, 'an uncertainty'),
    ({**FAST, 'model_options': {'uncertainty': True, 'dim': 32}}, r'want \('),
    ({**FAST, 'model_options': {'uncertainty': True, 'heads': 8}}, 'heads of attention'),
    ({**FAST, 'tasks': {'semseg': 11, 'depth': 1}}, 'its tasks are'),
    ({**FAST, 'model': 'mti_net', 'model_options': {}}, 'only those of demt_light')])
def test_a_graph_of_another_network_is_refused(options, words, bare, tmp_path):
    with pytest.raises(TrainingError, match=words):
        weights_of_graph(bare, network_of(options, tmp_path))


def test_a_graph_that_its_card_does_not_name_is_refused(bare, tmp_path):
    content = bytearray((bare / 'model.onnx').read_bytes())
    content[len(content) // 2] ^= 1
    (bare / 'model.onnx').write_bytes(content)
    with pytest.raises(TrainingError, match='the card says'):
        weights_of_graph(bare, network_of(FAST, tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r'card\.yaml'):
        weights_of_graph(tmp_path, network_of(FAST, tmp_path))
