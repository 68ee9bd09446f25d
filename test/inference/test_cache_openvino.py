"""OpenVINO from the cache: the same to the last bit, sooner."""

from dataclasses import replace
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('openvino')

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.cache.entry import HEADER
from demt_perception.inference.engines import create_engine, openvino
from demt_perception.model_card import load_card, save_card

LOADED = 'loaded from the cache'
ONE = """
import hashlib, sys
import numpy as np
from demt_perception.inference import Predictor
predictor = Predictor(sys.argv[1], 'openvino', 2, precision=sys.argv[2])
bgr = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
outputs = predictor.predict(bgr)._outputs
print(hashlib.sha256(b''.join(outputs[name].tobytes() for name in sorted(outputs))).hexdigest())
print(predictor.engine.reason)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / 'engines'
    monkeypatch.setenv('DEMT_CACHE', str(folder))
    monkeypatch.setattr(openvino, '_choices', {})
    return folder


def start(model, precision='f32'):
    return subprocess.Popen([sys.executable, '-c', ONE, str(model), precision],
                            stdout=subprocess.PIPE, text=True)


def said(process):
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return output.splitlines()


def outputs(predictor):
    bgr = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    return predictor.predict(bgr)._outputs


def only_with(precision):
    if precision == 'bf16' and 'BF16' not in openvino.openvino.Core().get_property(
            'CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('the processor has no bf16')


def assert_same(seen, wanted):
    assert seen.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(seen[name], wanted[name])


@pytest.mark.parametrize('precision', ['f32', 'bf16'])
def test_the_next_process_gives_the_same_bits(tiny_model, monkeypatch, precision):
    only_with(precision)
    (first, built), (second, loaded) = (said(start(tiny_model, precision)) for _ in range(2))
    assert built.endswith('s, kept for the next start')
    assert loaded.endswith(LOADED)
    monkeypatch.setenv('DEMT_CACHE', 'off')
    fresh, off = said(start(tiny_model, precision))
    assert off.endswith('the cache is off')
    assert first == second == fresh


def test_two_processes_at_once(tiny_model, folder):
    processes = [start(tiny_model) for _ in range(2)]
    (first, why), (second, other) = (said(process) for process in processes)
    assert first == second
    assert sorted(text.endswith(LOADED) for text in (why, other)) == [False, True]
    assert len(list(folder.glob('*.engine'))) == 1


def test_the_choice_of_precision_is_kept(tiny_model, monkeypatch):
    first = Predictor(tiny_model, 'openvino', 1)
    monkeypatch.setattr(openvino, '_choices', {})
    monkeypatch.setattr(openvino, 'choose', None)  # not callable
    monkeypatch.setattr(openvino, '_build', None)
    second = Predictor(tiny_model, 'openvino', 1)
    assert second.engine.precision == first.engine.precision
    assert second.engine.reason.split('; ')[:-1] == first.engine.reason.split('; ')[:-1]
    assert_same(outputs(second), outputs(first))


@pytest.mark.parametrize('precision', ['f32', 'bf16'])
def test_either_precision_and_the_options_hold(tiny_model, precision, monkeypatch):
    only_with(precision)
    made = []
    restore, build = openvino._restore, openvino._build
    monkeypatch.setattr(
        openvino, '_restore', lambda *args: made.append(restore(*args)) or made[-1])
    monkeypatch.setattr(
        openvino, '_build', lambda *args: made.append(build(*args)) or made[-1])
    built, loaded = (Predictor(tiny_model, 'openvino', 1, precision=precision) for _ in range(2))
    assert loaded.engine.reason.endswith(LOADED)
    assert loaded.engine.precision == precision
    assert_same(outputs(loaded), outputs(built))
    for name in ('INFERENCE_NUM_THREADS', 'INFERENCE_PRECISION_HINT', 'ENABLE_CPU_PINNING',
                 'NUM_STREAMS', 'PERFORMANCE_HINT'):
        first, second = (str(one.compiled.get_property(name)) for one in made)
        assert first == second, name
    assert str(made[1].compiled.get_property('INFERENCE_NUM_THREADS')) == '1'


def test_size_threads_and_graph_have_their_own(tiny_model, folder, tmp_path):
    graph = (tiny_model / 'model.onnx').read_bytes()
    for number, (height, threads) in enumerate(((96, 1), (64, 1), (96, 2)), 1):
        reason = create_engine('openvino', graph, (1, 3, height, 160), threads).reason
        assert 'kept' in reason
        assert len(list(folder.glob('*.engine'))) == number
    # One more field that nobody reads (doc_string): another file, so another entry.
    create_engine('openvino', graph + b'\x32\x01x', (1, 3, 96, 160), 1)
    assert len(list(folder.glob('*.engine'))) == 4


@pytest.mark.parametrize('payload', [
    b'', b'no json\nblob', b'["bf16", "why", []]\n', b'["f32", "why", ["depth"]]\nnot a blob',
    json.dumps(['f32', 'w', []]).encode() + b'\n' + bytes(1000)])
def test_a_payload_that_openvino_refuses_is_rebuilt(tiny_model, folder, payload):
    wanted = outputs(Predictor(tiny_model, 'openvino', 1))
    entry, = folder.glob('*.engine')
    magic, length, _, _ = HEADER.unpack_from(content := entry.read_bytes())
    header = HEADER.pack(magic, length, len(payload), hashlib.sha256(payload).digest())
    entry.write_bytes(header + content[HEADER.size:HEADER.size + length] + payload)
    predictor = Predictor(tiny_model, 'openvino', 1)
    assert 'was of no use' in predictor.engine.reason
    assert_same(outputs(predictor), wanted)
    assert Predictor(tiny_model, 'openvino', 1).engine.reason.endswith(LOADED)


def test_lost_output_names_are_noticed(tiny_model):
    graph = (tiny_model / 'model.onnx').read_bytes()
    core = openvino.openvino.Core()
    model = core.read_model(graph, b'')
    built = openvino._Built(core.compile_model(model, 'CPU'), 'f32', '', ['depth', 'gone'])
    with pytest.raises(EngineError, match='gone are lost'):
        openvino._restore(core, openvino._dump(built), 1, 'CPU')


def test_a_damaged_entry_gives_the_right_answer(tiny_model, folder):
    wanted = outputs(Predictor(tiny_model, 'openvino', 1))
    entry, = folder.glob('*.engine')
    whole = entry.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 7).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 255
        entry.write_bytes(damaged)
        predictor = Predictor(tiny_model, 'openvino', 1)
        assert 'was of no use' in predictor.engine.reason
        assert_same(outputs(predictor), wanted)


def test_a_refused_graph_leaves_nothing(tiny_model, folder, tmp_path):
    model = tmp_path / 'model'
    model.mkdir()
    (model / 'model.onnx').write_bytes(b'not an ONNX file')
    card = replace(load_card(tiny_model), onnx_sha256=hashlib.sha256(
        b'not an ONNX file').hexdigest())
    save_card(card, model)
    with pytest.raises(EngineError, match='export'):
        Predictor(model, 'openvino')
    assert not list(folder.glob('*.engine'))


def test_an_unusable_cache_is_a_warning(tiny_model, monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', os.devnull)
    predictor = Predictor(tiny_model, 'openvino', 1)
    assert 'not kept: [Errno' in predictor.engine.reason
    assert outputs(predictor)
