"""What the classes of a run are called, from its data to the model card: never by a guess."""

from dataclasses import replace
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs

from demt_perception.class_lists import CITYSCAPES, CITYSCAPES_PALETTE
from demt_perception.training import trainer
from demt_perception.training.class_names import card_classes
from demt_perception.training.config import ConfigError, Source, TrainConfig
from demt_perception.training.datasets import camvid


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return archives.write_folder(tmp_path_factory.mktemp('data'), count=2, size=(48, 64))


def test_classes_are_called_as_in_the_data_that_have_the_ids_of_the_run(root, tmp_path):
    other = shutil.copytree(root, tmp_path / 'other')
    (other / 'dataset.yaml').write_text('classes: [road, tree]\nfocal: 65\n')
    for path in (other / 'semseg').iterdir():
        archives.write_grey(path, np.ones((48, 64), np.uint8))
    mapped = {'root': str(other), 'label_maps': {'semseg': {0: 1, 1: 2}}}
    config = trainer.Run(runs.small_config(
        root, tmp_path / 'r', data=[mapped, {'root': str(root)}])).config
    assert config.classes == ('sky', 'ground', 'wall', 'thing', 'person')
    assert config.palette[1] == (0, 255, 0)
    with pytest.raises(ConfigError, match=r'no dataset says what the classes.*classes: .name'):
        trainer.Run(runs.small_config(root, tmp_path / 's', data=[mapped]))
    own = trainer.Run(runs.small_config(root, tmp_path / 't', data=[mapped],
                                        classes=tuple('abcde')))
    assert own.config.classes == tuple('abcde')
    # Of a network without classes nothing has names.
    without = trainer.Run(runs.small_config(root, tmp_path / 'u', tasks={'depth': 1}))
    assert without.config.classes == ()


def test_validation_data_may_have_other_names_only_where_the_user_gave_the_runs(root, tmp_path):
    other = shutil.copytree(root, tmp_path / 'other')
    (other / 'dataset.yaml').write_text('classes: [a, b, c, d, e]\nfocal: 65\n')
    validation = [{'root': str(other)}]
    with pytest.raises(ConfigError, match=r'other has the classes a, b.*the run sky, ground'):
        trainer.Run(runs.small_config(root, tmp_path / 'r', validation=validation))
    trainer.Run(runs.small_config(root, tmp_path / 's', validation=validation,
                                  classes=('air', 'earth', 'wall', 'thing', 'person')))


def test_classes_of_a_run_may_be_called_but_not_numbered_otherwise(root, tmp_path):
    data = shutil.copytree(root, tmp_path / 'data')
    trainer.Run(runs.small_config(data, tmp_path / 'r')).claim.close()
    (data / 'dataset.yaml').write_text('classes: [air, ground, wall, thing, person]\nfocal: 65\n')
    trainer.Run(runs.small_config(data, tmp_path / 'r')).claim.close()
    (data / 'dataset.yaml').write_text('classes: [air, wall, ground, thing, person]\nfocal: 65\n')
    with pytest.raises(ConfigError, match=r'r holds a run with the classes air, ground, wall.* '
                       'now in another order, air, wall, ground'):
        trainer.Run(runs.small_config(data, tmp_path / 'r'))


def test_eleven_classes_without_names_are_camvids_in_cityscapes_colours():
    config = TrainConfig(model='demt_light', tasks='driving', iterations=7, out='a',
                         data=[{'root': 'b'}])
    names, colors = card_classes(config, 11)
    assert names == camvid.CLASSES
    known = dict(zip(CITYSCAPES, CITYSCAPES_PALETTE, strict=True))
    same = {'pavement': 'sidewalk', 'tree': 'vegetation', 'sign': 'traffic sign',
            'pedestrian': 'person', 'bicyclist': 'bicycle'}
    assert list(colors) == [known[same.get(name, name)] for name in names]


@pytest.mark.parametrize(('data', 'count'), [
    ({'root': 'mine'}, 11), ({'root': 'mine', 'layout': 'folder'}, 11),
    ({'root': 'a', 'layout': 'camvid'}, 3), ({'root': 'a', 'layout': 'nyud'}, 40),
    ({'root': 'a', 'layout': 'camvid', 'label_maps': {'semseg': {0: 1}}}, 11)])
def test_own_classes_without_names_are_not_called_by_a_guess(data, count):
    config = TrainConfig(model='demt_light', tasks={'semseg': count}, iterations=7, out='a',
                         data=[data], protocol='driving')
    with pytest.raises(ConfigError, match=f'{count} classes without names.*want classes: '):
        card_classes(config, count)
    names = tuple(map(str, range(count)))
    assert card_classes(replace(config, classes=names), count)[0] == names
    camvids = replace(config, data=[Source(root='a', layout='camvid')])
    assert card_classes(camvids, 11)[0] == camvid.CLASSES
