import os
import shutil

import pytest

from demt_perception.inference import find_model, list_models
from demt_perception.model_card import ModelCardError


@pytest.fixture
def shelf(tiny_model, tmp_path, monkeypatch):
    """Put two models on a shelf that DEMT_MODELS names."""
    shutil.copytree(tiny_model, tmp_path / 'a' / 'one')
    shutil.copytree(tiny_model, tmp_path / 'a' / 'two')
    monkeypatch.setenv('DEMT_MODELS', str(tmp_path / 'a'))
    return tmp_path / 'a'


def test_path_and_name(shelf, tiny_model):
    assert find_model(tiny_model) == tiny_model
    assert find_model('one') == shelf / 'one'
    assert set(list_models()) >= {'one', 'two'}


def test_ament_prefix_is_searched_after_demt_models(shelf, tiny_model, tmp_path, monkeypatch):
    share = tmp_path / 'prefix' / 'share' / 'demt_perception' / 'models'
    for name in ('two', 'three'):
        shutil.copytree(tiny_model, share / name)
    prefixes = ['/nowhere', str(tmp_path / 'prefix')]
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(prefixes))
    assert find_model('three') == share / 'three'
    assert find_model('two') == shelf / 'two'


def test_a_name_does_not_depend_on_the_working_folder(shelf, tiny_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_model, tmp_path / 'here' / 'one')
    monkeypatch.chdir(tmp_path / 'here')
    assert find_model('one') == shelf / 'one'
    assert find_model('./one').resolve() == tmp_path / 'here' / 'one'


@pytest.mark.parametrize('name', ['none_such', '/none/such', '', '.', '..', 'a\nb', 'x' * 5000])
def test_unknown_model_lists_the_known(shelf, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelCardError, match=r'one, two.*DEMT_MODELS'):
        find_model(name)
