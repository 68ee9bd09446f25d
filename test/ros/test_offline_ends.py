"""`demt bag` on damaged bags, stopped or killed in between, and where another result is."""

from pathlib import Path
import signal
import subprocess
import sys
import time

from bag_samples import kinds, rows, write_bag, write_ros1
from bag_writing import write_metadata
import pytest

pytest.importorskip('rosbags', reason='the package rosbags is not installed')
pytest.importorskip('mcap', reason='the package mcap is not installed')

from offline_running import content, options, read, run

from demt_perception.bags import BagError
from demt_perception.ros.offline.jobs import Job, run_job
from demt_perception.ros.offline.processing import process

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('name', ['in.mcap', 'in.bag', 'in.db3'])
def test_a_damaged_bag_is_processed_up_to_the_damage(tmp_path, tiny_model, name):
    bag = tmp_path / name
    if name == 'in.bag':
        write_ros1(bag, 20)
    else:
        write_bag(bag, rows(20))
    whole = bag.read_bytes()
    if name == 'in.db3':   # of a database, what is cut off, is damaged
        write_metadata(tmp_path, [name], dict.fromkeys(kinds(rows(1)), 30))
    else:
        bag.write_bytes(whole[:len(whole) // 2])
    outcome = run_job(Job(tmp_path if name == 'in.db3' else bag, tmp_path / 'out',
                          options(tiny_model, outputs=('semantic/image',))))
    assert not outcome.good
    assert 'processed up to its damage' in outcome.text
    count = len(read(tmp_path / 'out', '/demt_perception/semantic/image'))
    assert count == 20 if name == 'in.db3' else 3 < count < 20
    again = run_job(Job(tmp_path if name == 'in.db3' else bag, tmp_path / 'out',
                        options(tiny_model, outputs=('semantic/image',))))
    assert 'nothing was left to do' in again.text and 'damage' in again.text


def interrupted(tmp_path, tiny_model):
    """Return a job for a recording that ended right behind a split: its last file is empty."""
    folder = tmp_path / 'in'
    folder.mkdir()
    write_bag(folder / 'in_0.mcap', rows(6))
    (folder / 'in_1.mcap').touch()
    return Job(folder, tmp_path / 'out', options(tiny_model, outputs=('semantic/image',)))


def test_a_split_recording_that_was_interrupted(tmp_path, tiny_model):
    job = interrupted(tmp_path, tiny_model)
    outcome = run_job(job)
    assert not outcome.good
    assert '6 of 6 images' in outcome.text and 'processed up to its damage' in outcome.text
    assert 'in_1.mcap is damaged' in outcome.text
    assert len(read(tmp_path / 'out', '/demt_perception/semantic/image')) == 6
    assert 'nothing was left to do' in run_job(job).text


def test_a_bag_whose_metadata_was_mended_is_gone_on_with(tmp_path, tiny_model):
    """As `ros2 bag reindex` does it, with the same file in the end."""
    folder = tmp_path / 'in'
    folder.mkdir()
    write_bag(folder / 'in.db3', rows(6))
    counts = dict.fromkeys(kinds(rows(1)), 6)
    write_metadata(folder, ['in.db3'], dict.fromkeys(counts, 9))
    job = Job(folder, tmp_path / 'out', options(tiny_model, outputs=('semantic/image',)))
    text = run_job(job).text
    assert '6 of 9 images' in text and 'metadata.yaml counts 9' in text
    write_metadata(folder, ['in.db3'], counts)
    outcome = run_job(job)
    assert outcome.good and '6 of 6 images' in outcome.text
    anew = Job(folder, tmp_path / 'anew' / 'out', job.options)
    assert run_job(anew).good
    assert content(job.out) == content(anew.out)


def test_a_bag_whose_files_were_mended_is_another(tmp_path, tiny_model):
    """It may have other images before those that are new."""
    job = interrupted(tmp_path, tiny_model)
    assert 'in_1.mcap is damaged' in run_job(job).text
    before = content(job.out)
    write_bag(job.bag / 'in_1.mcap', rows(9)[12:])
    assert 'ends at damage of the bag, whose files are others by now' in run_job(job).text
    assert content(job.out) == before
    other = Job(job.bag, job.out, options(tiny_model, outputs=('boundary/image',)))
    assert 'with other options' in run_job(other).text


class _StopError(Exception):
    pass


@pytest.mark.parametrize('at', [0, 1, 5, 9])
def test_a_continued_run_gives_the_same_file(tmp_path, tiny_model, at):
    some = rows(10)
    some[5] = (some[5][0], some[5][1], b'\0\1\0\0bad')
    bag = write_bag(tmp_path / 'in.mcap', some)
    run(bag, tmp_path / 'out', tiny_model)
    whole, listed = content(tmp_path / 'out'), (tmp_path / 'out' / 'metadata.yaml').read_bytes()
    for file in (tmp_path / 'out').iterdir():
        file.unlink()

    def stop(progress, total):
        if progress.seen == at:
            raise _StopError

    with pytest.raises(_StopError):
        process(bag, tmp_path / 'out', options(tiny_model), stop)
    assert not list((tmp_path / 'out').glob('*.mcap'))
    begun = []
    process(bag, tmp_path / 'out', options(tiny_model),
            lambda progress, total: begun.append((progress.seen, total)))
    assert begun[0] == (at if at != 3 else 2, 10)
    assert content(tmp_path / 'out') == whole
    assert (tmp_path / 'out' / 'metadata.yaml').read_bytes() == listed


def test_a_killed_process_is_gone_on_with(tmp_path, tiny_model):
    bag = write_bag(tmp_path / 'in.mcap', rows(150))
    command = [sys.executable, '-m', 'demt_perception.cli', 'bag', str(bag),
               str(tmp_path / 'out'), '--model', str(tiny_model), '--engine', 'onnxruntime',
               '--threads', '1']
    process_ = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path / 'out' / 'out_0.mcap.part'
    limit, sizes = time.monotonic() + 40, set()
    while len(sizes) < 6:   # the head, and then some pieces: some of them whole
        assert process_.poll() is None and time.monotonic() < limit
        if part.is_file() and part.stat().st_size >= 30_000:
            sizes.add(part.stat().st_size)
        time.sleep(0.002)
    process_.send_signal(signal.SIGKILL)
    process_.wait()
    assert part.is_file()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '150 of 150 images' in done.stdout and '; 150 in' not in done.stdout
    run(bag, tmp_path / 'whole' / 'out', tiny_model)
    assert content(tmp_path / 'out') == content(tmp_path / 'whole' / 'out')


def test_a_bag_is_not_written_into_another_bag(tmp_path, tiny_model):
    """Above all not into itself: its metadata.yaml would be gone."""
    folder = tmp_path / 'drive'
    folder.mkdir()
    write_bag(folder / 'recorded.db3', rows(2))
    write_metadata(folder, ['recorded.db3'], {'/cam/image_raw': 2, '/cam/camera_info': 2})
    before = (folder / 'metadata.yaml').read_bytes()
    with pytest.raises(BagError, match='holds another bag'):
        run(folder, folder, tiny_model)
    assert (folder / 'metadata.yaml').read_bytes() == before
    assert not list(folder.glob('*.part'))


@pytest.mark.parametrize('other', [{'every': 2}, {'depth_scale': 2.0}, {'rectified': 'true'}])
def test_another_result_is_neither_gone_on_with_nor_overwritten(tmp_path, tiny_model, other):
    bag = write_bag(tmp_path / 'in.mcap', rows(2))

    def stop(progress, total):
        if progress.seen == 1:
            raise _StopError

    with pytest.raises(_StopError):
        process(bag, tmp_path / 'out', options(tiny_model), stop)
    with pytest.raises(BagError, match='other options'):
        run(bag, tmp_path / 'out', tiny_model, **other)
    run(bag, tmp_path / 'out', tiny_model)
    with pytest.raises(BagError, match='with other options'):
        run(bag, tmp_path / 'out', tiny_model, **other)
