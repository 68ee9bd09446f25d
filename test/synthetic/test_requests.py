"""Requests that cannot be met are refused before anything is rendered."""

import argparse
from importlib.util import find_spec

import numpy as np
import pytest

from demt_perception.cli.generate import add_arguments, parse_size
from demt_perception.cli.main import main
from demt_perception.synthetic.clip import render_clip
from demt_perception.synthetic.generate import generate, view_draws
from demt_perception.synthetic.layout import RequestError


def test_size_is_width_by_height():
    assert parse_size('512x288') == (512, 288)
    for wrong in ('512', '0x5', 'ax4', '5x5x5', '-3x4'):
        with pytest.raises(argparse.ArgumentTypeError, match='WIDTHxHEIGHT'):
            parse_size(wrong)


def test_defaults_are_those_of_the_trained_data():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(['--count', '3', '--out', 'x'])
    assert (args.size, args.samples, args.views_per_scene, args.seed) == ((512, 288), 4, 10, 0)


@pytest.mark.parametrize('change', [
    {'count': 0}, {'size': (0, 5)}, {'processes': 0}, {'samples': 0}, {'views_per_scene': 0}])
def test_numbers_that_are_not_positive_are_refused(tmp_path, change):
    with pytest.raises(RequestError, match='above zero'):
        generate(**{'count': 1, 'out': tmp_path / 'o', **change})
    assert not (tmp_path / 'o').exists()


def test_a_seed_below_zero_is_refused(tmp_path):
    with pytest.raises(RequestError, match='seed is -1: want 0 or more'):
        generate(1, tmp_path / 'o', seed=-1)
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('wrong', [('--count', '0'), ('--samples', '0'), ('--seed', '-1'),
                                   ('--views-per-scene', '0'), ('--seed', '1.5')])
def test_the_command_says_what_it_wants(tmp_path, capsys, wrong):
    with pytest.raises(SystemExit, match='2'):
        main(['generate', '--count', '1', '--out', str(tmp_path / 'o'), *wrong])
    assert f"{wrong[0]}: '{wrong[1]}': want a whole number of at least" in capsys.readouterr().err
    assert not (tmp_path / 'o').exists()


@pytest.mark.skipif(find_spec('bpy') is not None, reason='bpy is installed here')
def test_without_blender_the_error_says_what_to_install(tmp_path):
    with pytest.raises(ImportError, match=r'environment of its own.*'
                       r'pip install bpy==4\.5\.15 OpenEXR opencv-python-headless'):
        generate(1, tmp_path / 'o')
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('seconds', [0., -1., 30.])
def test_a_clip_is_no_longer_than_its_street(tmp_path, seconds):
    with pytest.raises(ValueError, match='20'):
        render_clip(0, seconds, 12.5, (480, 270), tmp_path / 'clip.mp4')


def test_no_view_is_drawn_from_the_numbers_of_its_street():
    streets = np.array([np.random.default_rng(seed).random(2) for seed in range(400)])
    for view in range(4):
        views = np.array([view_draws(seed, view).random(2) for seed in range(400)])
        assert abs(np.corrcoef(streets[:, 0], views[:, 0])[0, 1]) < .2, view
    for seed in (0, 7):
        first = {tuple(view_draws(seed, view).random(2)) for view in range(100)}
        first.add(tuple(np.random.default_rng(seed).random(2)))
        assert len(first) == 101


def test_all_views_but_the_first_are_drawn_as_they_ever_were():
    for view in (1, 2, 9):
        assert view_draws(7, view).random() == np.random.default_rng([7, view]).random()
