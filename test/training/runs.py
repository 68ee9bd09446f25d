"""Small runs for tests: a configuration on a dataset of a few made-up pictures."""

import os
from pathlib import Path
import subprocess
import sys

import archives
import numpy as np

from demt_perception.training.config import load_config, save_config, TrainConfig
from demt_perception.training.export import write_onnx
from demt_perception.training.logbook import read_log

ROOT = Path(__file__).parents[2]
TASKS = {'semseg': 5, 'depth': 1, 'normals': 3, 'edge': 1}


def small_config(root, out, **options):
    """Return a run of a second or two; `root` is what `archives.write_folder` wrote."""
    return TrainConfig(**{
        'model': 'multi_task', 'tasks': TASKS, 'data': [{'root': str(root)}], 'out': str(out),
        'backbone': 'hrnet18', 'protocol': 'mtl_nyud', 'size': (32, 64), 'losses': 'mtl_partial',
        'iterations': 6, 'batch': 4, 'lr': 0.01, 'workers': 0, 'save_every': 2, 'log_every': 1,
        'accelerator': 'cpu', 'threads': 1, **options})


def start(config, *overrides, processes=1, port=29701):
    """Start `demt train` as users do, under torchrun where there are several processes."""
    path = Path(config.out).with_suffix('.yaml')
    path.parent.mkdir(parents=True, exist_ok=True)
    save_config(config, path)
    load_config(path)
    command = [sys.executable, '-m']
    if processes > 1:
        command += ['torch.distributed.run', f'--nproc-per-node={processes}',
                    f'--master-port={port}', '--tee=3', '-m']
    command += ['demt_perception.cli', 'train', str(path), *overrides]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
             'GLOO_SOCKET_IFNAME': 'lo'})


def write_labelled(root, count, size):
    """Write a folder in which every pixel has every label; return it.

    A loss is the mean over the labelled pixels of a process: only where each has as many is the
    mean over processes the mean over the batch.
    """
    rng = np.random.default_rng(5)
    for number in range(count):
        image, ids, depth, normals = archives.scene(rng, size, 5)
        name = f'{number}.png'
        archives.write_rgb(Path(root, 'images', name), image)
        archives.write_grey(Path(root, 'semseg', name), ids)
        archives.write_grey(Path(root, 'depth', name), np.uint16(depth * 1000))
        archives.write_rgb(Path(root, 'normals', name), archives.as_8_bits(normals))
        archives.write_grey(Path(root, 'edge', name), archives.outline(ids).astype('u1') * 255)
    Path(root, 'dataset.yaml').write_text('classes: [a, b, c, d, e]\n')
    return Path(root)


def only_one_size(deployed, size, path, free=('batch', 'size')):
    """Export as where a network can be exported at one size only: a tenth of the time."""
    if free:
        raise RuntimeError('a free size would take too long here')
    write_onnx(deployed, size, path, free)


def finish(process, code=0):
    """Wait for a started run and return what it said."""
    text, _ = process.communicate(timeout=300)
    assert process.returncode == code, text[-3000:]
    return text


def losses(out):
    """Return the loss lines of a run, by step."""
    return {line['step']: line['loss'] for line in read_log(Path(out))
            if line['kind'] == 'train'}
