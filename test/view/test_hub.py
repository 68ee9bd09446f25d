import threading
import time

import cv2
from hypothesis import given, settings, strategies
import numpy as np
import pytest
from view_testing import frame, NAMES, pictures, put_all, SIZE, state, TOPICS

from demt_perception.view import hub as hubs
from demt_perception.view import viewers
from demt_perception.view.frame import Frame, WIDTHS
from demt_perception.view.hub import ClosedError
from demt_perception.view.viewers import MAX_VIEWERS, TooManyViewersError

OVERLAY, BOUNDARY, CAMERA = '/n/semantic/overlay', '/n/boundary/image', '/camera/image'


def numbers(moment):
    """Return what a viewer has that has drawn a moment."""
    return {name: picture.number for name, picture in moment.pictures.items()}


def test_a_viewer_gets_the_newest_frame_only(hub):
    for stamp in (1, 2, 3):
        put_all(hub, stamp)
    moment = hub.next('a', {OVERLAY: 0, BOUNDARY: 0})
    assert {name: picture.stamp for name, picture in moment.pictures.items()} == {
        OVERLAY: 3, BOUNDARY: 3}


def test_what_a_viewer_has_is_not_sent_again(hub):
    put_all(hub, 3)
    first = hub.next('a', {OVERLAY: 0})
    assert first.state is not None
    again = hub.next('a', numbers(first), first.version, patience=0.01)
    assert not again.pictures
    assert again.state is None


def test_who_waits_is_woken(hub):
    version = hub.next('a', {}).version
    timer = threading.Timer(0.05, put_all, (hub, 7))
    timer.start()
    begin = time.monotonic()
    moment = hub.next('a', {OVERLAY: 0}, version, patience=20)
    timer.join()
    assert moment.pictures[OVERLAY].stamp == 7
    assert time.monotonic() - begin < 20


def test_pictures_of_one_frame_come_together(hub):
    put_all(hub, 1)
    first = hub.next('a', {OVERLAY: 0, BOUNDARY: 0})
    hub.put(OVERLAY, frame(pictures()[OVERLAY], 2, rgb=True))
    timer = threading.Timer(0.02, hub.put, (BOUNDARY, frame(pictures()[BOUNDARY], 2)))
    timer.start()
    moment = hub.next('a', numbers(first), first.version)
    timer.join()
    assert {picture.stamp for picture in moment.pictures.values()} == {2}
    assert len(moment.pictures) == 2


def test_a_topic_that_stopped_does_not_hold_up_the_others(hub, monkeypatch):
    monkeypatch.setattr(hubs, 'LINGER', 30.0)
    put_all(hub, 1, received=time.time() - 2 * hubs.STALE)
    first = hub.next('a', {OVERLAY: 0, BOUNDARY: 0})
    hub.put(OVERLAY, frame(pictures()[OVERLAY], 2, rgb=True))
    begin = time.monotonic()
    moment = hub.next('a', numbers(first), first.version)
    assert moment.pictures.keys() == {OVERLAY}
    assert time.monotonic() - begin < 30


def test_the_cameras_image_is_that_of_the_outputs(hub):
    put_all(hub, 1)
    for stamp in (2, 3):
        hub.put(CAMERA, frame(pictures()[CAMERA], stamp))
    moment = hub.next('a', {OVERLAY: 0, CAMERA: 0})
    assert moment.pictures[CAMERA].stamp == 1
    assert hub.next('b', {CAMERA: 0}).pictures[CAMERA].stamp == 3


def test_the_cameras_image_does_not_wait_for_outputs_that_stopped(hub):
    put_all(hub, 1, received=time.time() - 2 * hubs.STALE)
    first = hub.next('a', {OVERLAY: 0, CAMERA: 0})
    hub.put(CAMERA, frame(pictures()[CAMERA], 2))
    assert hub.next('a', numbers(first), first.version).pictures[CAMERA].stamp == 2


@pytest.mark.parametrize('stamp', [0, 1_700_000_000_000_000_000])
def test_pictures_of_a_camera_that_does_not_stamp_come_all_the_same(hub, stamp):
    have, version = {OVERLAY: 0, CAMERA: 0}, 0
    for _ in range(4):
        put_all(hub, stamp)
        newest = frame(pictures()[CAMERA], stamp)
        hub.put(CAMERA, newest)
        moment = hub.next('a', have, version)
        assert moment.pictures.keys() == have.keys()
        assert moment.pictures[CAMERA] is newest
        have, version = numbers(moment), moment.version
    assert not hub.next('a', have, version, patience=0.01).pictures


@settings(deadline=None)
@given(strategies.lists(strategies.tuples(strategies.integers(0, 4), strategies.integers(0, 40))))
def test_the_cameras_image_never_goes_back(steps):
    hub = hubs.Hub({})
    hub.set_state(state(), TOPICS, {})
    camera = output = seen = 0
    for forward, delay in steps:   # outputs follow the camera, sometimes late, never back
        camera += forward
        hub.put(CAMERA, frame(pictures()[CAMERA], 1 + camera))
        output = max(output, camera - delay)
        hub.put(OVERLAY, frame(pictures()[OVERLAY], 1 + output))
        moment = hub.next('a', {OVERLAY: 0, CAMERA: 0}, patience=0)
        assert moment.pictures[CAMERA].stamp >= seen
        seen = moment.pictures[CAMERA].stamp


def test_only_what_is_looked_at_is_wanted(hub, monkeypatch):
    assert hub.wanted() == (False, frozenset())
    put_all(hub, 1)
    hub.next('a', {OVERLAY: 0, '/unknown': 0})
    assert hub.wanted() == (True, {OVERLAY})
    hub.next('b', {BOUNDARY: 0})
    assert hub.wanted() == (True, {OVERLAY, BOUNDARY})
    hub.next('a', {OVERLAY: 0}, probing=True)
    assert hub.wanted()[1] == {topic.name for topic in TOPICS if topic.valued} | {OVERLAY}
    later = time.monotonic() + 2 * viewers.LEASE
    monkeypatch.setattr(time, 'monotonic', lambda: later)
    assert hub.wanted() == (False, frozenset())


def test_old_frames_are_not_shown_to_who_comes_later(hub):
    put_all(hub, 1)
    version = hub.next('a', {OVERLAY: 0}).version
    hub.wanted()
    assert hub.next('b', {OVERLAY: 0}, version, patience=0.01).pictures
    assert not hub.next('b', {BOUNDARY: 0}, version, patience=0.01).pictures


def test_viewers_are_limited(hub):
    for number in range(MAX_VIEWERS):
        hub.next(f'viewer{number}', {})
    with pytest.raises(TooManyViewersError, match='close another page'):
        hub.next('one more', {})
    hub.next('viewer0', {})


def test_values_are_those_of_the_frame_that_is_seen(hub):
    put_all(hub, 1)
    moment = hub.next('a', {OVERLAY: 0}, probing=True)
    assert moment.complete
    for name, pixels in pictures().items():
        hub.put(name, frame(np.zeros_like(pixels), 2))
    assert [value['text'] for value in hub.values('a', '', 0.75, 0.5)] == [
        NAMES[1], '12.25 m', '+0.00 -1.00 +0.00', '100%']
    assert [value['text'] for value in hub.values('a', '', 0.25, 0.5)] == [
        NAMES[0], 'none', 'none', '20%']
    assert hub.values('nobody', '', 0.5, 0.5) == []


def test_a_frozen_picture_keeps_its_values(hub):
    put_all(hub, 1)
    version = hub.next('a', {OVERLAY: 0}, probing=True).version
    hub.next('a', {}, version, probing=True, patience=0.01)
    for stamp in range(2, 9):
        for name, pixels in pictures().items():
            hub.put(name, frame(np.zeros_like(pixels), stamp))
    assert hub.values('a', '', 0.75, 0.5)[0] == {
        'title': 'Class', 'text': NAMES[1], 'id': 1}


@pytest.fixture
def clock(monkeypatch):
    """Return a list of the seconds by which the time is later than it is."""
    later, monotonic = [0.0], time.monotonic
    monkeypatch.setattr(viewers.time, 'monotonic', lambda: monotonic() + later[0])
    return later


def pause(hub, name='a'):
    """Let a viewer see a picture with its values, and pause."""
    version = hub.next(name, {OVERLAY: 0}, probing=True).version
    hub.next(name, {}, version, probing=True, patience=0.01)


def test_a_paused_viewer_that_was_away_has_its_values_and_no_others(hub, clock):
    put_all(hub, 1)
    pause(hub)
    clock[0] += 2 * viewers.LEASE
    assert hub.wanted() == (False, frozenset())   # it costs nothing meanwhile
    for name, pixels in pictures().items():
        hub.put(name, frame(np.zeros_like(pixels), 2))
    hub.next('b', {OVERLAY: 0}, probing=True)
    assert hub.values('b', '', 0.75, 0.5)[0]['text'] == NAMES[0]
    assert hub.values('a', '', 0.75, 0.5)[0]['text'] == NAMES[1]
    hub.next('a', {}, probing=True, patience=0.01)
    assert hub.values('a', '', 0.75, 0.5)[0]['text'] == NAMES[1]
    clock[0] += 2 * viewers.LEASE + viewers.PAUSE
    hub.wanted()
    put_all(hub, 3)
    hub.next('a', {}, probing=True, patience=0.01)
    hub.next('b', {OVERLAY: 0}, probing=True)
    assert hub.values('a', '', 0.75, 0.5) == []


def test_values_are_kept_for_few_that_are_away(hub, clock):
    put_all(hub, 1)
    names = [f'viewer{number}' for number in range(viewers.MAX_PAUSED + 1)]
    for name in names:
        pause(hub, name)
    pause(hub, 'live')
    hub.next('live', {OVERLAY: 0})   # it has gone on: it will ask for new ones
    clock[0] += 2 * viewers.LEASE
    hub.wanted()
    assert [bool(hub.values(name, '', 0.5, 0.5)) for name in [*names, 'live']] == (
        [False] + [True] * viewers.MAX_PAUSED + [False])


@pytest.mark.parametrize('stamp', [0, 1])
def test_who_has_no_picture_has_no_values(hub, stamp):
    put_all(hub, stamp)
    hub.next('b', {OVERLAY: 0}, probing=True)
    hub.next('a', {}, probing=True)
    assert hub.values('a', '', 0.5, 0.5) == []


def test_values_that_come_after_the_picture_are_found(hub):
    hub.put(OVERLAY, frame(pictures()[OVERLAY], 1, rgb=True))
    assert not hub.next('a', {OVERLAY: 0}, probing=True).complete
    put_all(hub, 1)
    assert len(hub.values('a', '', 0.5, 0.5)) == 4


def test_a_state_counts_as_new_only_where_it_changed(hub):
    version = hub.next('a', {}).version
    hub.set_state(state(), TOPICS, {'': NAMES})
    assert hub.next('a', {}, version, patience=0.01).version == version
    hub.set_state(state(hint='gone'), TOPICS, {'': NAMES})
    assert hub.next('a', {}, version).state['hint'] == 'gone'


def test_reports_are_sent_once(hub):
    hub.add_report({'output_rate': 1.0})
    hub.add_report({'output_rate': 2.0})
    first = hub.next('a', {})
    assert [report['number'] for report in first.reports] == [1, 2]
    hub.add_report({'output_rate': 3.0})
    assert [report['output_rate'] for report in
            hub.next('a', {}, first.version, 2).reports] == [3.0]


def test_a_frame_is_decoded_once_and_made_narrower_for_all():
    calls = []

    def decode():
        calls.append(1)
        return np.full((100, 1000, 3), (10, 20, 200), np.uint8)

    one = Frame(1, 0.0, decode, rgb=True)
    assert one.jpeg(300) is one.jpeg(WIDTHS[1])
    small = cv2.imdecode(np.frombuffer(one.jpeg(300), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (32, 320, 3)
    assert np.abs(small.reshape(-1, 3).mean(0) - (200, 20, 10)).max() < 8   # BGR
    assert cv2.imdecode(np.frombuffer(one.jpeg(5000), np.uint8), cv2.IMREAD_COLOR).shape == (
        100, 1000, 3)
    assert len(calls) == 1


def test_a_damaged_frame_says_so_each_time():
    def decode():
        raise ValueError('cut short')

    damaged = Frame(1, 0.0, decode)
    for _ in range(2):
        with pytest.raises(ValueError, match='cut short'):
            damaged.jpeg(320)
    values = Frame(1, 0.0, lambda: np.zeros(SIZE, np.float32))
    with pytest.raises(ValueError, match='no picture'):
        values.jpeg(320)


def test_viewers_in_threads_see_time_go_forward_only_and_all_end(hub):
    seen: dict[str, list[int]] = {f'viewer{number}': [] for number in range(4)}

    def look(name):
        have, version, turn = {OVERLAY: 0, BOUNDARY: 0, CAMERA: 0}, 0, 0
        try:
            while True:
                turn += 1
                moment = hub.next(name, have, version, probing=turn % 3 == 0, patience=5)
                version = moment.version
                for topic, picture in moment.pictures.items():
                    assert picture.number > have[topic]
                    have[topic] = picture.number
                    seen[name].append(picture.stamp)
                assert len(hub.values(name, '', 0.5, 0.5)) <= 4
        except ClosedError:
            seen[name].append(-1)   # the end, and no other error

    threads = [threading.Thread(target=look, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for stamp in range(1, 101):
        put_all(hub, stamp)
        hub.wanted()
        time.sleep(0.002)
    while not all(100 in stamps for stamps in seen.values()) and threads[0].is_alive():
        time.sleep(0.01)
    hub.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    for stamps in seen.values():
        assert stamps.pop() == -1
        assert 100 in stamps
        assert stamps == sorted(stamps)


def test_a_camera_with_many_reports_does_not_push_out_those_of_another(hub, monkeypatch):
    monkeypatch.setattr(hubs, 'HISTORY', 3)
    for index in range(8):
        hub.add_report({'camera': 'rear' if index in (0, 5) else 'front'})
    reports = hub.next('a', {}).reports
    assert [(report['number'], report['camera']) for report in reports] == [
        (1, 'rear'), (5, 'front'), (6, 'rear'), (7, 'front'), (8, 'front')]
