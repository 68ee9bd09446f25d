"""Runs that are killed at bad moments, as real processes: they continue to the same weights."""

import multiprocessing
import os
from pathlib import Path
import random
import resource
import signal
import sys
import time

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import runs
from safetensors.torch import load_file

from demt_perception.training import checkpoints
from demt_perception.training.config import save_config
from demt_perception.training.logbook import read_log

STEPS = 6


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return runs.write_labelled(tmp_path_factory.mktemp('data'), 5, (48, 64))


def config_of(root, out):
    return runs.small_config(root, out, iterations=STEPS, workers=1, save_every=1, ema=0.5,
                             validate_every=2, panels=0, validation=[{'root': str(root)}])


def start(config, largest=0, hold=''):
    """Start `demt train` in a forked process that has the packages: fast, and a real one.

    Args:
        config: of the run.
        largest: bytes that a file may have; 0 for any.
        hold: part of a path: what is written there stands still before it has its own name.
    """
    path = Path(config.out).with_suffix('.yaml')
    path.parent.mkdir(parents=True, exist_ok=True)
    save_config(config, path)
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['demt_perception.training.trainer', 'lightning_fabric',
                                    'tensorboardX', 'runs'])
    # A file for each: the data worker of a process that was killed may still have a last word.
    said = path.with_suffix(f'.{len(list(path.parent.glob(f"{path.stem}.*.txt")))}.txt')
    said.touch()
    process = context.Process(target=_child, args=(str(path), str(said), largest, hold))
    process.said = said
    process.start()
    return process


def _child(path, said, largest, hold):
    os.setsid()
    output = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if hold:
        sync = checkpoints._sync
        checkpoints._sync = lambda path: time.sleep(300) if hold in str(path) else sync(path)
    from demt_perception.cli.main import main
    sys.exit(main(['train', path]))


def finish(process, config, code=0):
    process.join(240)
    text = process.said.read_text()
    assert process.exitcode == code, text
    return text


@pytest.fixture(scope='module')
def whole(root, tmp_path_factory):
    """Return the folder of a run that nothing disturbs."""
    config = config_of(root, tmp_path_factory.mktemp('whole') / 'run')
    finish(start(config), config)
    return Path(config.out)


def until(process, happened, seconds=120):
    """Wait for something to happen in a run; tell whether it did before the run ended."""
    deadline = time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.001)
    return False


def assert_like(whole, out):
    """Compare a continued run with an undisturbed one: weights to the bit, every step once."""
    for name in ('weights.safetensors', 'best.safetensors'):
        a, b = load_file(whole / name), load_file(out / name)
        assert set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a), name
    lines = [[(line['kind'], line['step']) for line in read_log(run)] for run in (whole, out)]
    assert lines[0] == lines[1] and len(set(lines[1])) == len(lines[1])
    assert runs.losses(whole) == runs.losses(out)
    assert (whole / 'best.json').read_text() == (out / 'best.json').read_text()


MOMENTS = {
    'while a checkpoint is written': 'checkpoints/.writing_step_00000003/network.safetensors',
    'while the best weights are written': '.writing_best.safetensors',
    'while the final weights are written': '.writing_weights.safetensors'}


@pytest.mark.parametrize('moment', ['in the middle of an epoch', *MOMENTS])
def test_a_killed_run_continues_exactly(root, tmp_path, whole, moment):
    config = config_of(root, tmp_path / 'run')
    place = MOMENTS.get(moment, '')
    process = start(config, hold=place)
    assert until(process, lambda: (tmp_path / 'run' / place).exists() if place else
                 3 in runs.losses(tmp_path / 'run'))
    process.kill()
    process.join()
    # Whatever is there under its own name is whole.
    for path in tmp_path.glob('run/*.safetensors'):
        if not path.name.startswith('.'):
            load_file(path)
    # At once: the workers of the killed process may still live.
    text = finish(start(config), config)
    assert 'damaged' not in text
    assert_like(whole, tmp_path / 'run')


def test_kills_at_random_moments(root, tmp_path, whole):
    config = config_of(root, tmp_path / 'run')
    rng = random.Random(1)
    for _ in range(4):
        process = start(config)
        step = max(runs.losses(tmp_path / 'run'), default=0)
        until(process, lambda step=step: max(runs.losses(tmp_path / 'run'), default=0) > step)
        process.join(rng.uniform(0, 0.4))
        process.kill()
        process.join()
    finish(start(config), config)
    assert_like(whole, tmp_path / 'run')


def test_a_warned_run_writes_a_checkpoint_and_says_so(root, tmp_path, whole):
    """SIGTERM to the whole group, data workers too, as schedulers send it."""
    config = config_of(root, tmp_path / 'run')
    process = start(config)
    assert until(process, lambda: 1 in runs.losses(tmp_path / 'run'))
    os.killpg(process.pid, signal.SIGTERM)
    text = finish(process, config, code=1)
    assert 'demt train: stopped by a signal at iteration' in text, text
    assert 'the same command continues' in text and 'Traceback' not in text
    step, _, _ = checkpoints.load_checkpoint(tmp_path / 'run' / 'checkpoints')
    assert f'iteration {step} of {STEPS}' in text
    finish(start(config), config)
    assert_like(whole, tmp_path / 'run')


def test_a_full_disk_is_said_and_the_older_checkpoint_stays(root, tmp_path, whole):
    config = config_of(root, tmp_path / 'run')
    process = start(config)
    assert until(process, lambda: any(tmp_path.glob('run/checkpoints/step_*')))
    process.kill()
    process.join()
    before = checkpoints.load_checkpoint(tmp_path / 'run' / 'checkpoints')[0]
    text = finish(start(config, largest=2 ** 20), config, code=1)
    assert 'demt train: cannot write' in text and 'File too large' in text, text
    assert 'Traceback' not in text, text
    assert checkpoints.load_checkpoint(tmp_path / 'run' / 'checkpoints')[0] == before
    assert not list(tmp_path.glob('run/**/.writing*')), 'the room is given back'
    finish(start(config), config)
    assert_like(whole, tmp_path / 'run')


def test_a_second_start_in_the_same_folder_is_refused(root, tmp_path, whole):
    config = config_of(root, tmp_path / 'run')
    first = start(config)
    assert until(first, lambda: 1 in runs.losses(tmp_path / 'run'))
    os.kill(first.pid, signal.SIGSTOP)
    second = start(config)
    second.join(60)
    text = second.said.read_text()
    os.kill(first.pid, signal.SIGCONT)
    assert second.exitcode == 1, text
    assert f'is being trained in by process {first.pid} on ' in text and 'another out' in text
    finish(first, config)
    assert_like(whole, tmp_path / 'run')
