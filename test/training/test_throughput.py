"""`demt data time` prints a rate and its parts; how fast is not tested."""

import re

import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

import archives

from demt_perception.cli.main import main


@pytest.mark.parametrize('protocol', ['demt', 'mtl_pascal', 'driving'])
def test_time_is_printed(tmp_path, capsys, protocol):
    archives.write_folder(tmp_path / 'data')
    assert main(['data', 'time', str(tmp_path / 'data'), '--split', 'train', '--protocol',
                 protocol, '--size', '32', '64']) == 0
    total, *parts = map(float, re.findall(r'(\d+\.\d\d)', capsys.readouterr().out))
    assert total > 0 and total == pytest.approx(sum(parts), abs=0.03)


def test_a_missing_folder_is_said(capsys):
    assert main(['data', 'time', '/nowhere']) == 1
    assert '/nowhere is not a folder' in capsys.readouterr().err


@pytest.mark.parametrize(('options', 'said'), [
    (['--tasks', 'foo'], "tasks ['foo'] are not valid"),
    (['--tasks', 'depth', 'depth'], 'each at most once'),
    (['--size', '100000', '100000'], 'size is 100000x100000, want sides of 2 to 16384'),
    (['--split', 'foo'], "has no split 'foo': want one of train, val"),
    (['--split', 'foo', '--layout', 'rendered'], "has no split 'foo': it has none")])
def test_wrong_requests_are_one_readable_line(tmp_path, capsys, options, said):
    archives.write_folder(tmp_path / 'data')
    assert main(['data', 'time', str(tmp_path / 'data'), *options]) == 1
    assert said in capsys.readouterr().err
