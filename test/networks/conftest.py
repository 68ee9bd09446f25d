"""Networks need torch; the numbers of the official modules are optional."""

from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='networks need torch: pip install torch==2.13.0')

SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'golden'
OWN = Path(__file__).resolve().parents[1] / 'data' / 'golden'


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def golden():
    """Return a loader of golden tensors by file name; skips where the file is not at hand."""
    from safetensors.torch import load_file

    def load(name):
        for folder in (OWN, SHARED):
            path = folder / f'{name}.safetensors'
            if path.exists():
                return {k: v.float() if v.is_floating_point() else v
                        for k, v in load_file(path).items()}
        pytest.skip(f'{name}.safetensors is not at hand (neither {OWN} nor {SHARED})')

    return load
