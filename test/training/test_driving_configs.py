"""The configurations of the driving models: they load, build, and differ in what they say."""

from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.building import build
from demt_perception.training.config import load_config

FOLDER = Path(__file__).parents[2] / 'config' / 'training'
ABLATION = sorted((FOLDER / 'ablation').glob('*.yaml'))


@pytest.mark.parametrize(('name', 'millions'), [
    ('demt_driving_fast', 3.36), ('demt_driving_fast_2', 3.36), ('demt_driving_fast_3', 3.36),
    ('demt_driving_fast_4', 3.36),
    ('demt_driving_base', 5.73), ('demt_driving_base_3', 5.73), ('demt_driving_open', 3.36)])
def test_driving_models_have_their_size(name, millions):
    config = load_config(FOLDER / f'{name}.yaml')
    parameters = sum(p.numel() for p in build(config).parameters())
    extra = 0.05 if config.model_options.get('uncertainty') else 0.005
    assert 0 <= parameters / 1e6 - millions + 0.005 < extra + 0.005


def test_the_open_model_learns_from_nothing_restricted():
    config = load_config(FOLDER / 'demt_driving_open.yaml')
    assert not any('camvid' in source.root + source.layout for source in config.data)
    assert not config.validation and 'camvid' not in config.sources


def test_rows_of_the_ablation_differ_in_data_and_teachers_alone():
    configs = [load_config(path) for path in ABLATION]
    assert [path.stem for path in ABLATION] == ['1_synthetic', '2_camvid', '3_teacher', '4_video']
    assert [len(config.data) for config in configs] == [1, 2, 2, 3]
    assert [bool(config.teacher) for config in configs] == [False, False, True, True]
    free = {'data', 'out', 'teacher', 'distill', 'sources'}
    first, *others = ({key: value for key, value in vars(config).items() if key not in free}
                      for config in configs)
    assert all(other == first for other in others)
