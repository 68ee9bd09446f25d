"""Names and formats of live sources. What they deliver: test_camera_source_streams.py."""

import os
import re
import sys
import threading
import time

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from stream_servers import Hanging, Mjpeg, Server

from demt_perception.ros import live
from demt_perception.ros.live import Format, open_live, read_format, without_password
from demt_perception.ros.read_ahead import ReadAhead
from demt_perception.ros.sources import device_index, open_source, SourceError


@given(st.sampled_from(['', 'MJPG', 'YUYV', 'H264']), st.sampled_from(['', '1920x1080', '8x8']),
       st.sampled_from(['', '@30', '@5']))
def test_every_part_of_a_format_may_be_missing(fourcc, size, rate):
    text = f'{fourcc} {size}{rate}'
    width, height = map(int, size.split('x')) if size else (0, 0)
    assert read_format(text) == Format(fourcc, width, height, float(rate[1:] or 0))


@given(st.text(max_size=30))
def test_any_other_text_is_an_error_that_says_how(text):
    if re.fullmatch(r'(\w{4} ?)?(\d+x\d+)?(@\d+)?', text.strip(), re.ASCII):
        return  # it may be one
    with pytest.raises(SourceError, match='MJPG 1920x1080@30'):
        read_format(text)


@pytest.mark.parametrize(('source', 'text'), [
    ('0', 'want pixel format'), ('rtsp://camera/x', 'a stream has its own'),
    ('generated', 'is no device')])
def test_a_format_is_for_devices(source, text):
    with pytest.raises(SourceError, match=text):
        open_source(source, device_format='1080p')


@pytest.mark.parametrize(('address', 'shown'), [
    ('rtsp://me:secret@camera:554/a@b', 'rtsp://camera:554/a@b'),
    ('rtsp://me:s:e@camera/x', 'rtsp://camera/x'),
    ('rtsp://me:s@e@camera/x', 'rtsp://camera/x'),
    ('rtsp://token@camera', 'rtsp://camera'),
    ('rtsp://me:s/e@camera/x', '***'),
    ('rtsp://me:s?e@camera/x', '***'),
    ('http://me:secret@[fe80::1]:80/x?y', 'http://[fe80::1]:80/x'),
    ('http://camera/video.cgi?user=me&pwd=secret', 'http://camera/video.cgi'),
    ('http://camera?pwd=secret', 'http://camera'),
    ('http://camera/x#secret', 'http://camera/x'),
    ('rtsp://camera:554/user=me&password=secret&channel=1', 'rtsp://camera:554/user'),
    ('udp://@239.0.0.1:1234', 'udp://239.0.0.1:1234'),
    ('srt://:9000?passphrase=secret', 'srt://:9000'),
    ('http://camera:8080/a:b@c', 'http://camera:8080/a:b@c'),
    ('rtsp://camera/x', 'rtsp://camera/x')])
def test_a_password_is_not_shown(address, shown):
    assert without_password(address) == shown


def test_pauses_grow_while_there_is_no_camera(monkeypatch, caplog):
    server = Server(Mjpeg)
    server.kill()
    pauses = []
    stop = threading.Event()

    class Patience(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return stop.set() if len(pauses) == 7 else None

        def is_set(self):
            return stop.is_set()

    assert not list(open_live(f'http://127.0.0.1:{server.port}/x', Patience()).frames())
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert 'cannot be opened; trying again in 10 s' in caplog.text


def test_a_dead_stream_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(live, 'SILENCE', 0.3)
    server, stop = Server(Hanging), threading.Event()
    reader = ReadAhead(open_live(f'http://127.0.0.1:{server.port}/x', stop), True, lambda f: f)
    while 'cannot be opened' not in caplog.text:
        assert not stop.wait(0.02)
    stop.set()
    assert reader.close(20)
    server.kill()


def test_a_slow_reader_gets_the_newest_frame():
    server, stop = Server(Mjpeg), threading.Event()
    taken, seen, go_on = [], [], threading.Event()

    def prepare(frame):
        taken.append(frame.taken)
        if len(taken) == 12:
            go_on.set()
        return frame

    reader = ReadAhead(open_live(f'http://127.0.0.1:{server.port}/x', stop), True, prepare)
    for frame in reader:
        seen.append(frame.taken)
        if len(seen) == 3:
            break
        go_on.wait(20)
    # The second is the one that came last, or the one before: never one of those that queued.
    assert taken.index(seen[1]) >= 9
    stop.set()
    assert reader.close(20)
    server.kill()


def test_the_drivers_time_counts_where_it_is_of_this_clock(monkeypatch):
    class Video:
        def __init__(self, seconds):
            self.seconds = seconds

        def get(self, prop):
            assert prop == cv2.CAP_PROP_POS_MSEC
            return self.seconds * 1000

    monkeypatch.setattr(live.time, 'monotonic', lambda: 100.0)
    assert live._device_time(Video(99.96)) == pytest.approx(99.96)
    assert live._device_time(Video(97.5)) == pytest.approx(97.5)   # four slow reads in the queue
    for other in (0.0, 1_700_000_000.0, 100.5, 94.0):
        assert live._device_time(Video(other)) is None


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A camera of 64x48 that goes away after five frames, and is there again when it is opened.

    OpenCV's own reader of a file stands for V4L2, which no machine for tests has: it knows its
    size and pixel format and takes no others, as a driver does.
    """
    path = tmp_path / 'device.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 30, (64, 48))
    for level in range(5):
        writer.write(np.full((48, 64, 3), 50 * level, np.uint8))
    writer.release()
    real, opened = cv2.VideoCapture, []

    class Device:
        def __init__(self, index, backend):
            assert index == 2
            # Before GStreamer, which would come first in apt's OpenCV.
            assert backend == (cv2.CAP_V4L2 if sys.platform == 'linux' else cv2.CAP_ANY)
            self.video, self.asked = real(str(path)), []
            opened.append(self)

        def set(self, prop, value):
            self.asked.append(prop)
            return self.video.set(prop, value)

        def __getattr__(self, name):
            return getattr(self.video, name)

    monkeypatch.setattr(live.cv2, 'VideoCapture', lambda *args: Device(*args) if args else real())
    return opened


@pytest.mark.parametrize('wanted', ['', 'MJPG', 'MJPG 64x48@30', '64x48'])
def test_a_device_is_waited_for_when_it_goes_away(device, monkeypatch, caplog, wanted):
    monkeypatch.setattr(live, 'FIRST_PAUSE', 0.01)
    stop = threading.Event()
    source = open_live('/dev/video2', stop, wanted)
    levels = []
    for frame in source.frames():
        levels.append(round(frame.image.mean() / 50))
        assert time.monotonic() - frame.taken < 20   # the file's own time is another clock's
        if len(levels) == 12:
            stop.set()
    assert levels == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert caplog.text.count('camera 2 delivers no frames; trying again') == 2
    assert len(device) == 3
    assert not any(video.isOpened() for video in device)
    # With one buffer a driver loses what comes while a frame is decoded.
    assert not any(cv2.CAP_PROP_BUFFERSIZE in video.asked for video in device)


def test_a_device_without_the_size_that_is_asked_for_is_an_error(device):
    source = open_live('2', threading.Event(), 'MJPG 128x96@30')
    with pytest.raises(SourceError, match=r'camera 2 gives 64x48, device_format wants 128x96'):
        next(source.frames())
    assert not device[0].isOpened()


@pytest.mark.skipif(sys.platform != 'linux', reason='V4L2 is of Linux')
def test_a_device_without_the_pixel_format_that_is_asked_for_is_an_error(device):
    source = open_live('2', threading.Event(), 'YUYV 64x48')
    with pytest.raises(SourceError, match=r"gives pixel format 'MJPG', .* wants 'YUYV'"):
        next(source.frames())
    assert not device[0].isOpened()


def test_a_device_that_comes_back_in_another_format_is_waited_for(device, monkeypatch, caplog):
    """For so long as it is in a socket of USB 2, say: what asks for frames must not end."""
    monkeypatch.setattr(live, 'FIRST_PAUSE', 0.01)
    real = live._difference
    monkeypatch.setattr(live, '_difference', lambda video, wanted: (
        '32x24, device_format wants 64x48' if len(device) in (2, 3) else real(video, wanted)))
    stop = threading.Event()
    for count, _ in enumerate(open_live('2', stop, 'MJPG 64x48').frames(), 1):
        if count == 7:
            stop.set()
    assert count == 7
    assert len(device) == 4
    assert caplog.text.count('camera 2 gives 32x24, device_format wants 64x48') == 2
    assert 'lists what it has; trying again in 0.02 s' in caplog.text
    assert not any(video.isOpened() for video in device)


def test_a_link_of_udev_is_followed_each_time_its_camera_comes(
        device, tmp_path, monkeypatch, caplog):
    link = tmp_path / 'usb-Front_Camera-video-index0'
    link.symlink_to('/dev/video2')
    assert device_index(str(link)) == 2
    monkeypatch.setattr(live, 'FIRST_PAUSE', 0.01)
    stop = threading.Event()
    source = open_source(str(link), stop, 'MJPG 64x48')
    for count, _ in enumerate(source.frames()):
        if count == 3:
            link.unlink()   # it is pulled out, and the link with it
            threading.Timer(0.1, link.symlink_to, ('/dev/video2',)).start()
        if count == 6:
            stop.set()
    assert f'camera {link} cannot be opened; trying again' in caplog.text


@pytest.mark.parametrize('text', ['/dev/null', '{tmp}/pipe', '{tmp}/pipe/x', '{tmp}/loop', '\0'])
def test_what_is_no_source_is_an_error_that_says_what_is(tmp_path, text):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
    with pytest.raises(SourceError, match=r'neither file nor folder|does not exist'):
        open_source(text.format(tmp=tmp_path))
