"""Large maps by torch, which a GPU makes: the same as the CPU's."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='pip install torch')

from demt_perception.inference import postprocess, Predictor
from demt_perception.inference.engines.torch_maps import gpu_maps, TorchMaps

MAPS = TorchMaps('cpu')
seeds = st.integers(0, 2**32 - 1)
sides = st.tuples(st.integers(1, 24), st.integers(1, 24))


def close(seen, wanted, tolerance):
    assert seen.dtype == wanted.dtype
    assert seen.shape == wanted.shape
    assert seen.flags.c_contiguous
    np.testing.assert_allclose(seen.astype(float), wanted.astype(float), rtol=1e-4,
                               atol=tolerance)


@given(seeds, sides, sides)
def test_interpolated(seed, small, size):
    rng = np.random.default_rng(seed)
    values = rng.random(small, np.float32)
    close(MAPS.linear(values, size), postprocess.linear(values, size), 1e-5)
    colors = rng.integers(0, 256, (*small, 3), np.uint8)
    close(MAPS.linear(colors, size), postprocess.linear(colors, size), 1)


@given(seeds, sides, sides)
def test_ids_are_the_same(seed, small, size):
    ids = np.random.default_rng(seed).integers(0, 256, small, np.uint8)
    close(MAPS.nearest(ids, size), postprocess.nearest(ids, size), 0)


@given(seeds, sides, sides, st.floats(0, 1))
def test_depth_with_holes(seed, small, size, holes):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 100, small).astype(np.float32)
    depth[rng.random(small) < holes] = np.nan
    close(MAPS.depth(depth, size), postprocess.depth(depth, size), 1e-4)


@given(seeds, sides, sides)
def test_normals_are_of_length_one_or_nothing(seed, small, size):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(3, *small)).astype(np.float32)
    raw[:, rng.random(small) < 0.2] = 0
    seen, wanted = MAPS.normals(raw, size), postprocess.normals(raw, size)
    # Where vectors nearly cancel out, the direction of what is left hangs on rounding.
    sure = np.linalg.norm(np.stack([postprocess.linear(one, size) for one in raw]), axis=0) > 1e-3
    close(seen[sure], wanted[sure], 1e-3)
    holes = postprocess.nearest(postprocess.no_direction(raw), size) != 0
    assert not seen[holes].any() and not wanted[holes].any()
    nothing = ~wanted.any(2)
    assert not seen[nothing & (np.linalg.norm(seen, axis=2) < 0.5)].any()


WITHOUT_MEMORY = [
    torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 8.00 MiB'),
    RuntimeError('CUDA error: out of memory')]   # pinned memory, which is the host's


@pytest.mark.parametrize('error', WITHOUT_MEMORY)
@pytest.mark.parametrize('step', ['_up', '_down'])
def test_where_there_is_no_memory_for_one_the_cpu_makes_it_and_says_so_once(
        monkeypatch, caplog, error, step):
    maps, size, rng = TorchMaps('cpu'), (9, 14), np.random.default_rng(0)
    plane, raw = rng.random((5, 7), np.float32), rng.normal(size=(3, 5, 7)).astype(np.float32)
    holes = np.where(plane > 0.7, np.nan, plane).astype(np.float32)
    calls = [('linear', plane), ('nearest', plane), ('probability', plane), ('share_color', plane),
             ('normals_color', raw), ('depth', plane), ('depth', holes), ('normals', raw)]

    def fail(*arguments):
        raise error

    with monkeypatch.context() as full:
        full.setattr(TorchMaps, step, fail)
        for name, values in calls:
            np.testing.assert_array_equal(
                getattr(maps, name)(values, size), getattr(postprocess, name)(values, size))
    assert caplog.text.count('outputs are made on the CPU') == 1
    on_cpu = []
    monkeypatch.setattr(postprocess, 'linear', lambda *_: on_cpu.append(1))
    close(maps.linear(plane, size), MAPS.linear(plane, size), 0)
    assert not on_cpu, 'the GPU is tried again'


@pytest.mark.parametrize('error', [
    RuntimeError('CUDA error: an illegal memory access was encountered'),
    RuntimeError('shapes do not fit')])
def test_what_is_no_lack_of_memory_is_told(monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(TorchMaps, '_up', fail)
    with pytest.raises(RuntimeError, match=str(error)):
        TorchMaps('cpu').linear(np.ones((2, 2), np.float32), (4, 4))


def test_every_output_of_a_model(tiny_model):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (180, 320, 3), np.uint8)
    predictor = Predictor(tiny_model, 'torch', 1)
    wanted = predictor.predict(image)
    predictor._maps = MAPS   # what an engine on a GPU gives: postprocessor()
    seen = predictor.predict(image)
    for name in ('semantic', 'semantic_color', 'confidence', 'depth', 'depth_color', 'normals',
                 'normals_color', 'boundary'):
        one, other = getattr(seen, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        apart = np.abs(np.nan_to_num(one).astype(float) - np.nan_to_num(other).astype(float))
        assert (apart <= (1 if one.dtype == np.uint8 else 1e-3)).mean() > 0.999, name
        assert (np.isnan(one) == np.isnan(other)).all(), name
    predictor.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason='of machines without an NVIDIA GPU')
def test_without_a_gpu_the_cpu_does_it(tiny_model):
    assert gpu_maps() is None
    predictor = Predictor(tiny_model, 'torch', 1)
    assert predictor._maps is postprocess
    predictor.close()
