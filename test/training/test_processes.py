"""Several processes, started by torchrun, train and measure as one does; on CPUs, over gloo.

Torch's synced BatchNorm is for GPUs only, so the norms' statistics are frozen here. Sums are
added in another order over processes: losses agree to 1e-5 of their value.
"""

import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import runs
from safetensors.torch import load_file

from demt_perception.networks.backbones import swin
from demt_perception.training import loading, validation
from demt_perception.training.building import build, load_weights
from demt_perception.training.config import save_config
from demt_perception.training.logbook import read_log
from demt_perception.training.objective import Objective
from demt_perception.training.processes import Logits
from demt_perception.training.trainer import train

TOLERANCE = 1e-5
SHARDS = Path(__file__).with_name('shards.py')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return runs.write_labelled(tmp_path_factory.mktemp('data'), 5, (48, 64))


def config_of(root, out, **options):
    return runs.small_config(root, out, **{
        'freeze_norms': ('',), 'lr': 1e-3, 'clip': 1.0, 'ema': 0.5, 'iterations': 4, 'panels': 1,
        'validation': [{'root': str(root)}], 'validate_every': 2, **options})


@pytest.fixture(scope='module')
def single(root, tmp_path_factory):
    """Return the folder of a run of one process."""
    return train(config_of(root, tmp_path_factory.mktemp('single') / 'run')).parent


@pytest.fixture(scope='module')
def double(root, tmp_path_factory):
    """Return the folder of the same run by two processes, and what they said."""
    out = tmp_path_factory.mktemp('double') / 'run'
    return out, runs.finish(runs.start(config_of(root, out), processes=2))


def assert_same_losses(a, b):
    a, b = runs.losses(a), runs.losses(b)
    assert list(a) == list(b) == [1, 2, 3, 4]
    for step, losses in a.items():
        assert losses == pytest.approx(b[step], rel=TOLERANCE), step


def assert_same_weights(a, b, start):
    """Compare with the way that the weights have gone, and with how fine their type is there."""
    a, b = load_file(a / 'weights.safetensors'), load_file(b / 'weights.safetensors')
    moved = max(float((a[name] - start[name]).abs().max()) for name in a)
    for name, value in a.items():
        # A way of hundreds of steps of float32 cannot be the same to a thousandth of it.
        allowed = 1e-3 * moved + torch.finfo(torch.float32).eps * value.abs()
        assert torch.all((value - b[name]).abs() <= allowed), name


def figures(out):
    return [line['figures'] for line in read_log(out) if line['kind'] == 'validation']


def torchrun(arguments, *options, port=29702):
    return subprocess.Popen(
        [sys.executable, '-m', 'torch.distributed.run', f'--master-port={port}', *options,
         *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
        env={**os.environ, 'PYTHONPATH': str(runs.ROOT), 'OMP_NUM_THREADS': '1',
             'GLOO_SOCKET_IFNAME': 'lo'})


def test_two_processes_train_as_one(root, single, double):
    out, text = double
    assert_same_losses(single, out)
    assert_same_weights(single, out, build(config_of(root, out)).state_dict())
    # One bar, one ending, no complaints.
    assert text.count('trained weights') == 1 and 'arning' not in text, text
    assert not re.search(r'default1.*it/s', text), text
    assert len(read_log(out)) == len(read_log(single))


def test_metrics_of_processes_merge_exactly(root, double):
    """The pictures are five: one process has more than the other."""
    out, _ = double
    config = config_of(root, out)
    network = build(config)
    load_weights(out / 'weights.safetensors', network)
    network.eval()
    metrics = validation.create_metrics(config, network.tasks)
    items = loading.ValidationItems(
        loading.open_sources(config.validation, config, network.tasks)[0], config.validation[0],
        config, tuple(network.tasks))
    for _ in validation.measure(Logits(network), loading.validation_loader(items, config, 0, 1),
                                metrics, Objective(config, network.tasks), len(items)):
        pass
    expected, _ = validation.figures_of(metrics)
    assert json.loads(json.dumps(expected)) == figures(out)[-1]


def test_two_machines_killed_and_continued_on_one(root, double, tmp_path):
    """Two nodes of a process each do what one node of two does, to the bit; so does resuming."""
    config = config_of(root, tmp_path / 'run')
    save_config(config, tmp_path / 'config.yaml')
    command = ['-m', 'demt_perception.cli', 'train', tmp_path / 'config.yaml']
    nodes = [torchrun(command, '--nnodes=2', f'--node-rank={number}', '--nproc-per-node=1',
                      '--master-addr=127.0.0.1', port=29703) for number in (0, 1)]
    deadline = time.monotonic() + 120
    while 3 not in runs.losses(tmp_path / 'run') and time.monotonic() < deadline:
        time.sleep(0.02)
    children = [int(pid) for node in nodes for pid in Path(
        f'/proc/{node.pid}/task/{node.pid}/children').read_text().split()]
    for pid in [*(node.pid for node in nodes), *children]:
        os.kill(pid, signal.SIGKILL)
    said = [node.communicate()[0] for node in nodes]
    assert 3 in runs.losses(tmp_path / 'run'), said
    assert not (tmp_path / 'run' / 'weights.safetensors').exists()
    runs.finish(runs.start(config, processes=2, port=29704))
    out, _ = double
    a, b = (load_file(run / 'weights.safetensors') for run in (out, tmp_path / 'run'))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert runs.losses(out) == runs.losses(tmp_path / 'run')
    assert figures(out) == figures(tmp_path / 'run')


def test_shards_train_as_one_and_continue_on_another_number(root, tmp_path, monkeypatch):
    monkeypatch.setattr(swin, '_drop_path', lambda x, *_: x)
    options = {'backbone': 'swin_t', 'strategy': 'fsdp', 'validate_every': 0, 'lr': 1e-4}
    whole = train(config_of(root, tmp_path / 'whole', **options)).parent

    def part(name, last, processes):
        path = tmp_path / f'{name}.yaml'
        save_config(config_of(root, tmp_path / name, **options), path)
        process = torchrun([SHARDS, path, last], f'--nproc-per-node={processes}', '--tee=3',
                           port=29705)
        text, _ = process.communicate(timeout=200)
        assert (process.returncode == 0) == (last == 0), text[-3000:]   # torchrun's end tells
        return text

    text = part('two_one', 3, 2)
    held = [tuple(map(int, found)) for found in re.findall(r'holds (\d+) of (\d+)', text)]
    assert len(held) == 2 and sum(mine for mine, _ in held) == held[0][1], text
    assert max(mine for mine, _ in held) < 0.55 * held[0][1], 'about half each'
    # The average as far as the checkpoint of step 2: continue on one process, then on two.
    shutil.copytree(tmp_path / 'two_one', tmp_path / 'two_two')
    train(config_of(root, tmp_path / 'two_one', **options))
    part('two_two', 0, 2)
    start = build(config_of(root, tmp_path / 'x', **options)).state_dict()
    for name in ('two_one', 'two_two'):
        assert_same_losses(whole, tmp_path / name)
        assert_same_weights(whole, tmp_path / name, start)


def test_an_error_is_said_once(root, tmp_path):
    config = config_of(tmp_path / 'missing', tmp_path / 'run')
    text = runs.finish(runs.start(config, processes=2, port=29706), code=1)
    assert len(re.findall('missing is not a folder', text)) == 1, text
    assert 'demt train: ' in text and '\n[default0]:Traceback' not in text
    assert not (tmp_path / 'run').exists()
