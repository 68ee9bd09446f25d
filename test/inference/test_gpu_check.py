"""The script for machines with a GPU runs through on one without, and its figures are sound."""

import importlib.util
import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='pip install torch onnx')
pytest.importorskip('onnx', reason='pip install torch onnx')

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'benchmarks' / 'gpu_check.py'


@pytest.fixture(scope='module')
def script():
    sys.path.insert(0, str(SCRIPT.parent))   # its own modules, as where it is run
    spec = importlib.util.spec_from_file_location('gpu_check', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return module


def started(*arguments):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                          timeout=250, check=False, env={**os.environ, 'PYTHONPATH': path})


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp('gpu') / 'result.json'
    done = started('--device', 'cpu', '--seconds', '0', '--out', str(out))
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_every_row_is_there(result):
    pytest.importorskip('onnxruntime')
    assert not [row for row in result['rows'] if 'error' in row]
    assert {(row['model'], row['engine'], row['precision']) for row in result['rows']} >= {
        ('demt_swin_t_nyud', 'torch eager, plain network', 'f32'),
        ('demt_swin_t_nyud', 'torch eager, fused', 'bf16'),
        ('demt_driving_fast', 'onnxruntime CPU', 'f32')}
    for row in result['rows']:
        assert 0 < row['latency_ms']['p50'] <= row['latency_ms']['p99']
        assert row['share_of_arithmetic'] > 0
        if row['precision'] == 'f32' and 'parity' in row:
            assert row['parity']['semantic_same'] > 0.999
            assert row['parity']['depth_relative'] < 1e-3
    assert result['limits']['f32_tflops'] > 0
    assert {name: row['p50'] > 0 for name, row in result['outputs'].items()} == {
        'postprocessing on CPU': True, 'postprocessing on cpu': True}
    assert result['host']['torch'] == torch.__version__


def test_no_gpu_is_an_answer_not_a_traceback():
    if torch.cuda.is_available():
        pytest.skip('this machine has one')
    done = started()
    assert done.returncode == 2
    assert 'nvidia-smi' in done.stderr


def test_traffic_counts_what_moves(script):
    x, weight = torch.ones(1, 2, 8, 8), torch.ones(4, 2, 1, 1)
    with torch.no_grad(), script.Traffic() as traffic:
        y = torch.conv2d(x, weight).transpose(1, 2).reshape(1, 8, 32)  # the copy is real
        y.view(256)
    assert traffic.bytes == 4 * (128 + 8 + 256 + 2 * 256)


def test_parity_is_zero_for_the_same_and_not_for_another(script):
    wanted = {'semantic': np.zeros((1, 4, 4), np.uint8), 'depth': np.full((1, 2, 2), 5.0),
              'normals': np.stack([np.zeros((1, 2, 2)), -np.ones((1, 2, 2)),
                                   np.zeros((1, 2, 2))], 1)}
    assert script.parity(wanted, wanted) == {
        'semantic_same': 1, 'depth_relative': 0, 'normals_degrees': 0}
    assert script.too_far(script.parity(wanted, wanted), script.CLOSE['f32']) == []
    other = {'semantic': np.eye(4, dtype=np.uint8)[None], 'depth': np.full((1, 2, 2), 5.5),
             'normals': np.roll(wanted['normals'], 1, 1)}
    assert script.parity(wanted, other) == {
        'semantic_same': 0.75, 'depth_relative': 0.1, 'normals_degrees': 90}
    seen = script.parity(wanted, other)
    assert script.too_far(seen, script.CLOSE['f16']) == list(seen)
    assert script.too_far({**seen, 'depth_relative': float('nan')}, script.CLOSE['f16']) == list(
        seen), 'nothing is no agreement'


def test_nearest_for_linear_is_too_far_in_f32(script):
    """What TensorRT made of opset 20, by ONNX Runtime: see ``grid_sample.py``."""
    onnx, shape = pytest.importorskip('onnx'), (1, 3, 96, 160)
    model = onnx.load(script.find_model(script.DEFAULT_MODEL) / 'model.onnx')
    outputs = []
    for mode in (b'linear', b'nearest'):
        for node in model.graph.node:
            for attribute in node.attribute:
                if node.op_type == 'GridSample' and attribute.name == 'mode':
                    attribute.s = mode
        engine = script.create_engine(
            'onnxruntime:cpu', model.SerializeToString(), shape, 1, 'f32')
        outputs.append(engine.run(script.picture(shape)))
    assert script.too_far(script.parity(*outputs), script.CLOSE['f32'])
