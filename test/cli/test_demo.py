"""`demt demo` as a user runs it: three processes over real DDS, on a small input."""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built: demt_msgs/build_into_venv.sh')

from demt_perception.inference.sheet import CAPTION, GAP
from demt_perception.model_card import load_card
from demt_perception.ros.demo import panels, run
from demt_perception.ros.demo.report import make_table
from demt_perception.ros.outputs import outputs_of
from demt_perception.tasks import DRIVING

ROOT = Path(__file__).resolve().parents[2]
GIVEN = load_card(ROOT / 'test' / 'data' / 'tiny_model').outputs


@pytest.fixture(scope='module')
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images."""
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for index in range(10):
        picture = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (320, 180))
        cv2.imwrite(str(folder / f'{index}.png'), picture)
    return folder


def demo(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'demt_perception.cli', 'demo', *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # Tests run in the background have interrupts ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def running(mark: str) -> list[str]:
    """Return the command lines of living processes that hold a text."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            continue
        if mark in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


@pytest.fixture(scope='module')
def finished(street, tiny_model, tmp_path_factory) -> tuple[Path, str]:
    """A demo that has ended well: its folder and its output."""
    out = tmp_path_factory.mktemp('demo')
    process = demo('--source', street, '--seconds', 3, '--model', tiny_model, '--out', out,
                   '--dense')
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    return out, output


def test_the_report_holds_every_figure(finished):
    report = json.loads((finished[0] / 'report.json').read_text())
    topics = report['topics']
    assert topics.keys() == {
        '/image', *(output.topic for output in outputs_of(DRIVING, GIVEN)), 'depth/camera_info',
        'dense'}
    for name, row in topics.items():
        if name == 'depth/camera_info':  # the images come without a calibration
            continue
        assert row['rate'] == pytest.approx(10, abs=3), name
        assert 0 < row['p50_ms'] <= row['p95_ms'] < 2000
    assert topics['depth/image']['bytes'] > 320 * 180 * 4
    stats = report['stats']
    assert stats['model'] == 'tiny_model'
    assert 0 < stats['processed'] <= stats['received']
    in_work = stats['received'] - stats['processed'] - stats['dropped'] - stats['idle']
    assert 0 <= in_work <= 3
    assert sum(stats['drop_counts'].values()) == stats['dropped']
    assert 0 < stats['stages']['total']['p50_ms'] <= stats['stages']['total']['p95_ms']
    # The node needs memory, and no torch; latency as the node sees it is part of what we see.
    assert 50 < report['memory_mb'] <= report['peak_memory_mb'] < 2000
    assert report['torch_loaded'] is False
    assert 0 < report['first_frame_s'] < 60
    assert report['classes'] == ['red', 'green', 'blue']
    assert report['files'].keys() == {'video', 'sheet'}


def test_the_table_is_printed_and_written(finished):
    out, output = finished
    table = (out / 'table.txt').read_text()
    assert table in output
    for text in ('frames       in ', 'camera stamp to publication: p50', 'torch is not loaded',
                 'semantic/overlay', 'dense'):
        assert text in table


def test_measuring_alone_makes_no_pictures(street, tiny_model, tmp_path):
    process = demo('--source', street, '--seconds', 2, '--model', tiny_model, '--out', tmp_path,
                   '--no-pictures')
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    topics = json.loads((tmp_path / 'report.json').read_text())['topics']
    assert topics.keys() == {
        *(output.topic for output in outputs_of(DRIVING, GIVEN)), 'depth/camera_info'}
    assert topics['semantic/image']['messages'] > 5
    assert not (tmp_path / 'demo.mp4').exists()
    assert not (tmp_path / 'sheet.png').exists()


def test_the_pictures_show_what_was_sent(finished, street):
    out, _ = finished
    sheet = cv2.imread(str(out / 'sheet.png'))
    assert sheet.shape[1] == 5 * 480 + 6 * GAP
    cell = sheet[GAP + CAPTION:GAP + CAPTION + 270, GAP:GAP + 480]
    sent = [cv2.resize(cv2.imread(str(path)), (480, 270)) for path in street.glob('*.png')]
    assert min(np.abs(cell.astype(int) - picture).mean() for picture in sent) < 5
    video = cv2.VideoCapture(str(out / 'demo.mp4'))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    assert 10 <= count <= 31
    assert count / video.get(cv2.CAP_PROP_FPS) == pytest.approx(3, abs=1)
    video.release()


def test_nothing_goes_on_after_the_end(finished):
    assert not running(str(finished[0]))
    assert not running('demt_perception.ros.demo.recorder')


def test_a_model_that_is_not_there(street, tmp_path):
    process = demo('--source', street, '--seconds', 2, '--model', 'nothing', '--out', tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "model 'nothing' is neither a folder" in output
    assert 'Traceback' not in output
    assert not running(str(tmp_path))


def test_a_model_that_cannot_be_loaded(street, tiny_model, tmp_path):
    model = tmp_path / 'broken'
    shutil.copytree(tiny_model, model)
    (model / 'model.onnx').write_bytes(b'not a graph')
    process = demo('--source', street, '--seconds', 2, '--model', model, '--out', tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'the perception node published nothing' in output
    assert 'the card says' in output  # the node's own words, from its log
    assert not running(str(tmp_path))


def test_a_source_that_is_not_there(tiny_model, tmp_path):
    process = demo('--source', tmp_path / 'gone.mp4', '--model', tiny_model, '--out', tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'the camera ended with code 1' in output
    assert 'gone.mp4' in output
    assert 'does not exist, want a video file' in output


def test_an_interrupt_ends_everything(street, tiny_model, tmp_path):
    process = demo('--source', street, '--seconds', 60, '--model', tiny_model, '--out', tmp_path)
    limit = time.monotonic() + 30
    while not running(f'--out {tmp_path}'):
        assert time.monotonic() < limit
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'Traceback' not in output
    assert not running(str(tmp_path))


def test_a_table_without_statistics_and_without_pictures():
    table = make_table({
        'stats': None, 'memory_mb': 100.0, 'peak_memory_mb': 120.0, 'torch_loaded': True,
        'first_frame_s': 1.0, 'topics': {
            'dense': {'messages': 0, 'rate': 0.0, 'bytes': 0, 'p50_ms': None, 'p95_ms': None}},
    }, 'clip.mp4')
    assert 'torch is LOADED' in table
    assert 'nothing came' in table


def test_a_long_demo_keeps_a_bounded_number_of_moments_from_all_of_it(monkeypatch):
    monkeypatch.setattr(panels, '_small', lambda *_: np.zeros((1, 1, 3), np.uint8))
    sampler = panels.PanelSampler(0.1)
    most = 0
    for frame in range(20_000):   # 1000 s at 20 Hz
        sampler.add_camera(frame, b'')
        for topic in ('semantic/overlay', 'depth/color'):
            sampler.add_view(topic, frame, b'', frame / 20)
        most = max(most, len(sampler.moments))
    assert most == panels.MOST
    kept = sampler.complete()
    assert len(kept) >= panels.MOST // 2
    assert {len(moment.views) for moment in kept} == {3}
    assert kept[0].received == 0
    assert kept[-1].received > 990
    steps = np.diff([moment.received for moment in kept])
    assert steps.max() < 2 * steps.min()


@pytest.fixture
def follow(monkeypatch):
    """Return a function: what is made of these reports of a recorder that then ends, or hangs."""
    def play(*reports, ends=True):
        left = [[report] for report in reports]
        lines = SimpleNamespace(
            ended=False, read=lambda _: left.pop(0) if left else setattr(
                lines, 'ended', ends) or [])
        process = SimpleNamespace(
            started=1.0, has_mapped=lambda _: False, stop=lambda: None, check=lambda: None,
            memory_mb=lambda: (1.0, 2.0), log_tail=lambda: 'no encoder')
        monkeypatch.setattr(run, 'Lines', lambda _: lines)
        return run._follow(process, process, process, 3.0)

    return play


FIRST = {'event': 'first', 'time': 2.0}
RECORDED, RESULT = {'event': 'recorded'}, {'event': 'result', 'topics': {}}


def test_the_pictures_come_after_the_figures(follow):
    found = follow(FIRST, RECORDED, RESULT, {'event': 'pictures', 'files': {'video': 'a.mp4'}})
    assert found['files'] == {'video': 'a.mp4'}
    assert (found['first_frame_s'], found['memory_mb']) == (1.0, 1.0)


@pytest.mark.parametrize('ends', [True, False])
def test_what_was_measured_outlives_pictures_that_cannot_be_made(follow, capsys, monkeypatch,
                                                                 ends):
    monkeypatch.setattr(run, '_RESULT_TIMEOUT', 0.1)
    found = follow(FIRST, RECORDED, RESULT, ends=ends)
    assert found['files'] == {}
    assert found['topics'] == {}
    assert 'the pictures could not be made\nno encoder' in capsys.readouterr().out
