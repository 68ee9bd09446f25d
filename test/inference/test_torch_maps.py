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
