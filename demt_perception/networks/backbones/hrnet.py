"""HRNet: four resolutions side by side, fused again and again; strides 4/8/16/32.

Source: Wang et al., Deep High-Resolution Representation Learning, TPAMI 2021; channels and
depths of DeMT's backbones. Key names are those of the official code, so its weights load by name.
"""

from collections.abc import Sequence

from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.blocks import BasicBlock, Bottleneck, conv_bn

STEM = 64


def _resized(x: Tensor, size: tuple[int, int], scale: int, twice: bool) -> Tensor:
    """Enlarge x (B,C,h,w) to the size, in one bilinear step or by the scale first."""
    if twice and (x.shape[-2] * scale, x.shape[-1] * scale) != size:
        x = F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


class Exchange(nn.Module):
    """Run every resolution's blocks, then add to each map all others, resized.

    Args:
        channels: of each map, finest first.
        blocks: residual blocks per map.
        momentum: of BatchNorm.
        resize_twice: see ``HRNet``.
    """

    def __init__(self, channels: Sequence[int], blocks: int, momentum: float,
                 resize_twice: bool):
        super().__init__()
        self.resize_twice = resize_twice
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c, c, momentum=momentum) for _ in range(blocks)))
            for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._link(channels, source, target, momentum)
                          for source in range(len(channels)))
            for target in range(len(channels)))
        self.relu = nn.ReLU(inplace=True)

    @staticmethod
    def _link(channels: Sequence[int], source: int, target: int, momentum: float) -> nn.Module:
        """Return what brings map ``source`` to the channels (and, finer ones, size) of target."""
        if source == target:
            return nn.Identity()
        a, b = channels[source], channels[target]
        if source > target:
            return conv_bn(a, b, 1, activate=False, momentum=momentum)
        steps = [conv_bn(a, a, 3, 2, momentum=momentum) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, conv_bn(a, b, 3, 2, activate=False, momentum=momentum))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, links in enumerate(self.fuse_layers):
            height, width = maps[target].shape[-2:]
            total: Tensor | None = None
            for source, (link, x) in enumerate(zip(links, maps, strict=True)):
                x = link(x)
                if source > target:
                    x = _resized(x, (height, width), 2 ** (source - target), self.resize_twice)
                total = x if total is None else total + x
            fused.append(self.relu(total))
        return fused


class HRNet(nn.Module):
    """Image (B,3,H,W) to four maps of width, 2*, 4* and 8*width channels; sides ceil(H/stride).

    Args:
        width: channels of the finest map.
        modules: exchange modules of stages 2, 3 and 4.
        blocks: residual blocks per map and exchange module.
        layer1_blocks: bottlenecks of stage 1.
        momentum: of BatchNorm: 0.1 in DeMT, 0.01 in Multi-Task-Learning-PyTorch.
        resize_twice: enlarge coarse maps by 2, 4 or 8 and then to the exact size, as DeMT does,
            or in one step, as Multi-Task-Learning-PyTorch and the original HRNet do. The two
            differ only where a map's side is odd.
    """

    def __init__(self, width: int = 18, modules: tuple[int, int, int] = (1, 3, 2),
                 blocks: int = 2, layer1_blocks: int = 2, *, momentum: float = 0.1,
                 resize_twice: bool = True):
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM, momentum=momentum)
        self.conv2 = nn.Conv2d(STEM, STEM, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM, momentum=momentum)
        self.relu = nn.ReLU(inplace=True)
        wide = STEM * Bottleneck.expansion
        self.layer1 = nn.Sequential(*(
            Bottleneck(wide if index else STEM, STEM, momentum=momentum)
            for index in range(layer1_blocks)))
        self.transition1 = nn.ModuleList([
            conv_bn(wide, width, 3, momentum=momentum),
            nn.Sequential(conv_bn(wide, 2 * width, 3, 2, momentum=momentum))])
        for stage, count in enumerate(modules, 2):
            if stage > 2:
                # Only the new, coarsest map needs a layer; keys keep its index, as officially.
                new = nn.Sequential(conv_bn(self.channels[stage - 2], self.channels[stage - 1],
                                            3, 2, momentum=momentum))
                setattr(self, f'transition{stage - 1}', nn.ModuleList(
                    [*(nn.Identity() for _ in range(stage - 1)), new]))
            setattr(self, f'stage{stage}', nn.Sequential(*(
                Exchange(self.channels[:stage], blocks, momentum, resize_twice)
                for _ in range(count))))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        maps = self.stage2([layer(x) for layer in self.transition1])
        maps = self.stage3([*maps, self.transition2[-1](maps[-1])])
        return self.stage4([*maps, self.transition3[-1](maps[-1])])
