"""Configurations: checked, overridden by dots, written and read back unchanged."""

import contextlib
from dataclasses import asdict
from pathlib import Path

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest
import yaml

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.card_values import check_depth_range
from demt_perception.training.config import ConfigError, load_config, save_config

SMALL = {'model': 'demt', 'tasks': 'nyud', 'data': [{'root': 'a', 'split': 'train'}], 'out': 'o',
         'iterations': 5}


def write(path, **changes):
    values = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(values))
    return path


def test_reading_and_writing_change_nothing(tmp_path):
    first = load_config(write(tmp_path / 'a.yaml', palette=[[1, 2, 3]], classes=['road'],
                              data=[{'root': 'a', 'label_maps': {'semseg': {3: 0}}}]))
    save_config(first, tmp_path / 'b.yaml')
    assert asdict(load_config(tmp_path / 'b.yaml')) == asdict(first)
    assert first.data[0].label_maps == {'semseg': {3: 0}}


def test_overrides_go_deep(tmp_path):
    path = write(tmp_path / 'a.yaml')
    config = load_config(path, ('data.0.root=/b', 'model_options.depth=2', 'lr=1e-4',
                                'size=[64, 96]', 'tasks={semseg: 3}', 'freeze=[backbone]'))
    assert config.data[0].root == '/b' and config.data[0].split == 'train'
    assert config.model_options == {'depth': 2} and config.lr == 1e-4
    assert config.size == (64, 96) and config.tasks == {'semseg': 3}
    assert config.freeze == ('backbone',)


@pytest.mark.parametrize(('changes', 'overrides', 'text'), [
    ({'iteration': 5}, (), "'iteration'; did you mean 'iterations'"),
    ({'data': [{'rot': 'a'}]}, (), "data.0.'rot'; did you mean 'root'"),
    ({'model': None}, (), 'missing model'),
    ({'lr': 'fast'}, (), "lr: 'fast', want a number"),
    ({'batch': 2.5}, (), 'batch: 2.5, want a whole number'),
    ({'batch': True}, (), 'batch: True, want a whole number'),
    ({'batch': 0}, (), 'batch: 0, want 1 or more'),
    ({'data': []}, (), 'no dataset'),
    ({'epochs': 3}, (), 'iterations 5 and epochs 3: want one'),
    ({'iterations': None}, (), 'want one of them'),
    ({'losses': 'demt_nyu'}, (), "did you mean 'demt_nyud'"),
    ({'size': [64]}, (), 'want .height, width.'),
    ({'size': [90, 150], 'distill': {'semseg': 1.0}}, (), 'want multiples of 4'),
    ({'mean': [1, 2]}, (), 'red, green, blue'),
    ({'std': [1, 2, 0]}, (), r'std: \(1.0, 2.0, 0.0\), want .* more than 0'),
    ({'focal': 0}, (), 'focal: 0.0, want pixels, more than 0'),
    ({'focal': float('inf')}, (), 'focal: inf, want pixels'),
    ({'far': -1}, (), 'far: -1.0, want metres, more than 0'),
    ({'assumed_hfov': 180}, (), 'assumed_hfov: 180.0, want degrees between 0 and 180'),
    ({'depth_range': [5, 2]}, (), r'depth_range: \(5.0, 2.0\), want .nearest, farthest'),
    ({'depth_range': [0, 2]}, (), '0 < nearest < farthest'),
    ({}, ('iterations',), 'key=value'),
    ({}, ('data.1.root=x',), "'1' is no place in a list of 1"),
    ({}, ('out.deep.er=1',), "'deep' holds a plain value|'out' holds a plain value"),
    ({}, ('lr=[',), 'not YAML'),
])
def test_mistakes_are_named(tmp_path, changes, overrides, text):
    with pytest.raises(ConfigError, match=text):
        load_config(write(tmp_path / 'a.yaml', **changes), overrides)


def test_a_file_that_is_no_mapping(tmp_path):
    (tmp_path / 'a.yaml').write_text('- 1')
    with pytest.raises(ConfigError, match='keys and values'):
        load_config(tmp_path / 'a.yaml')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=3) | st.sampled_from(['root', 'split', 'semseg']), inner, max_size=3),
    max_leaves=6)


@settings(max_examples=300, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*SMALL, 'size', 'lr', 'model_options', 'freeze',
                                        'loss_weights', 'validation', 'palette', 'ema']),
                       VALUES, max_size=4))
def test_whatever_stands_in_the_file_it_is_read_or_refused(tmp_path, changes):
    path = tmp_path / 'a.yaml'
    path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding='utf-8')
    with contextlib.suppress(ConfigError):
        config = load_config(path)
        assert isinstance(config.lr, float) and config.lr > 0


def test_no_range_reaches_the_sky(tmp_path):
    path = write(tmp_path / 'a.yaml', losses='driving', far=20, depth_range=[0.5, 20])
    tasks = {'semseg': 3, 'depth': 1}
    with pytest.raises(ConfigError, match=r'far 20 with depth_range \[0.5, 20.0\].* 20 m; want '
                       r'far above 20.2 .* depth_range \[0.5, 18\]'):
        check_depth_range(load_config(path), tasks)
    check_depth_range(load_config(path, ('far=20.3',)), tasks)
    check_depth_range(load_config(path, ('depth_range=[0.5, 18]',)), tasks)
    check_depth_range(load_config(path), {'semseg': 3})
    check_depth_range(load_config(path, ('losses=mtl',)), tasks)   # metres have no limit there


def test_every_shipped_configuration_is_read():
    files = sorted(Path(__file__).parents[2].glob('config/training/**/*.yaml'))
    assert len(files) >= 10
    for file in files:
        check_depth_range(load_config(file), ('depth',))
