"""Every published configuration starts, trains, is measured; what it gives exports and predicts.

On small pictures in the layouts of the real archives, with overrides that leave the protocol as
it is: size 64x96, two pictures a batch, two iterations or one epoch, CPU. Every file trains and is
measured. Export, ONNX Runtime, `Predictor` and `demt eval` follow for one file of each network and
set of tasks (``EXPORTED``), at the one size: free sizes take ten times as long, and are tested in
test/networks/test_every_model.py. DEMT_EXPORT=all in the environment exports what every file
gives, as `demt export` does; that takes an hour.
"""

from contextlib import nullcontext
import json
import math
import os
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.model_card import load_card
from demt_perception.tasks import TASKS
from demt_perception.training import export
from demt_perception.training.config import load_config
from demt_perception.training.logbook import read_log
from demt_perception.training.trainer import train

FOLDER = Path(__file__).parents[2] / 'config' / 'training'
NAMES = [str(path.relative_to(FOLDER).with_suffix('')) for path in sorted(
    [*FOLDER.glob('nyud/*.yaml'), *FOLDER.glob('pascal_context/*.yaml')])]
ALL = os.environ.get('DEMT_EXPORT') == 'all'
EXPORTED = {
    'nyud/demt_hrnet18', 'nyud/demtg_swin_t', 'nyud/mti_net_aux_hrnet18', 'nyud/pad_net_hrnet18',
    'nyud/multi_task_resnet50', 'nyud/multi_task_fcn_hrnet18', 'nyud/single_semseg_fcn_hrnet18',
    'nyud/single_depth_resnet50', 'pascal_context/demt_hrnet18',
    'pascal_context/mti_net_small_hrnet18', 'pascal_context/pad_net_small_hrnet18',
    'pascal_context/multi_task_resnet18', 'pascal_context/single_human_parts_resnet18',
    'pascal_context/single_sal_fcn_hrnet18', 'pascal_context/single_normals_resnet18',
    'pascal_context/single_edge_resnet18'}
LARGE_GIB = 8.0
"""What training Swin-L takes: weights, gradients and momentum, and copies of them to write."""


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    """Both archives of NYUD-v2 and both of PASCAL-Context, of four pictures a split."""
    pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
    root = tmp_path_factory.mktemp('archives')
    return {
        ('nyud', 'demt'): archives.write_nyud(root, (72, 104), 4, 'demt'),
        ('nyud', 'mtl'): archives.write_nyud(root, (72, 104), 4, 'mtl'),
        ('pascal_context', 'demt'): archives.write_pascal(root, 4, (72, 104), 'demt'),
        ('pascal_context', 'mtl'): archives.write_pascal(root, 4, (72, 104), 'mtl')}


@pytest.mark.parametrize('name', NAMES)
def test_it_trains_exports_and_predicts(name, roots, tmp_path, monkeypatch):
    if 'swin_l' in name and memory() < LARGE_GIB:
        pytest.skip(f'training Swin-L wants {LARGE_GIB:.0f} GiB of memory, {memory():.1f} free')
    published = load_config(FOLDER / f'{name}.yaml')
    dataset = name.partition('/')[0]
    root = roots[dataset, 'demt' if published.protocol == 'demt' else 'mtl']
    length = ['epochs=1'] if published.epochs else ['iterations=2']
    config = load_config(FOLDER / f'{name}.yaml', [
        f'root={root}', f'out={tmp_path / "run"}', 'size=[64, 96]', 'batch=2', *length,
        'accelerator=cpu', 'threads=1', 'workers=0', 'log_every=1', 'panels=1'])
    train(config)
    losses = runs.losses(tmp_path / 'run')
    tasks = set(TASKS) & {stage.partition('/')[0] for stage in losses[1]}
    assert tasks == set(config.loss_weights)
    assert all(math.isfinite(value) for step in losses.values() for value in step.values())
    assert len(losses) == (1 if config.data[0].people else 2)
    rates = [line['lr'] for line in read_log(tmp_path / 'run') if line['kind'] == 'train']
    assert rates[0] == config.lr
    assert rates[-1] == pytest.approx(config.lr if config.epochs else config.lr * 0.5 ** 0.9)
    best = json.loads((tmp_path / 'run' / 'best.json').read_text())
    assert best['step'] == len(losses)
    assert all(math.isfinite(value) for value in best['main'].values())
    if not ALL:
        monkeypatch.setattr(export, 'write_onnx', runs.only_one_size)
    if ALL or name in EXPORTED:
        with nullcontext() if ALL else pytest.warns(match='takes images of 64x96 only'):
            export_and_predict(tmp_path, root, set(best['main']))
    shutil.rmtree(tmp_path / 'run')


def export_and_predict(folder, root, tasks):
    model = folder / 'model'
    assert main(['export', str(folder / 'run'), '--out', str(model), 'assumed_hfov=61']) == 0
    assert load_card(model).assumed_hfov == 61
    predictor = Predictor(model, 'onnxruntime', 1)
    assert set(predictor.card.tasks) == tasks
    picture = next(path for path in sorted(root.rglob('*[0-9].*g')) if 'mages' in str(path.parent))
    predictions = predictor.predict(cv2.imread(str(picture)))
    for task in tasks:
        values = getattr(predictions, TASKS[task].topic)
        assert values.shape[:2] == (72, 104)
        assert values.dtype == np.dtype('uint8') or not np.isinf(values).any()
    assert main(['eval', str(model), '--data', str(root), '--engine', 'onnxruntime', '--json',
                 str(folder / 'figures.json')]) == 0
    assert set(json.loads((folder / 'figures.json').read_text())['figures']) == tasks


def memory():
    """Return the GiB of memory that are to be had, what files only cache included."""
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable'):
            return int(line.split()[1]) / 2 ** 20
    return 0.0
