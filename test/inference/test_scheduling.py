"""Several cameras on one engine: fair turns, newest frames, batches with the same results."""

from collections import Counter
import sys
import threading
import time

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.inference.scheduling import FairSlots

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, size, np.uint8) for size in (
    (96, 160, 3), (48, 64, 3), (120, 130, 3), (96, 160, 3), (70, 160, 3))]
FOCALS = [(100, 100), None, (80, 90), (200, 100), None]
NAMES = ('semantic', 'confidence', 'depth', 'depth_uncertainty', 'normals', 'boundary')


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(-1, 4), max_size=80))
def test_turns_are_fair_frames_are_the_newest_and_counts_add_up(cameras, together, events):
    """-1 takes, any other number is a camera that sends a frame."""
    slots = FairSlots(range(cameras))
    newest, waited = {}, Counter()
    received, taken, superseded = Counter(), Counter(), Counter()
    for number, event in enumerate(events):
        if event >= 0:
            camera = event % cameras
            received[camera] += 1
            assert slots.put(camera, number) == (camera in newest)
            superseded[camera] += camera in newest
            newest[camera] = number
        elif newest:
            ready = len(newest)
            got = slots.take(together)
            assert len(got) == (together if ready >= together else 1)
            assert len(dict(got)) == len(got)
            for camera, frame in got:
                assert frame == newest.pop(camera)
                waited.pop(camera, None)
                taken[camera] += 1
            for camera in newest:
                waited[camera] += 1
                assert waited[camera] <= cameras - 1
        assert (slots.received, +slots.taken, +slots.superseded) == (
            received, +taken, +superseded)
        assert received.total() == (taken + superseded).total() + len(newest)
    slots.close()
    assert slots.take() == []
    assert slots.received == slots.taken + slots.superseded
    assert not slots.put(0, 'late')
    assert slots.received == slots.taken + slots.superseded


def test_a_slow_camera_among_fast_ones_is_served_over_threads():
    slots = FairSlots('abcd')
    seen = []
    stop = threading.Event()

    def send(camera, pause):
        number = 0
        while not stop.is_set():
            slots.put(camera, number)
            number += 1
            time.sleep(pause)

    def work():
        while got := slots.take():
            seen.extend(got)
            time.sleep(0.002)

    threads = [threading.Thread(target=work), *(
        threading.Thread(target=send, args=(camera, pause))
        for camera, pause in zip('abcd', (0, 0.0005, 0.001, 0.02), strict=True))]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + 20
    while slots.taken['d'] < 5 and time.monotonic() < limit:
        time.sleep(0.01)
    stop.set()
    for thread in threads[1:]:
        thread.join()
    slots.close()
    threads[0].join()
    assert slots.taken['d'] >= 5
    assert slots.received == slots.taken + slots.superseded
    for camera in 'abcd':
        frames = [frame for name, frame in seen if name == camera]
        assert frames == sorted(set(frames))
        assert len(frames) == slots.taken[camera]


def test_a_camera_stays_known_while_its_frame_is_taken():
    """The turns change hands under the lock; who puts must not look at them without it."""
    slots = FairSlots(['a'])
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        worker = threading.Thread(target=lambda: all(iter(slots.take, [])))
        worker.start()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            slots.put('a', 1)
    finally:
        sys.setswitchinterval(usual)
        slots.close()
        worker.join()


def test_wrong_cameras_are_refused():
    for wrong in ([], ['a', 'a']):
        with pytest.raises(ValueError, match='want at least one, each once'):
            FairSlots(wrong)
    with pytest.raises(ValueError, match="camera 'b' is unknown"):
        FairSlots(['a']).put('b', 1)


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('tasks', [None, ('depth', 'edge')], ids=['all', 'cut'])
def test_a_batch_gives_what_one_by_one_gives(free_model, any_batch, engine, tasks):
    pytest.importorskip(engine)
    predictor = Predictor(free_model, engine, 1, precision='f32', tasks=tasks)
    wanted = [predictor.predict(bgr, focal, 0.5)
              for bgr, focal in zip(PICTURES, FOCALS, strict=True)]
    assert '2 images at once' in predictor.batch_with(2)
    runs = []
    run = predictor._batch.run
    predictor._batch.run = lambda images: (runs.append(len(images)), run(images))[1]
    seen = predictor.predict_batch(PICTURES, FOCALS, 0.5)
    assert runs == [2, 2]   # and one alone
    for a, b in zip(seen, wanted, strict=True):
        assert (a.size, a.tasks, a.focal_assumed) == (b.size, b.tasks, b.focal_assumed)
        for name in NAMES if tasks is None else ('depth', 'depth_uncertainty', 'boundary'):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-5, atol=1e-6)
    assert [p.focal_assumed for p in predictor.predict_batch(PICTURES[:2])] == [True, True]
    with pytest.raises(ValueError, match='1 focals for 2 images'):
        predictor.predict_batch(PICTURES[:2], FOCALS[:1])
    with pytest.raises(ValueError, match='uint8'):
        predictor.predict_batch([PICTURES[0], PICTURES[0].astype(float)])
    predictor.close()
    with pytest.raises(RuntimeError, match='closed'):
        predictor.predict_batch(PICTURES[:2])


def test_where_it_is_not_faster_or_not_possible_they_go_one_by_one(
        free_model, tiny_model, monkeypatch):
    predictor = Predictor(free_model, 'onnxruntime', 1)
    monkeypatch.setattr('demt_perception.inference.batching.SPEED_UP', 1000)
    why = predictor.batch_with(2)
    assert why.startswith('one by one: 2 images at once are')
    assert why.endswith('want 1000')
    assert predictor._batch is None
    monkeypatch.setattr('demt_perception.inference.batching.SPEED_UP', 0)
    said, predictor._order = predictor._order, ('onnxruntime:tensorrt', 1)
    assert predictor.batch_with(2).startswith('one by one: onnxruntime')
    predictor._order = said
    old = Predictor(tiny_model, 'onnxruntime', 1)
    assert 'export the model again' in old.batch_with(2)
    for one in (predictor, old):
        seen = one.predict_batch(PICTURES, FOCALS)
        for a, bgr, focal in zip(seen, PICTURES, FOCALS, strict=True):
            np.testing.assert_array_equal(a.depth, one.predict(bgr, focal).depth)
