"""Requests that cannot be met are refused before anything is rendered."""

import argparse
from importlib.util import find_spec

import pytest

from demt_perception.cli.generate import add_arguments, parse_size
from demt_perception.synthetic.clip import render_clip
from demt_perception.synthetic.generate import generate


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


@pytest.mark.parametrize('change', [{'count': 0}, {'size': (0, 5)}, {'processes': 0}])
def test_numbers_that_are_not_positive_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match='above zero'):
        generate(**{'count': 1, 'out': tmp_path / 'o', **change})
    assert not (tmp_path / 'o').exists()


@pytest.mark.skipif(find_spec('bpy') is not None, reason='bpy is installed here')
def test_without_blender_the_error_says_what_to_install(tmp_path):
    with pytest.raises(ImportError, match=r'pip install bpy==4\.5\.15 OpenEXR'):
        generate(1, tmp_path / 'o')
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('seconds', [0., -1., 30.])
def test_a_clip_is_no_longer_than_its_street(tmp_path, seconds):
    with pytest.raises(ValueError, match='20'):
        render_clip(0, seconds, 12.5, (480, 270), tmp_path / 'clip.mp4')
