"""Parameters and multiply-accumulates of networks, counted without computing anything."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.networks import create_model, fuse
from demt_perception.networks.model import MultiTaskModel

NYUD_TWO = {'semseg': 40, 'depth': 1}
NYUD_FOUR = {**NYUD_TWO, 'normals': 3, 'edge': 1}


@dataclass(frozen=True)
class Row:
    """A network to count: arguments of ``create_model`` and the image size (height, width)."""

    label: str
    name: str
    backbone: str
    tasks: str | Mapping[str, int]
    size: tuple[int, int]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Count:
    """Parameters; multiply-accumulates of network and head, plain and fused."""

    parameters: int
    plain: int
    fused: int
    plain_head: int
    fused_head: int


def table() -> Iterator[Row]:
    """Yield the networks of the papers at the sizes that they are measured at."""
    for backbone, label in (('hrnet18', 'HRNet-18'), ('hrnet48', 'HRNet-48'), ('swin_t', 'Swin-T'),
                            ('swin_s', 'Swin-S'), ('swin_b', 'Swin-B'), ('swin_l', 'Swin-L')):
        yield Row(f'DeMT {label} NYUD', 'demt', backbone, 'nyud', (448, 576), {})
    yield Row('DeMT HRNet-18 NYUD, dim 128', 'demt', 'hrnet18', 'nyud', (448, 576), {'dim': 128})
    for backbone, label in (('hrnet18', 'HRNet-18'), ('swin_t', 'Swin-T'), ('swin_s', 'Swin-S'),
                            ('swin_b', 'Swin-B'), ('swin_l', 'Swin-L')):
        yield Row(f'DeMT {label} PASCAL', 'demt', backbone, 'pascal_context', (512, 512), {})
    for backbone, label in (('swin_t', 'Swin-T'), ('swin_s', 'Swin-S'), ('swin_b', 'Swin-B'),
                            ('swin_l', 'Swin-L')):
        yield Row(f'DeMTG {label} NYUD', 'demtg', backbone, 'nyud', (448, 576), {})
    for name, label in (('mti_net', 'MTI-Net'), ('pad_net', 'PAD-Net')):
        yield Row(f'{label} HRNet-18 NYUD 2', name, 'hrnet18', NYUD_TWO, (480, 640), {})
        if name == 'mti_net':
            yield Row('MTI-Net HRNet-18 NYUD 2 + 4 auxiliary', name, 'hrnet18', NYUD_TWO,
                      (480, 640), {'auxiliary': NYUD_FOUR})
        yield Row(f'{label} HRNet-18 NYUD 4', name, 'hrnet18', 'nyud', (448, 576), {})
        yield Row(f'{label} HRNet-18 PASCAL', name, 'hrnet18', 'pascal_context', (512, 512), {})
    yield Row('multi-task HRNet-18 NYUD 2', 'multi_task', 'hrnet18', NYUD_TWO, (480, 640), {})
    yield Row('multi-task HRNet-18 NYUD 4', 'multi_task', 'hrnet18', 'nyud', (448, 576), {})
    yield Row('multi-task HRNet-18 PASCAL', 'multi_task', 'hrnet18', 'pascal_context',
              (512, 512), {})
    yield Row('single task HRNet-18 semseg', 'single_task', 'hrnet18', {'semseg': 40},
              (480, 640), {})
    yield Row('single task HRNet-18 depth', 'single_task', 'hrnet18', {'depth': 1}, (480, 640), {})
    yield Row('DeMT light EfficientNet-Lite0 driving', 'demt_light', 'efficientnet_lite0',
              'driving', (288, 512), {})


def count(row: Row) -> Count:
    """Count a network of the table, in its plain and in its fused form."""
    with torch.device('meta'):
        model = create_model(row.name, row.backbone, row.tasks, **row.options).eval()
        plain_head, plain = macs(model, row.size)
        fused_head, fused = macs(fuse(model), row.size)
    return Count(sum(p.numel() for p in model.parameters()), plain, fused, plain_head, fused_head)


def macs(model: MultiTaskModel, size: tuple[int, int],
         auxiliary: bool = False) -> tuple[int, int]:
    """Return multiply-accumulates of the head and of the whole network for one image.

    Convolutions and matrix products count, as in torch's FlopCounterMode (half its number);
    elementwise operations, norms and resizing do not. ``auxiliary``: with deep supervision.
    """
    image = torch.zeros(1, 3, *size)
    with torch.no_grad():
        maps, backbone = _counted(model.backbone, image)
        _, head = _counted(model.head, maps, size, auxiliary)
    return head, head + backbone


def _counted(module: nn.Module, *args: Any) -> tuple[Any, int]:
    with FlopCounterMode(display=False) as counter:
        out = module(*args)
    return out, int(counter.get_total_flops()) // 2
