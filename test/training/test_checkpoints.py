"""Checkpoints: what is written comes back, and what is damaged is never loaded."""

import json

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.checkpoints import (
    load_checkpoint,
    pack,
    read_weights,
    save_checkpoint,
    unpack,
)
from demt_perception.training.failures import TrainingError


def write(folder, step):
    tensors = {'network': {'a': torch.full((2, 3), float(step)), 'b': torch.tensor(step)}}
    return save_checkpoint(folder, step, tensors, {'optimizer': {'state': {0: {
        'step': torch.tensor(3.0)}, 1: {}}, 'param_groups': [{'lr': 0.1, 'params': [0, 1]}]},
        'best': None})


def test_what_is_written_comes_back(tmp_path):
    write(tmp_path, 7)
    step, tensors, state = load_checkpoint(tmp_path)
    assert step == 7 and torch.equal(tensors['network']['a'], torch.full((2, 3), 7.0))
    assert state['best'] is None and state['optimizer']['param_groups'][0]['params'] == [0, 1]
    assert state['optimizer']['state'][0]['step'] == 3 and state['optimizer']['state'][1] == {}


def test_only_the_newest_stay(tmp_path):
    for step in (1, 2, 3, 10):
        write(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['step_00000003', 'step_00000010']


def test_nothing_there_is_a_new_run(tmp_path):
    assert load_checkpoint(tmp_path / 'none') is None


def test_half_written_ones_are_not_seen_and_are_cleaned_up(tmp_path):
    write(tmp_path, 1)
    (tmp_path / '.writing_step_00000002').mkdir()
    (tmp_path / '.writing_step_00000002' / 'network.safetensors').write_bytes(b'half')
    assert load_checkpoint(tmp_path)[0] == 1
    write(tmp_path, 2)
    assert not list(tmp_path.glob('.writing*'))


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_one_is_passed_over(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp('run')
    write(folder, 1)
    files = sorted(write(folder, 2).iterdir())
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    kind = data.draw(st.sampled_from(['cut', 'flip', 'gone', 'empty']))
    if kind == 'gone':
        file.unlink()
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        if kind == 'flip':
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes({'cut': content[:place], 'flip': content, 'empty': b''}[kind])
    with pytest.warns(UserWarning, match='damaged'):
        step, tensors, _ = load_checkpoint(folder)
    assert step == 1 and torch.equal(tensors['network']['a'], torch.full((2, 3), 1.0))


def test_all_damaged_is_an_error_and_no_silent_new_start(tmp_path):
    (write(tmp_path, 5) / 'state.json').unlink()
    with pytest.warns(UserWarning, match='damaged'), \
            pytest.raises(TrainingError, match='remove the folder'):
        load_checkpoint(tmp_path)


def test_weights_that_are_none(tmp_path):
    (tmp_path / 'w').write_bytes(b'\x80\x04cposix\nsystem\n')
    with pytest.raises(TrainingError, match='no file of weights'):
        read_weights(tmp_path / 'w')


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-2**40, 2**40) | st.text(max_size=5)
    | st.floats(allow_nan=False) | st.integers(0, 9).map(lambda n: torch.arange(n)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.integers(0, 9) | st.text(max_size=3), inner, max_size=3))


@given(TREES)
def test_any_tree_is_packed_and_unpacked(tree):
    tensors = {}
    packed = json.loads(json.dumps(pack(tree, tensors)))
    assert _plain(unpack(packed, tensors)) == _plain(tree)


def _plain(tree):
    if isinstance(tree, torch.Tensor):
        return ('tensor', tree.tolist())
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree
