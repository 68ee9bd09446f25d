"""Fixtures shared by all tests."""

import os
from pathlib import Path
import shutil
import sys

from hypothesis import Phase, settings
import pytest

# As the package itself does: importing them must not call home, from tests neither.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
sys.modules.setdefault('openvino_telemetry', None)

# Every run tries the same examples, however slow the machine: a failure is of the change that it
# met. HYPOTHESIS_PROFILE=search tries others, each time.
settings.register_profile('same', derandomize=True, deadline=None)
settings.register_profile('search', deadline=None, max_examples=1000, print_blob=True)
# `make mutation` asks only whether a test fails, not for its simplest example.
settings.register_profile('mutation', derandomize=True, deadline=None,
                          phases=(Phase.explicit, Phase.generate))
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'same'))


@pytest.fixture(scope='session', autouse=True)
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the engine cache of this session and of the processes that it starts."""
    folder = tmp_path_factory.mktemp('engines')
    os.environ['DEMT_CACHE'] = str(folder)
    return folder


@pytest.fixture(scope='session')
def tiny_model() -> Path:
    """Return the folder of a tiny real model: see ``data/make_tiny_model.py`` for its outputs."""
    return Path(__file__).parent / 'data' / 'tiny_model'


@pytest.fixture(scope='session')
def free_model(tiny_model, tmp_path_factory):
    """Return the tiny model with a graph that takes any number of images."""
    onnx = pytest.importorskip('onnx', reason='frees the batch')
    from demt_perception.model_card import file_sha256, load_card, save_card

    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp('free') / 'free')
    model = onnx.load(folder / 'model.onnx')
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'batch'
    onnx.save(model, folder / 'model.onnx')
    card = load_card(folder)
    values = {**card.__dict__, 'onnx_sha256': file_sha256(folder / 'model.onnx')}
    save_card(type(card)(**values), folder)
    return folder


@pytest.fixture
def any_batch(monkeypatch):
    """Have several images run at once wherever that can be, however slow it is."""
    monkeypatch.setattr('demt_perception.inference.batching.SPEED_UP', 0)


@pytest.fixture
def closes_of(monkeypatch):
    """Return a function of a class: the list of its objects that are closed from then on."""
    def watch(kind):
        closed, close = [], kind.close
        monkeypatch.setattr(kind, 'close', lambda self: (closed.append(self), close(self)))
        return closed

    return watch
