"""An engine is built in another process, and loaded from the cache that it left."""

from dataclasses import replace
import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip('openvino')
pytest.importorskip('onnxruntime')

from demt_perception.inference import apart, building_apart, EngineError, engines
from demt_perception.inference.building_apart import BuildBusyError, load_or_build_apart
from demt_perception.inference.engines import BusyError
from demt_perception.model_card import file_sha256, load_card, save_card


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'engines'))
    return tmp_path / 'engines'


@pytest.fixture
def order(tiny_model):
    return {'model': tiny_model, 'engine': 'openvino', 'threads': 1, 'input_size': None,
            'image_size': (60, 100), 'precision': 'f32', 'tasks': ('depth',)}


def test_another_process_builds_and_this_one_only_loads(order):
    said = []
    predictor = load_or_build_apart(said.append, **order)
    assert predictor.engine.reason.endswith('loaded from the cache')
    assert predictor.card.tasks == ('depth',)
    assert 'openvino compiles the graph in f32' in said
    again = []
    load_or_build_apart(again.append, **order)
    assert again == []


@pytest.mark.parametrize('cache', ['off', '~no_such_user/engines'])
def test_without_a_cache_this_process_builds_and_no_other(order, monkeypatch, cache):
    def start(*arguments, **options):
        raise AssertionError('what it built could not come here')

    monkeypatch.setenv('DEMT_CACHE', cache)
    monkeypatch.setattr(apart.subprocess, 'Popen', start)
    said = []
    predictor = load_or_build_apart(said.append, **order)
    assert 'built in' in predictor.engine.reason and 'not kept' in predictor.engine.reason
    assert said.count('openvino compiles the graph in f32') == 1


def test_a_compiler_that_crashes_is_an_error(order, monkeypatch, tmp_path):
    crash = tmp_path / 'python'
    crash.write_text('#!/bin/sh\necho so far\nkill -SEGV $$\n')
    crash.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(crash))
    with pytest.raises(EngineError, match=r'by signal SIGSEGV, last heard: so far;.*demt build'):
        load_or_build_apart(lambda line: None, **order)


def test_an_error_comes_in_its_own_words(order):
    with pytest.raises(EngineError, match='int8 needs a graph in int8'):
        load_or_build_apart(lambda line: None, **{**order, 'precision': 'int8'})


def test_what_the_compiler_says_in_the_other_process_comes_here(order, tmp_path):
    """A graph that no engine knows: seen only when it is compiled, so over there."""
    onnx = pytest.importorskip('onnx', reason='changes the graph')
    folder = shutil.copytree(order['model'], tmp_path / 'model')
    model = onnx.load(folder / 'model.onnx')
    model.graph.node[0].domain = 'nobody.knows'
    model.opset_import.append(onnx.helper.make_opsetid('nobody.knows', 1))
    onnx.save(model, folder / 'model.onnx')
    card = load_card(folder)
    save_card(replace(card, onnx_sha256=file_sha256(folder / 'model.onnx')), folder)
    with pytest.raises(EngineError, match=r'openvino .*refuses the graph.*nobody\.knows'):
        load_or_build_apart(lambda line: None, **{**order, 'model': folder, 'tasks': None})


def test_an_engine_that_auto_cannot_have_is_not_tried_in_this_process_again(order, monkeypatch):
    """On a GPU that may be a build of minutes, in the node, to fail once more."""
    tried, load = [], engines._load
    monkeypatch.setattr(engines, '_load', lambda name, *rest: (
        tried.append(name), load(name, *rest))[1])
    wanted = 'fastest that works; not tensorrt: no GPU; bf16; built in 9 s, kept'
    said = []
    monkeypatch.setattr(building_apart, 'run_apart', lambda name, options, say: (
        say('trying'), ('onnxruntime:cpu', wanted))[1])
    predictor = load_or_build_apart(said.append, **{**order, 'engine': 'auto'})
    assert tried == ['openvino', 'onnxruntime'], 'what the cache may have, and what it is to be'
    assert (predictor.engine.full_name, predictor.engine.reason) == ('onnxruntime:cpu', wanted)
    assert said == ['the cache has no such engine: it is built', 'trying']


def test_what_auto_chose_in_another_process_is_what_this_one_loads(order):
    predictor = load_or_build_apart(lambda line: None, **{**order, 'engine': 'auto'})
    assert predictor.engine.full_name == 'openvino'
    assert predictor.engine.reason.startswith('fastest that works; ')
    assert predictor.engine.reason.endswith('kept for the next start')


def test_a_gpu_that_is_lost_to_the_other_process_is_only_busy_here(order, tmp_path, monkeypatch):
    """Another try may do; the end of this process, as where the GPU is lost to it, need not be."""
    (tmp_path / 'losing.py').write_text(
        'from demt_perception.inference.apart import serve\n'
        'from demt_perception.inference.engines import LostError\n'
        'def work(order, say):\n'
        '    raise LostError("unspecified launch failure")\n'
        'serve(work)\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(building_apart, '__name__', 'losing')
    with pytest.raises(BusyError, match='unspecified launch failure') as told:
        load_or_build_apart(lambda line: None, **order)
    assert type(told.value) is BuildBusyError


def test_the_builder_ends_with_its_parent(order, folder):
    load_or_build_apart(lambda line: None, **order)
    locks = [os.open(path, os.O_RDWR) for path in folder.glob('*.lock')]
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_EX)   # so that the builder waits, for a minute
    for entry in folder.glob('*.engine'):
        entry.unlink()
    process = subprocess.Popen(
        [sys.executable, '-m', building_apart.__name__, json.dumps(order, default=str)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert 'waiting' in process.stdout.readline()
    process.stdin.close()
    assert process.wait(20) == 1
    for lock in locks:
        os.close(lock)
