"""``demt analyze affinity`` on datasets of every kind."""

import json
from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

from demt_perception.cli.main import main

pytest.importorskip('tqdm', reason='pip install tqdm')
sys.path.append(str(Path(__file__).parents[1] / 'training'))

from archives import write_camvid, write_folder, write_nyud, write_pascal, write_rendered

from demt_perception.training.affinity import measure_affinity
from demt_perception.training.datasets import Folder, iterate

WRITERS = {'nyud': lambda root: write_nyud(root, (45, 60), 1), 'pascal': write_pascal,
           'rendered': write_rendered, 'folder': write_folder}


@pytest.mark.parametrize('layout', WRITERS)
def test_every_layout_with_two_tasks(layout, tmp_path, capsys):
    if layout == 'pascal':
        pytest.importorskip('scipy', reason="PASCAL-Context's labels are .mat files")
    root = WRITERS[layout](tmp_path / 'data')
    assert main(['analyze', 'affinity', str(root), '--json', str(tmp_path / 'a.json')]) == 0
    content = json.loads((tmp_path / 'a.json').read_text())
    count = len(content['tasks'])
    assert content['conditions']['layout'] == layout
    assert np.shape(content['counts']) == (7, count, count, 2, 2)
    assert len(capsys.readouterr().out.splitlines()) == 2 + count * (count - 1) // 2


def test_counts_are_those_of_the_split(tmp_path, capsys):
    root = write_folder(tmp_path / 'data')
    assert main(['analyze', 'affinity', str(root), '--split', 'val',
                 '--json', str(tmp_path / 'a.json')]) == 0
    content = json.loads((tmp_path / 'a.json').read_text())
    wanted = measure_affinity(iterate(Folder(root, 'val')), content['tasks'])
    np.testing.assert_array_equal(content['counts'], wanted.counts)
    share = 100 * wanted.matching()[0, 0, 1]
    line = next(text for text in capsys.readouterr().out.splitlines() if 'semseg, depth' in text)
    assert line.split()[2] == f'{share:.1f}'


def test_the_plot_is_a_picture(tmp_path):
    pytest.importorskip('matplotlib', reason="pip install '.[plots]'")
    root = write_folder(tmp_path / 'data')
    assert main(['analyze', 'affinity', str(root), '--limit', '1',
                 '--plot', str(tmp_path / 'plots' / 'a.png')]) == 0
    picture = cv2.imread(str(tmp_path / 'plots' / 'a.png'))
    assert min(picture.shape[:2]) > 300 and len(np.unique(picture @ (1, 256, 65536))) > 50


def test_broken_files_are_left_out_and_told(tmp_path, capsys):
    root = write_folder(tmp_path / 'data')
    (root / 'semseg' / 'frame_0.png').write_bytes(b'')
    assert main(['analyze', 'affinity', str(root)]) == 1
    said = capsys.readouterr()
    assert 'left out' in said.err and 'frame_0' in said.err and 'semseg, depth' in said.out


@pytest.mark.parametrize('option', ['--json', '--plot'])
def test_a_file_that_cannot_be_written_is_said_before_the_work(tmp_path, capsys, option):
    root = write_folder(tmp_path / 'data')
    (tmp_path / 'file').write_text('')
    for place in (tmp_path, tmp_path / 'file' / 'a'):
        assert main(['analyze', 'affinity', str(root), option, str(place)]) == 1
        said = capsys.readouterr()
        assert f'{option} {tmp_path}' in said.err and 'image' not in said.err and not said.out
    assert main(['analyze', 'runs', '/nowhere', '--json', str(tmp_path / 'no' / 'x.json')]) == 1
    assert f'there is no folder {tmp_path / "no"}: make it' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'said'), [
    (['{camvid}'], 'two tasks'), (['/nowhere'], 'not a folder'),
    (['{folder}', '--split', 'test'], "one of ['train', 'val']")])
def test_what_cannot_be_compared_is_refused(tmp_path, capsys, arguments, said):
    places = {'camvid': write_camvid(tmp_path / 'c'), 'folder': write_folder(tmp_path / 'f')}
    assert main(['analyze', 'affinity', *(text.format(**places) for text in arguments)]) == 1
    error = capsys.readouterr().err
    assert said in error and 'Traceback' not in error
