"""Networks need torch; the numbers of the official modules are optional."""

from pathlib import Path

import pytest
from shared_data import SHARED

torch = pytest.importorskip('torch', reason='networks need torch: pip install torch==2.13.0')

LARGE = SHARED / 'golden'
OWN = Path(__file__).resolve().parents[1] / 'data' / 'golden'


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def golden():
    """Return a loader of golden tensors by file name; skips where the file is not at hand."""
    from safetensors.torch import load_file

    def load(name):
        for folder in (OWN, LARGE):
            path = folder / f'{name}.safetensors'
            if path.exists():
                return {k: v.float() if v.is_floating_point() else v
                        for k, v in load_file(path).items()}
        pytest.skip(f'{name}.safetensors is not at hand (neither {OWN} nor {LARGE})')

    return load


@pytest.fixture(scope='session')
def randomised():
    """Return a function that gives a network weights and statistics which hide no mistake.

    Norms at their initial values would make a forgotten or misplaced one invisible, and layers
    that start at zero would make what comes before them invisible.
    """
    def randomise(model, seed=0):
        torch.manual_seed(seed)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, 0, 0.2)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
                torch.nn.init.uniform_(module.weight, 0.7, 1.3)
                torch.nn.init.normal_(module.bias, 0, 0.2)
        for name, value in model.named_parameters():
            if value.ndim > 1 and not value.any():
                torch.nn.init.normal_(value, 0, 0.02)
            elif name.endswith('opt.weight'):  # samples near and far, inside and outside
                torch.nn.init.normal_(value, 0, 0.01)
            elif 'logits' in name and value.ndim > 1:
                torch.nn.init.normal_(value, 0, 0.1)
            elif name.endswith('squeeze.0.bias'):  # few hidden units: a ReLU may never open
                torch.nn.init.ones_(value)
        if hasattr(model, 'backbone'):
            calibrate(model)
        return model.eval()

    return randomise


@torch.no_grad()
def calibrate(model):
    """Set the statistics to about those of random images.

    Arbitrary ones let activations grow through many blocks until a softmax saturates and float32
    noise decides.
    """
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()(torch.randn(4, 3, 64, 96))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.running_mean += torch.randn_like(norm.running_mean) * 0.2 * norm.running_var.sqrt()
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
