"""Bags as sources of frames, without a node: what is read of them when they are opened."""

import errno

from bag_samples import cdr, image, info, rows, SECOND, START, write_bag
from bag_writing import write_mcap
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')
pytest.importorskip('mcap', reason='the package mcap is not installed')

from demt_perception.bags import Bag, mcap_records, ReadingError
from demt_perception.ros.bag_source import BAG_RATE
from demt_perception.ros.sources import open_source, SourceError

IMAGE, INFO = '/cam/image_raw', '/cam/camera_info'


def damaged(path, some, index):
    """Write a bag in which the picture of one message, and so its chunk, is changed."""
    write_bag(path, some)
    content = bytearray(path.read_bytes())
    at = content.index(some[index][2][-40:])
    content[at] ^= 255
    path.write_bytes(content)
    return path


def uncompressed(monkeypatch):
    """Let MCAP files be written with pictures that can be found in them."""
    from mcap.writer import CompressionType
    monkeypatch.setattr('bag_samples.write_mcap', lambda *args: write_mcap(
        *args, compression=CompressionType.NONE))


def test_only_the_beginning_is_read_when_it_is_opened(tmp_path, monkeypatch, caplog):
    uncompressed(monkeypatch)
    path = damaged(tmp_path / 'a.mcap', rows(40), 61)
    source = open_source(str(path))
    assert not caplog.records
    assert source.description == (
        f'bag {path}, 40 messages of {IMAGE} at 10 Hz with {INFO}')
    frames = list(source.frames())
    assert len(frames) == 30
    assert 'damaged' in caplog.text


def test_a_recording_that_was_cut_off_is_played_up_to_there(tmp_path, caplog):
    path = write_bag(tmp_path / 'a.mcap', rows(40))
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    source = open_source(str(path))
    assert source.description.startswith(f'bag {path}, messages of {IMAGE} at 10 Hz')
    for _ in range(2):   # as with loop
        frames = list(source.frames())
        assert 15 < len(frames) < 25
        assert [frame.offset for frame in frames] == [n / 10 for n in range(len(frames))]
    assert 'damaged' in caplog.text


def test_a_disk_that_fails_in_the_middle_is_no_end(tmp_path, monkeypatch):
    """With loop, the bag would begin anew, as if it had been played."""
    source = open_source(str(write_bag(tmp_path / 'a.mcap', rows(40))))
    whole, done = mcap_records.unpack, []

    def unpack(chunk):
        done.append(chunk)
        if len(done) > 20:
            raise OSError(errno.EIO, 'Input/output error')
        return whole(chunk)

    monkeypatch.setattr(mcap_records, 'unpack', unpack)
    frames = source.frames()
    assert next(frames).offset == 0
    with pytest.raises(SourceError, match='Input/output error'):
        list(frames)


def test_a_camera_info_that_cannot_be_read_now_is_not_left_out(tmp_path, monkeypatch):
    some = [row for row in rows(30) if row[0] == IMAGE]
    path = write_bag(tmp_path / 'a.mcap', [*some, (INFO, START + 9 * SECOND, cdr(info(7)))])
    whole = Bag.messages

    def messages(self, names):
        if list(names) == [INFO]:
            raise ReadingError('Input/output error')
        yield from whole(self, names)

    monkeypatch.setattr(Bag, 'messages', messages)
    with pytest.raises(SourceError, match='Input/output error'):
        open_source(str(path))


GAP = [n * SECOND // 10 + 60 * SECOND * (n > 3) for n in range(30)]
BURST = [n if n < 8 else (n - 7) * SECOND // 10 for n in range(30)]
PAIRS = [n // 2 * SECOND // 5 + n % 2 for n in range(30)]


@pytest.mark.parametrize(('times', 'rate'), [
    (GAP, 10), (BURST, 10), (PAIRS, 10), ([0], BAG_RATE), ([5] * 20, BAG_RATE),
    ([0, SECOND // 4], 4)])
def test_one_gap_or_burst_does_not_change_the_rate(tmp_path, times, rate):
    some = [(IMAGE, START + time, cdr(image(n))) for n, time in enumerate(times)]
    assert open_source(str(write_bag(tmp_path / 'a.mcap', some))).rate == pytest.approx(rate)


def test_nothing_that_can_be_read_is_refused(tmp_path, monkeypatch):
    uncompressed(monkeypatch)
    some = [(IMAGE, START + n * SECOND, cdr(image(n))) for n in range(3)]
    with pytest.raises(SourceError, match='damaged'):
        open_source(str(damaged(tmp_path / 'a.mcap', some, 0)))


def test_the_first_images_have_the_first_camera_info_however_late(tmp_path):
    some = [row for row in rows(30) if row[0] == IMAGE]
    path = write_bag(tmp_path / 'a.db3', [*some, (INFO, START + 9 * SECOND, cdr(info(7)))])
    frames = list(open_source(str(path)).frames())
    assert len(frames) == 30
    assert {frame.camera_info.k[0] for frame in frames} == {40.0}


def test_a_camera_info_that_is_damaged_costs_itself_alone(tmp_path, monkeypatch):
    uncompressed(monkeypatch)
    some = [row for row in rows(30) if row[0] == IMAGE]
    path = damaged(tmp_path / 'a.mcap', [*some, (INFO, START + 9 * SECOND, cdr(info(7)))], 30)
    frames = list(open_source(str(path)).frames())
    assert len(frames) == 30
    assert {frame.camera_info for frame in frames} == {None}
