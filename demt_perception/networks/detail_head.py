"""Prediction heads: features of one task to its logits, and to how far off they are."""

from torch import nn, Tensor
from torch.nn import functional as F


class DetailHead(nn.Module):
    """Head of the driving models: 3x3 on the token grid, x2, plus the stride-4 encoder detail.

    The published head (spec 1.6) predicts on the token grid alone. Where that grid lies at
    stride 8 to save time, poles and signs need the finer map: it is projected and added after
    upsampling.

    Args:
        dim: channels of the task features (B, dim, h, w).
        detail: channels of the encoder map (B, detail, 2h, 2w).
        hidden: channels between.
        out: channels of the logits (B, out, 2h, 2w).
    """

    def __init__(self, dim: int, detail: int, hidden: int, out: int):
        super().__init__()
        self.reduce = nn.Conv2d(dim, hidden, 3, padding=1, bias=False)
        self.detail = nn.Conv2d(detail, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)  # of the sum of both: see fusing/norms.py
        self.refine = nn.Sequential(
            nn.Conv2d(hidden, hidden // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden // 2), nn.ReLU(inplace=True))
        self.logits = nn.Conv2d(hidden // 2, out, 1)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    def features(self, x: Tensor, detail: Tensor) -> Tensor:
        """Return what the logits are made of: (B, hidden, 2h, 2w)."""
        x = F.interpolate(self.reduce(x), size=detail.shape[-2:], mode='bilinear',
                          align_corners=False)
        return F.relu(self.norm(x + self.detail(detail)), inplace=True)

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:
        return self.predict(self.features(x, detail))

    def predict(self, features: Tensor) -> Tensor:
        """Return the logits of ``features``."""
        return self.logits(self.refine(features))


class UncertaintyHead(nn.Sequential):
    """Logarithm of how far off a prediction is, from the features that it is made of.

    The features are detached: whoever learns how wrong depth is must not make depth easier to
    predict the error of, or pull the decoder from its tasks. So depth is the same, to the last
    bit of its gradient, whether this head is there or not.

    Args:
        features: channels in, (B, features, h, w).
        hidden: channels between.
    """

    def __init__(self, features: int, hidden: int = 16):
        last = nn.Conv2d(hidden, 1, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, -1.5)  # exp: 22 %, about what an early network is off by
        super().__init__(nn.Conv2d(features, hidden, 1), nn.ReLU(inplace=True), last)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 1, h, w)."""
        out: Tensor = super().forward(features.detach())
        return out
