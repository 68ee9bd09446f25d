"""The ways of newcomers: the very commands of the pages, one after the other, in one shell."""

import os
from pathlib import Path
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / 'docs' / 'tutorials'


def commands(page: Path) -> str:
    """Return what the page has in ```sh blocks: that is what is run here."""
    blocks = re.findall(r'^```sh\n(.*?)^```', page.read_text(encoding='utf-8'),
                        re.MULTILINE | re.DOTALL)
    assert blocks, f'{page}: no ```sh block'
    return ''.join(blocks)


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the repository after `make setup`, to write into."""
    bin_folder = tmp_path / '.venv' / 'bin'
    bin_folder.mkdir(parents=True)
    demt = bin_folder / 'demt'
    demt.write_text(f'#!/bin/sh\nexec {sys.executable} -m demt_perception.cli "$@"\n')
    demt.chmod(0o755)
    for name in ('config', 'models'):
        (tmp_path / name).mkdir()
        for path in (ROOT / name).iterdir():
            (tmp_path / name / path.name).symlink_to(path)
    return tmp_path


def run(page: Path, folder: Path) -> str:
    """Run the page's commands; return what they printed."""
    result = subprocess.run(
        ['bash', '-euxo', 'pipefail', '-c', commands(page)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_a_clone_gives_pictures(checkout):
    """By parts: `make demo` is test_demo.py and test_commands.py; here is the rest of the page."""
    cv2.imwrite(str(checkout / 'photo.jpg'), np.full((90, 160, 3), 128, np.uint8))
    run(ROOT / 'docs' / 'start.md', checkout)
    assert (checkout / 'out/photo/photo_sheet.png').stat().st_size


def test_twenty_own_pictures_become_a_running_model(checkout):
    pytest.importorskip('torch', reason='training needs torch')
    pytest.importorskip('rclpy', reason='the model is run in the node')
    rng = np.random.default_rng(0)
    for folder in ('images', 'semseg'):
        (checkout / 'mine' / folder).mkdir(parents=True)
    for number in range(20):   # a road, a sky, and a car somewhere
        label = np.full((72, 108), 2, np.uint8)
        label[36:] = 0
        x, y = rng.integers(0, 80), rng.integers(30, 50)
        label[y:y + 15, x:x + 25] = 1
        picture = np.array([(90, 90, 90), (30, 30, 180), (220, 160, 90)], np.uint8)[label]
        cv2.imwrite(str(checkout / f'mine/images/street_{number}.jpg'), picture)
        cv2.imwrite(str(checkout / f'mine/semseg/street_{number}.png'), label)

    printed = run(TUTORIALS / 'own_training.md', checkout)

    assert 'no problems' in printed
    model = checkout / 'models' / 'try'
    assert {'card.yaml', 'model.onnx'} <= {path.name for path in model.iterdir()}
    assert len(list((checkout / 'out/try').glob('*_sheet.png'))) == 20
    assert (checkout / 'out/try_live/sheet.png').stat().st_size
    assert 'semantic/image' in (checkout / 'out/try_live/table.txt').read_text()
