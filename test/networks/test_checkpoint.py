"""Checkpoint files are read without running anything in them."""

import argparse
from collections import OrderedDict
import os
import pickle
import struct
import sys
import types
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import torch

from demt_perception.networks import pickled
from demt_perception.networks.checkpoint import CheckpointError, read_checkpoint
from demt_perception.networks.tensor_file import save_tensors


def a_state():
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(6, 8, generator=generator)
    return OrderedDict(
        (('backbone.conv1.weight', torch.randn(4, 3, 3, 3, generator=generator)),
         ('backbone.bn1.num_batches_tracked', torch.tensor(7)),
         ('head.half', torch.randn(5, generator=generator).half()),
         ('head.transposed', base.t()), ('head.rows', base[2:4]), ('head.empty', torch.empty(0)),
         ('head.channels_last', torch.randn(2, 3, 4, 5, generator=generator).to(
             memory_format=torch.channels_last)),
         ('head.bool', torch.tensor([True, False])),
         ('head.parameter', torch.nn.Parameter(torch.randn(2, generator=generator)))))


def assert_same(seen, wanted, prefix=''):
    assert list(seen) == [prefix + key for key in wanted]
    for key, value in wanted.items():
        assert seen[prefix + key].dtype == value.dtype, key
        assert torch.equal(seen[prefix + key], value), key


@pytest.mark.parametrize('legacy', [False, True])
def test_what_torch_saves_is_read(tmp_path, legacy):
    state = a_state()
    state._metadata = {'': {'version': 1}}
    torch.save(state, tmp_path / 'a.pth', _use_new_zipfile_serialization=not legacy)
    assert_same(read_checkpoint(tmp_path / 'a.pth'), a_state())


def test_safetensors_is_read(tmp_path):
    from safetensors.torch import save_file
    state = {key: value.detach().clone(memory_format=torch.contiguous_format)
             for key, value in a_state().items()}
    save_file(state, tmp_path / 'a.bin')  # told by its content, not by its name
    seen = read_checkpoint(tmp_path / 'a.bin')
    assert seen.keys() == state.keys()
    assert all(torch.equal(seen[key], state[key]) for key in state)


@pytest.fixture
def absent_lightning(monkeypatch):
    """Classes of a Lightning that is there while saving, and not while reading."""
    module = types.ModuleType('pytorch_lightning.utilities.parsing')

    class AttributeDict(dict):
        pass

    class ModelCheckpoint:
        pass

    for kind in (AttributeDict, ModelCheckpoint):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, 'pytorch_lightning', types.ModuleType('pytorch_lightning'))
    monkeypatch.setitem(sys.modules, 'pytorch_lightning.utilities', types.ModuleType('u'))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    assert 'pytorch_lightning' in sys.modules


@pytest.mark.parametrize('legacy', [False, True])
def test_lightning_is_read_with_classes_that_are_not_installed(
        tmp_path, absent_lightning, monkeypatch, legacy):
    import numpy as np
    checkpoint = {
        'epoch': 3, 'global_step': 40000, 'pytorch-lightning_version': '1.1.8',
        'callbacks': {absent_lightning.ModelCheckpoint: {'best_model_score': torch.tensor(0.4),
                                                         'dirpath': '/x'}},
        'optimizer_states': [{'state': {0: {'momentum_buffer': torch.randn(3)}}}],
        'lr_schedulers': [{'base_lrs': [np.float64(0.1)]}],
        'state_dict': a_state(),
        'hparams_name': 'kwargs',
        'hyper_parameters': absent_lightning.AttributeDict(
            lr=1e-3, config=argparse.Namespace(a=1, centroids=torch.randn(40, 3)),
            scores=np.arange(3.0))}
    torch.save(checkpoint, tmp_path / 'a.ckpt', _use_new_zipfile_serialization=not legacy)
    for name in list(sys.modules):
        if name.startswith('pytorch_lightning'):
            monkeypatch.setitem(sys.modules, name, None)
    assert_same(read_checkpoint(tmp_path / 'a.ckpt'), a_state())


@pytest.mark.parametrize('wrap', [
    lambda s: {'module.' + k: v for k, v in s.items()},
    lambda s: {'model': {'module.' + k: v for k, v in s.items()}, 'epoch': 3, 'best_result': {}},
    lambda s: {'state_dict': {'model': s}},
    lambda s: {'state_dict': {'model._orig_mod.' + k: v for k, v in s.items()}},
    lambda s: {k.replace('head.', 'head._orig_mod.'): v for k, v in s.items()},
], ids=['DataParallel', 'nested model', 'nested twice', 'compiled', 'compiled head'])
def test_wrappers_and_prefixes_are_taken_off(tmp_path, wrap):
    torch.save(wrap(a_state()), tmp_path / 'a.pth.tar')
    assert_same(read_checkpoint(tmp_path / 'a.pth.tar'), a_state())


class Malicious:
    """Runs a command when unpickled."""

    def __init__(self, command, function=os.system):
        self.command = command
        self.function = function

    def __reduce__(self):
        return self.function, (self.command,)


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('function', [os.system, exec, eval, __import__])
def test_code_is_refused_and_not_run(tmp_path, legacy, function):
    touched = tmp_path / 'touched'
    command = {os.system: f'touch {touched}'}.get(function, f'open({str(touched)!r}, "w")')
    torch.save({'state_dict': a_state(), 'hyper_parameters': Malicious(command, function)},
               tmp_path / 'a.ckpt', _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / 'a.ckpt')
    assert not touched.exists()
    assert function.__name__ in str(caught.value)
    assert 'safetensors' in str(caught.value)
    assert 'nothing was run' in str(caught.value)


def test_a_whole_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'torch\.nn\.modules\.linear\.Linear.*state dict'):
        read_checkpoint(tmp_path / 'a.pth')


def forge(path, out, change):
    """Copy a checkpoint with its pickle changed."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, 'w') as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith('data.pkl'):
                assert change(data) != data
                data = change(data)
            target.writestr(info.filename, data)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path):
    torch.save({'a': torch.zeros(77, 3)}, tmp_path / 'a.pth')
    # 77 is written as one byte, and nothing else here is 77; 231 values, as one byte as well
    forge(tmp_path / 'a.pth', tmp_path / 'b.pth', lambda d: d.replace(b'K\x4d', b'K\xff'))
    with pytest.raises(CheckpointError, match=r'\[255, 3\] does not fit its storage of 231'):
        read_checkpoint(tmp_path / 'b.pth')
    forge(tmp_path / 'a.pth', tmp_path / 'c.pth',
          lambda d: d.replace(b'K\xe7', b'M\xff\xff').replace(b'K\x4d', b'K\xff'))
    with pytest.raises(CheckpointError, match='924 bytes, want 65535 values'):
        read_checkpoint(tmp_path / 'c.pth')


def test_an_expanded_tensor_does_not_become_terabytes(tmp_path):
    torch.save({'a': torch.zeros(1).expand(10**6, 10**6)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='does not fit its storage of 1 values'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'empty'), (b'\x89PNG\r\n\x1a\n' + bytes(50), 'starts like no file'),
    (b'PK\x03\x04' + bytes(50), 'damaged'), (b'\x80\x02}q\x00.', 'not one of torch.save'),
    (b'<html>not found</html>', 'starts like no file')])
def test_what_is_no_checkpoint_is_said(tmp_path, content, said):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(tmp_path / 'a.pth')


def test_missing_file_and_folder_are_said(tmp_path):
    for path in (tmp_path / 'none.pth', tmp_path):
        with pytest.raises(CheckpointError, match='cannot be read'):
            read_checkpoint(path)


@pytest.mark.parametrize(('content', 'said'), [
    ({'epoch': 3, 'best': 'x'}, r"keys \['epoch', 'best'\] and no weights"), ([1, 2], 'a list'),
    ({'state_dict': {'a': torch.zeros(1), 'count': 3, 4: torch.zeros(1)}}, "'count', 4"),
    ({}, 'keys'),
    ({'state_dict': {}}, 'no weights')])
def test_other_content_is_said(tmp_path, content, said):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.fixture(scope='module', params=['zip', 'legacy', 'safetensors'])
def good_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('good') / 'a'
    if request.param == 'safetensors':
        from safetensors.torch import save_file
        save_file({'a': torch.randn(3, 4), 'b': torch.tensor(5)}, path)
    else:
        torch.save({'state_dict': a_state(), 'hyper_parameters': argparse.Namespace(a=1)}, path,
                   _use_new_zipfile_serialization=request.param == 'zip')
    return path


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_is_an_error_or_harmless(good_file, data):
    content = bytearray(good_file.read_bytes())
    if data.draw(st.booleans(), label='cut'):
        del content[data.draw(st.integers(0, len(content) - 1)):]
    for _ in range(data.draw(st.integers(0, 4), label='changes')):
        if content:
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))
    path = good_file.with_name('damaged')
    path.write_bytes(content)
    try:
        state = read_checkpoint(path)
    except CheckpointError:
        return
    assert all(isinstance(value, torch.Tensor) for value in state.values())


LEGACY = b''.join(pickle.dumps(value, 2) for value in (
    0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}))
NESTED = b')' + b'2\x86' * 60   # a tuple of itself twice, 60 times: 121 bytes


@pytest.mark.parametrize('content', [
    b'}' + NESTED + b'K\x01s.', b'}(' + NESTED + b'K\x01u.', b'(' + NESTED + b'K\x01d.',
    b'\x8f(' + NESTED + b'\x90.', b'(' + NESTED + b'\x91.',
    b'ccollections\nOrderedDict\n](](' + NESTED + b'K\x01ee\x85R.',
    b'(U\x07storage' + NESTED + b'NNNtQ.', b'\x96' + (1 << 42).to_bytes(8, 'little') + b'.'],
    ids=['item', 'items', 'dict', 'set', 'frozen set', 'ordered dict', 'storage', 'byte array'])
def test_what_multiplies_is_refused_before_it_is_hashed_printed_or_made(tmp_path, content):
    """Each would take longer than anybody waits, or all memory."""
    path = tmp_path / 'a.pth'
    path.write_bytes(LEGACY + b'\x80\x04' + content)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_lists_that_are_made_into_ordered_dicts_again_and_again_are_refused(tmp_path, monkeypatch):
    """28 kB made 65 MB, in minutes."""
    monkeypatch.setattr(pickled, 'MOST_PAIRS', 10_000)
    pairs = b']q\0(' + b''.join(b'K%cN\x86' % index for index in range(200)) + b'e0'
    make = b'ccollections\nOrderedDict\nq\x01h\0\x85R0' + b'h\x01h\0\x85R0'
    path = tmp_path / 'a.pth'
    for count, said in ((5, 'holds'), (60, 'ordered dicts of over 10000 pairs')):
        content = b'\x80\x02' + pairs + make + b'h\x01h\0\x85R0' * (count - 2) + b'K\x01.'
        path.write_bytes(LEGACY + content + pickle.dumps([], 2))
        with pytest.raises(CheckpointError, match=said):
            read_checkpoint(path)


def test_parts_of_a_zip_that_lie_within_each_other_are_refused(tmp_path):
    """Fifield, A better zip bomb, WOOT 2019: each part holds all that follow, and is read."""
    names = [b'a/data.pkl', *(b'a/data/%d' % index for index in range(20))]
    heads = [struct.pack('<4s5H3I2H', b'PK\3\4', 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
             for name in names]
    body, table = b''.join(heads) + bytes(1000), b''
    for index, (name, head) in enumerate(zip(names, heads, strict=True)):
        at = sum(map(len, heads[:index]))
        size = len(body) - at - len(head)
        table += struct.pack('<4s6H3I5H2I', b'PK\1\2', 20, 20, 0, 0, 0, 0, 0, size, size,
                             len(name), 0, 0, 0, 0, 0, at) + name
    path = tmp_path / 'a.pth'
    path.write_bytes(body + table + struct.pack(
        '<4s4H2IH', b'PK\5\6', 0, 0, len(names), len(names), len(table), len(body), 0))
    with pytest.raises(CheckpointError, match='its parts overlap'):
        read_checkpoint(path)


def test_a_byte_array_is_refused_by_its_name(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': bytearray(b'x')}, path, pickle_protocol=5)
    with pytest.raises(CheckpointError, match='it holds a byte array: save the plain state'):
        read_checkpoint(path)


@pytest.mark.parametrize(('mask', 'mode'), [(0o022, 0o644), (0o077, 0o600)])
def test_weights_are_written_with_the_permissions_of_any_file(tmp_path, mask, mode):
    """Safetensors alone lets nobody but the owner read them."""
    before = os.umask(mask)
    try:
        save_tensors({'a': torch.zeros(2, 3).t()}, tmp_path / 'a.safetensors')
    finally:
        os.umask(before)
    assert (tmp_path / 'a.safetensors').stat().st_mode & 0o777 == mode
    assert os.umask(before) == before
    assert read_checkpoint(tmp_path / 'a.safetensors')['a'].shape == (3, 2)
