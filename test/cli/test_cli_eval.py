"""``demt eval`` on datasets of users: tables, files, plots, and what is wrong with either."""

from dataclasses import replace
import json
from pathlib import Path
import shutil
import sys

import cv2
import numpy as np
import pytest
from six_task_model import make_model

from demt_perception.cli.main import main
from demt_perception.inference.input_size import fit_input_size
from demt_perception.model_card import load_card, save_card

pytest.importorskip('onnxruntime')
pytest.importorskip('tqdm', reason='pip install tqdm')
sys.path.append(str(Path(__file__).parents[1] / 'training'))

from archives import write_camvid, write_folder

CLASSES = ('sky', 'ground', 'wall', 'thing', 'person')
ALL = ('semseg', 'depth', 'normals', 'edge', 'human_parts', 'sal')


@pytest.fixture
def data(tmp_path):
    return write_folder(tmp_path / 'data', count=3)


@pytest.fixture(scope='module')
def six(tiny_model, tmp_path_factory):
    """A model of six tasks with the classes of the folder."""
    folder = make_model(tmp_path_factory.mktemp('models') / 'six', tiny_model)
    save_card(replace(load_card(folder), classes=CLASSES, palette=(
        (90, 140, 220), (120, 80, 60), (200, 180, 160), (20, 160, 60), (220, 40, 80))), folder)
    return folder


def run(*arguments):
    return main(['eval', *map(str, arguments), '--engine', 'onnxruntime'])


def test_prints_a_table_and_writes_json_of_every_common_task(six, data, tmp_path, capsys):
    assert run(six, '--data', data, '--json', tmp_path / 'a.json') == 0
    said = capsys.readouterr()
    assert 'six on ' in said.out and '(folder, val)' in said.out
    assert '3/3' in said.err
    content = json.loads((tmp_path / 'a.json').read_text())
    assert tuple(content['figures']) == tuple(content['main']) == ALL
    lines = [line.split() for line in said.out.splitlines()]
    assert ['depth', 'abs_rel', f'{content["figures"]["depth"]["abs_rel"]:.4f}', '3'] in lines
    assert ['rmse_all_m', f'{content["main"]["depth"]:.4f}'] in lines
    assert list(content['iou']['semseg']) == list(CLASSES)
    assert len(content['iou']['human_parts']) == 7
    conditions = content['conditions']
    assert (conditions['model'], conditions['layout'], conditions['split']) == (
        'six', 'folder', 'val')
    assert conditions['package'].startswith('demt_perception ')
    assert conditions['model_sha256'] == load_card(six).onnx_sha256


def test_tasks_split_limit_and_processes(six, data, tmp_path):
    asked = ('--data', data, '--tasks', 'depth', 'edge', '--split', 'train', '--limit', 2)
    assert run(six, *asked, '--json', tmp_path / 'a.json') == 0
    assert run(six, *asked, '--processes', 2, '--json', tmp_path / 'b.json') == 0
    content = json.loads((tmp_path / 'a.json').read_text())
    assert tuple(content['figures']) == ('depth', 'edge')
    assert (content['conditions']['images'], content['conditions']['images_in_split']) == (2, 3)
    assert content == json.loads((tmp_path / 'b.json').read_text())


def test_plots_are_pictures(six, data, tmp_path):
    pytest.importorskip('matplotlib', reason="pip install '.[plots]'")
    assert run(six, '--data', data, '--plots', tmp_path / 'plots') == 0
    found = {path.stem: cv2.imread(str(path)) for path in (tmp_path / 'plots').iterdir()}
    assert set(found) == {
        'confusion_semseg', 'confusion_human_parts', 'iou_semseg', 'iou_human_parts',
        'errors_depth', 'errors_normals', 'precision_recall', 'reliability_semseg',
        'sparsification_depth', *(f'worst_{t}' for t in ALL)}
    for name, picture in found.items():
        assert min(picture.shape[:2]) > 150, name
        assert len(np.unique(picture @ (1, 256, 65536))) > 8, name


def test_delta_m_against_single_task_models(six, data, tmp_path, capsys):
    assert run(six, '--data', data, '--tasks', 'semseg', 'depth', '--json', tmp_path / 'a') == 0
    main_figures = json.loads((tmp_path / 'a').read_text())['main']
    (tmp_path / 'semseg.json').write_text(json.dumps({'semseg': main_figures['semseg'] / 1.1}))
    (tmp_path / 'depth.json').write_text(json.dumps({'main': {'depth': main_figures['depth']}}))
    assert run(six, '--data', data, '--tasks', 'semseg', 'depth', '--single-task',
               tmp_path / 'semseg.json', tmp_path / 'depth.json', '--json', tmp_path / 'b') == 0
    assert 'Delta_m +5.00 %' in capsys.readouterr().out
    assert json.loads((tmp_path / 'b').read_text())['delta_m'] == pytest.approx(0.05)
    # What `demt train` measured is in other units.
    (tmp_path / 'best.json').write_text(json.dumps({'step': 7, 'main': main_figures}))
    assert run(six, '--data', data, '--tasks', 'semseg', '--single-task',
               tmp_path / 'best.json') == 1
    assert 'measured while training' in capsys.readouterr().err


def test_broken_files_are_told_counted_and_left_out(six, data, tmp_path, capsys):
    damaged = data / 'depth' / 'frame_3.png'
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert run(six, '--data', data, '--json', tmp_path / 'a.json') == 1
    said = capsys.readouterr().err
    assert f'left out: {damaged}' in said and '1 broken picture left out, 2 measured' in said
    content = json.loads((tmp_path / 'a.json').read_text())
    assert content['conditions']['broken'] == len(content['broken']) == 1
    assert content['figures']['semseg']['images'] == 2
    assert run(six, '--data', data, '--skip-broken') == 0
    # What is not read cannot be broken.
    assert run(six, '--data', data, '--tasks', 'edge') == 0


def test_a_set_that_is_broken_throughout_has_no_figures_and_no_traceback(six, data, tmp_path,
                                                                        capsys):
    for path in (data / 'images').iterdir():
        path.write_bytes(b'no picture')
    assert run(six, '--data', data, '--plots', tmp_path / 'plots', '--json', tmp_path / 'a') == 1
    said = capsys.readouterr()
    assert '3 broken pictures left out, 0 measured' in said.err and 'nan' in said.out
    assert json.loads((tmp_path / 'a').read_text())['main']['semseg'] is None


def test_missing_labels_are_told_and_count_for_the_other_tasks(six, data, tmp_path, capsys):
    (data / 'depth' / 'frame_4.npy').unlink()
    assert run(six, '--data', data, '--json', tmp_path / 'a.json') == 0
    assert '1 other problem, such as missing labels' in capsys.readouterr().err
    figures = json.loads((tmp_path / 'a.json').read_text())['figures']
    assert (figures['depth']['images'], figures['semseg']['images']) == (2, 3)


def test_pictures_of_an_unknown_focal_length_are_counted(six, data, tmp_path, capsys):
    assert run(six, '--data', data, '--json', tmp_path / 'a.json') == 0
    assert 'focal length' not in capsys.readouterr().err
    assert json.loads((tmp_path / 'a.json').read_text())['conditions']['focal_assumed'] == 0
    data = shutil.copytree(data, tmp_path / 'bare')   # a job is opened once
    (data / 'dataset.yaml').write_text(f'classes: [{", ".join(CLASSES)}]\n')
    for name in ('frame_3', 'frame_5'):
        (data / 'cameras' / f'{name}.yaml').unlink()
    for processes in (1, 2):
        assert run(six, '--data', data, '--processes', processes, '--json',
                   tmp_path / 'a.json') == 0
        assert ('2 of 3 pictures have no focal length: assumed were '
                f'{load_card(six).assumed_hfov:g} degrees') in capsys.readouterr().err
        assert json.loads((tmp_path / 'a.json').read_text())['conditions']['focal_assumed'] == 2
    assert run(six, '--data', data, '--tasks', 'edge') == 0
    assert 'focal length' not in capsys.readouterr().err, 'of depth alone it matters'


@pytest.mark.parametrize(('source', 'said'), [
    ({'root': 'data/data', 'split': 'val'}, True), ({'split': 'val'}, True),
    ({'root': 'data/data'}, True), ({'root': 'data/other', 'split': 'val'}, False),
    ({'root': 'data/data', 'split': 'test'}, False)])
def test_a_split_that_chose_the_weights_is_told(six, data, tmp_path, capsys, source, said):
    model = shutil.copytree(six, tmp_path / 'model')
    (model / 'config.yaml').write_text(json.dumps({
        'model': 'demt', 'tasks': 'nyud', 'out': 'x', 'iterations': 1, 'root': 'data/data',
        'data': [{'root': 'a'}], 'validation': [source]}))
    assert run(model, '--data', data, '--tasks', 'edge') == 0
    assert ('data, val is validation data of the run' in capsys.readouterr().err) == said
    (model / 'config.yaml').write_text('of: another program')
    assert run(model, '--data', data, '--tasks', 'edge') == 0


def test_figures_in_the_card(six, data, tmp_path):
    shutil.copytree(six, tmp_path / 'copy')
    assert run(tmp_path / 'copy', '--data', data, '--tasks', 'depth', '--write-card') == 0
    figures = load_card(tmp_path / 'copy').metrics['eval_data_val']
    assert figures['images'] == 3 and 'rmse_m' in figures['depth']


def test_other_classes_are_named(tiny_model, data, capsys):
    assert run(tiny_model, '--data', data) == 1
    said = capsys.readouterr().err
    assert "only the model has ['blue', 'green', 'red']" in said and 'wall' in said
    assert 'Traceback' not in said
    assert run(tiny_model, '--data', data, '--tasks', 'depth', 'normals', 'edge') == 0


@pytest.mark.parametrize(('arguments', 'code', 'said'), [
    ([], 2, 'give --data'), (['--data', 'x', '--camvid', 'y'], 2, 'give --data'),
    (['--data', 'x', '--video', 'y'], 2, 'give --data'),
    (['--camvid', 'x', '--data', '', '--input-size', 'auto'], 2, 'HEIGHTxWIDTH'),
    (['--pictures', 'x', '--data', ''], 2, 'give --sheet'),
    (['--data', '/nowhere'], 1, 'not a folder'), (['--split', 'test'], 1, "one of ['train', 'val"),
    (['--tasks', 'colour'], 1, 'the dataset semseg'),
    (['--input-size', '33x65'], 1, 'input_size is (33, 65)'),
    (['--rendered', 'x', '--data', '', '--split', 'val'], 2, "no split 'val': leave --split out")])
def test_wrong_requests_are_one_readable_line(six, data, capsys, arguments, code, said):
    given = arguments if not arguments or '--data' in arguments else ['--data', data, *arguments]
    assert run(six, *given) == code
    error = capsys.readouterr().err
    assert said in error and 'Traceback' not in error


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--single-task', '/nowhere.json'], 'nowhere.json'),
    (['--single-task', '{tmp_path}/depth.json'], 'want the same tasks'),
    (['--json', '{tmp_path}/no/x.json'], 'there is no folder {tmp_path}/no: make it'),
    (['--json', '{tmp_path}'], 'is a folder'),
    (['--plots', '{tmp_path}/depth.json'], 'depth.json is no folder'),
    (['--plots', '{tmp_path}/depth.json/plots'], 'depth.json is no folder')])
def test_what_cannot_be_read_or_written_in_the_end_is_said_before_the_work(
        six, data, tmp_path, monkeypatch, capsys, arguments, said):
    from demt_perception.cli import eval as verb
    monkeypatch.setattr(verb, '_measure', lambda *_: pytest.fail('the work was begun'))
    (tmp_path / 'depth.json').write_text('{"depth": 0.6}')
    assert run(six, '--data', data, *(text.format(tmp_path=tmp_path) for text in arguments)) == 1
    assert said.format(tmp_path=tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize('option', ['--json', '--sheet'])
def test_so_it_is_for_a_video(tmp_path, capsys, option):
    (tmp_path / 'file').write_text('')
    assert main(['eval', 'no model', '--video', 'none', option, str(tmp_path / 'file' / 'x')]) == 1
    assert f'{option} {tmp_path}' in capsys.readouterr().err


@pytest.mark.parametrize('focal', ['nan', 'inf', '0', '-5'])
def test_a_focal_length_that_is_none_is_refused(capsys, focal):
    with pytest.raises(SystemExit, match='2'):
        main(['eval', 'model', '--video', 'x', f'--fx={focal}'])
    assert f'{focal}: want a number of pixels above 0' in capsys.readouterr().err


def test_renders_that_are_not_there_are_told_before_camvid_is_measured(six, tmp_path, monkeypatch,
                                                                       capsys):
    from demt_perception.training import evaluation
    monkeypatch.setattr(evaluation, 'evaluate_camvid', lambda *_: pytest.fail('it was begun'))
    assert run(six, '--camvid', tmp_path, '--rendered', tmp_path) == 1
    assert 'no complete view' in capsys.readouterr().err


@pytest.mark.parametrize(('mode', 'options', 'named'), [
    ('--video', ['--layout', 'folder'], '--layout'),
    ('--stereo', ['--plots', 'x', '--fx', '500'], '--plots, --fx'),
    ('--pictures', ['--json', 'x', '--single-task', 'a'], '--json, --single-task'),
    ('--video', ['--write-card', '--skip-broken'], '--skip-broken, --write-card'),
    ('--data', ['--against', 'm'], '--against'),
    ('--data', ['--sheet', 's.png'], '--sheet'),
    ('--rendered', ['--limit', '3', '--processes', '2'], '--limit, --processes')])
def test_options_of_other_modes_are_refused(capsys, mode, options, named):
    assert main(['eval', 'model', mode, 'there', *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith('demt eval: --') and f' not take {named}: leave it out' in said, said


def test_a_sheet_of_pictures_of_any_shape(six, tmp_path, capsys):
    (tmp_path / 'photos').mkdir()
    rng = np.random.default_rng(0)
    for name, size in (('a', (40, 160)), ('b', (90, 60)), ('c', (30, 30))):
        cv2.imwrite(str(tmp_path / 'photos' / f'{name}.png'),
                    rng.integers(0, 256, (*size, 3), np.uint8))
    sheet = tmp_path / 'out' / 'sheet.png'
    assert run(six, '--pictures', tmp_path / 'photos', '--sheet', sheet,
               '--input-size', 'auto') == 0
    whole = cv2.imread(str(sheet))
    assert '3 pictures in' in capsys.readouterr().out
    (tmp_path / 'photos' / 'b.png').write_bytes(b'no picture')
    assert run(six, '--pictures', tmp_path / 'photos', '--sheet', sheet, '--fx', 50) == 1
    assert 'left out' in capsys.readouterr().err
    shorter = cv2.imread(str(sheet))
    assert shorter.shape[1] == whole.shape[1] and shorter.shape[0] < whole.shape[0]


def test_the_size_of_the_input(six, data, tmp_path):
    def size(*asked):
        assert run(six, '--data', data, '--tasks', 'depth', '--limit', 1, '--json',
                   tmp_path / 'a.json', *asked) == 0
        return json.loads((tmp_path / 'a.json').read_text())['conditions']['input_size']

    card = load_card(six)
    picture = cv2.imread(str(next((data / 'images').glob('frame_2.*'))))
    assert size() == size('--input-size', 'card') == list(card.input_size)
    assert size('--input-size', 'auto') == list(fit_input_size(card, picture.shape[:2]))
    assert size('--input-size', '64x160') == [64, 160]


def test_the_verb_of_the_card_still_measures_camvid(six, tmp_path, capsys):
    write_camvid(tmp_path / 'camvid')
    classes = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
               'pedestrian', 'bicyclist')
    shutil.copytree(six, tmp_path / 'model')
    save_card(replace(load_card(six), classes=classes, palette=((1, 2, 3),) * 11),
              tmp_path / 'model')
    assert run(tmp_path / 'model', '--camvid', tmp_path / 'camvid') == 0
    figures = json.loads(capsys.readouterr().out)['camvid_test']
    assert figures['images'] == 2 and set(figures['iou']) == set(classes)
