"""Bring pretrained backbone weights of other code into the names that the backbones here use.

Layouts, told apart by their keys: Swin of Microsoft, of timm (old and new) and of mmsegmentation;
HRNet of the official code, timm and OpenMMLab; ResNet of torchvision and timm. A checkpoint of a
whole network with its backbone under ``backbone.`` gives that part.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
import re

import torch
from torch import nn, Tensor

from demt_perception.hashes import HashError, read_verified

HRNET_WIDTHS = {18: 'hrnet18', 48: 'hrnet48'}
RESNET_DEPTHS: dict[tuple[int, ...], str] = {(2, 2, 2, 2): 'resnet18', (3, 4, 6, 3): 'resnet50'}
# Channels of the first map and blocks of the third stage.
SWIN_SIZES = {(96, 6): 'swin_t', (96, 18): 'swin_s', (128, 18): 'swin_b', (192, 18): 'swin_l'}

# Classifiers and decoders, and fixed tables, which are computed here.
DROPPED = re.compile(
    r'(head|fc|classifier|final_layer|last_layer|incre_modules|downsamp_modules|cls_head'
    r'|decode_head|auxiliary_head)\.|.*\.(relative_position_index|attn_mask)$')
TABLES = ('relative_position_index', 'num_batches_tracked')
# Maps 0 to 2 of a classifier have no norm of their own.
FRESH = re.compile(r'norm[0-2]\.(weight|bias)')

MICROSOFT_SWIN = tuple((re.compile(theirs), own) for theirs, own in (
    (r'patch_embed\.proj\.(\w+)', r'patch_embed.projection.\1'),
    (r'layers\.(\d+)\.downsample\.(.+)', r'stages.\1.downsample.\2'),
    (r'layers\.(\d+)\.blocks\.(\d+)\.attn\.(.+)', r'stages.\1.blocks.\2.attn.w_msa.\3'),
    (r'layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(\w+)', r'stages.\1.blocks.\2.ffn.layers.0.0.\3'),
    (r'layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(\w+)', r'stages.\1.blocks.\2.ffn.layers.1.\3'),
    (r'layers\.(\d+)\.blocks\.(\d+)\.(norm\d\.\w+)', r'stages.\1.blocks.\2.\3'),
    (r'norm\.(\w+)', r'norm3.\1'),
))


class BackboneWeightsError(ValueError):
    """Weights do not fit a backbone; the text lists every key that does not, and the remedy."""


def convert_backbone(state_dict: Mapping[str, Tensor],
                     name: str | None = None) -> tuple[str, dict[str, Tensor]]:
    """Return the backbone that weights belong to, and the weights in its names, as float32.

    Classifier and decoder are left out. The norms of the first three Swin maps, which a
    classifier lacks, start as identity. Nothing is resized.

    Args:
        state_dict: weights in any of the layouts above, see ``checkpoint.read_checkpoint``.
        name: of the backbone, where it shall not be told from the shapes.

    Raises:
        BackboneWeightsError: the layout or the size is unknown, or keys do not fit: every
            missing and unexpected key and every wrong shape is listed.
    """
    from demt_perception.networks.backbones import create_backbone

    state = dict(state_dict)
    if any(key.startswith('backbone.') for key in state):
        state = {key.removeprefix('backbone.'): value for key, value in state.items()
                 if key.startswith('backbone.')}
    state = {key: value for key, value in state.items() if not DROPPED.match(key)}
    if 'patch_embed.proj.weight' in state:
        state = _from_microsoft_swin(state)
    name = name or _name_of(state)
    try:
        with torch.device('meta'):
            own = create_backbone(name).state_dict()
    except ValueError as error:
        raise BackboneWeightsError(str(error)) from error
    if not any(FRESH.fullmatch(key) for key in state):
        state |= {key: (torch.ones if key.endswith('weight') else torch.zeros)(value.shape)
                  for key, value in own.items() if FRESH.fullmatch(key)}
    _check(name, own, state)
    return name, {key: (value.float() if value.is_floating_point() else value).contiguous()
                  for key, value in state.items()}


def load_backbone(backbone: nn.Module, path: str | Path) -> None:
    """Load a ``.safetensors`` file that ``demt import-backbone`` wrote, strictly.

    Raises:
        BackboneWeightsError: keys or shapes do not fit, all are listed; or the file is no
            .safetensors file, or not the one that the ``.sha256`` beside it names.
        OSError: the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(read_verified(Path(path), needed=True))
    except HashError as error:
        raise BackboneWeightsError(str(error)) from error
    except SafetensorError as error:
        raise BackboneWeightsError(f'{path} is no .safetensors file ({error}): convert it with '
                                   '`demt import-backbone`') from error
    _check(f'{type(backbone).__name__} of {path}', backbone.state_dict(), state)
    backbone.load_state_dict(state, strict=False)


def _check(name: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    problems = [*_misfits(own, state)]
    if problems:
        raise BackboneWeightsError(
            f'{len(problems)} keys do not fit backbone {name}:\n  ' + '\n  '.join(problems)
            + '\nWant the weights of this very backbone (size, window 7); other sizes are not '
            'resized')


def _misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterator[str]:
    for key, value in own.items():
        if key not in state:
            if not key.endswith(TABLES):
                yield f'missing: {key} {list(value.shape)}'
        elif state[key].shape != value.shape:
            yield f'wrong shape: {key} is {list(state[key].shape)}, want {list(value.shape)}'
    for key, value in state.items():
        if key not in own:
            yield f'unexpected: {key} {list(value.shape)}'


def _name_of(state: Mapping[str, Tensor]) -> str:
    """Return the backbone's name, from the shapes and the number of its blocks."""
    def blocks(prefix: str) -> int:
        found = (re.match(rf'{re.escape(prefix)}(\d+)\.', key) for key in state)
        return len({match[1] for match in found if match})

    if 'stage2.0.branches.0.0.conv1.weight' in state:
        width = state['stage2.0.branches.0.0.conv1.weight'].shape[0]
        name, seen = HRNET_WIDTHS.get(width), f'HRNet of width {width}'
        known: object = list(HRNET_WIDTHS)
    elif 'patch_embed.projection.weight' in state:
        size = state['patch_embed.projection.weight'].shape[0], blocks('stages.2.blocks.')
        name, seen = SWIN_SIZES.get(size), f'Swin of (channels, blocks in stage 3) {size}'
        known = list(SWIN_SIZES)
    elif 'layer1.0.conv1.weight' in state:
        depths = tuple(blocks(f'layer{index}.') for index in (1, 2, 3, 4))
        name, seen = RESNET_DEPTHS.get(depths), f'ResNet of depths {depths}'
        known = list(RESNET_DEPTHS)
    else:
        raise BackboneWeightsError(
            f'no known backbone has the keys {list(state)[:6]}: want Swin (Microsoft, timm or '
            'mmsegmentation), HRNet or ResNet (torchvision, timm) weights')
    if name is None:
        raise BackboneWeightsError(f'the weights are a {seen}: want one of {known}')
    return name


def _from_microsoft_swin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename Microsoft's and timm's Swin, and reorder the input channels of patch merging."""
    # New timm keeps a merging in the stage it leads to, all others in the one it comes from.
    moved = any(re.match(r'layers\.3\.downsample\.', key) for key in state)
    out = {}
    for key, value in state.items():
        if '.downsample.' in key and key.startswith('layers.'):
            stage, rest = key.removeprefix('layers.').split('.', 1)
            key = f'layers.{int(stage) - moved}.{rest}'
            value = _as_unfold(value)
        for theirs, own in MICROSOFT_SWIN:
            found = theirs.fullmatch(key)
            if found:
                key = found.expand(own)
                break
        out[key] = value
    return out


def _as_unfold(value: Tensor) -> Tensor:
    """Reorder the last axis from (column, row, channel) to (channel, row, column) of a patch."""
    if value.shape[-1] % 4:
        return value  # of a wrong shape, which is reported later
    parts = value.reshape(*value.shape[:-1], 2, 2, value.shape[-1] // 4)
    return parts.transpose(-1, -3).reshape(value.shape)
