"""Prediction heads: features of one task to its logits."""

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

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:
        x = F.interpolate(self.reduce(x), size=detail.shape[-2:], mode='bilinear',
                          align_corners=False)
        x = F.relu(self.norm(x + self.detail(detail)), inplace=True)
        return self.logits(self.refine(x))
