"""Same picture, same engine, same number of threads: the same outputs, to the last bit."""

import hashlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.inference.engines.building import Build
from demt_perception.inference.parity import shipped_pictures, trouble

OUTPUTS = ('semantic', 'confidence', 'depth', 'depth_uncertainty', 'normals', 'boundary',
           'overlay', 'depth_color')
# The shipped model, so that what is tested is what runs; small, so that it is fast.
SIZE = (96, 160)
WAYS = [('onnxruntime', 'f32', 1), ('onnxruntime', 'f32', 2), ('openvino', 'f32', 1),
        ('openvino', 'bf16', 2)]
ANOTHER_PROCESS = """
import pytest
from test_determinism import digests, load, PICTURES, WAYS
for way in WAYS:
    try:
        print(':'.join(map(str, way)), *digests(load(*way), PICTURES))
    except pytest.skip.Exception:
        pass
"""
PICTURES = shipped_pictures()


def load(engine, precision, threads):
    pytest.importorskip(engine)
    if precision == 'bf16' and engine == 'openvino' and 'BF16' not in pytest.importorskip(
            'openvino').Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('the processor has no bf16')
    return Predictor('demt_driving_fast', engine, threads, SIZE, precision=precision)


def digest(predictor, picture):
    result = predictor.predict(picture)
    return hashlib.sha256(b''.join(
        getattr(result, name).tobytes() for name in OUTPUTS)).hexdigest()


def digests(predictor, pictures):
    return [digest(predictor, picture) for picture in pictures]


@pytest.fixture(scope='module', params=WAYS, ids=lambda way: '-'.join(map(str, way)))
def way(request):
    predictor = load(*request.param)
    yield request.param, predictor, digests(predictor, PICTURES)
    predictor.close()


@pytest.fixture(scope='module')
def elsewhere():
    """Return what another process gives, by way."""
    process = subprocess.run(
        [sys.executable, '-c', ANOTHER_PROCESS], check=True, capture_output=True, text=True,
        timeout=300, env={**os.environ, 'PYTHONHASHSEED': '7', 'PYTHONPATH': ':'.join(
            (os.path.dirname(__file__), *filter(None, sys.path)))})
    return {name: digests for name, *digests in map(str.split, process.stdout.splitlines())}


def test_what_came_before_does_not_matter(way):
    """Nothing of a frame is left in the engine, or in the buffers that are used again."""
    _, predictor, wanted = way
    assert len(set(wanted)) == len(wanted)
    random = np.random.default_rng(0)
    for index in (2, 0, 3, 3, 1):
        noise = random.integers(0, 256, (*random.integers(20, 300, 2), 3), np.uint8)
        predictor.predict(noise)
        assert digest(predictor, PICTURES[index]) == wanted[index]


def test_a_busy_machine_does_not_matter(way):
    """Threads that are interrupted add in the same order."""
    _, predictor, wanted = way
    stop = threading.Event()

    def work():
        while not stop.is_set():
            np.sort(np.random.default_rng(0).random(200_000))   # without Python's lock

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        assert digests(predictor, PICTURES) == wanted
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def test_an_engine_that_is_made_again_gives_the_same(way):
    """Built, and then loaded from the cache where it has one."""
    (engine, precision, threads), _, wanted = way
    again = load(engine, precision, threads)
    try:
        assert digests(again, PICTURES) == wanted
    finally:
        again.close()


def test_another_process_gives_the_same(way, elsewhere):
    """With another seed of Python's hashes."""
    chosen, _, wanted = way
    assert elsewhere[':'.join(map(str, chosen))] == wanted


def test_engines_agree_within_the_limits_of_the_card():
    """At the size of the card, as it is used, on the pictures that are shipped."""
    pytest.importorskip('openvino')
    predictor = Predictor('demt_driving_fast', 'openvino', 1, precision='f32')
    try:
        against, figures = predictor.parity(Build())
    finally:
        predictor.close()
    assert 'onnxruntime' in against
    assert len(figures) == len(predictor.card.outputs)
    assert not trouble(figures)
