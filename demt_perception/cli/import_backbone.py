"""Convert pretrained backbone weights of other code into a file for `pretrained=`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt import-backbone``."""
    parser.add_argument('file', help='a checkpoint with Swin (Microsoft, timm, mmsegmentation), '
                        'HRNet (official, timm, OpenMMLab) or ResNet (torchvision, timm) weights; '
                        'no code in it is ever run')
    parser.add_argument('--out', required=True, type=Path, help='.safetensors file to write')
    parser.add_argument('--backbone', help='name, where the shapes shall not tell it')


def run(args: argparse.Namespace) -> int:
    """Convert, check every key and shape, and write."""
    from safetensors.torch import save_file

    from demt_perception.networks.backbones.weights import BackboneWeightsError, convert_backbone
    from demt_perception.networks.checkpoint import read_checkpoint

    if args.out.suffix != '.safetensors' or args.out.is_dir():
        raise BackboneWeightsError(f'--out {args.out}: want a file with the ending .safetensors')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    name, state = convert_backbone(read_checkpoint(args.file), args.backbone)
    save_file(state, args.out, metadata={'backbone': name})
    values = sum(value.numel() for value in state.values())
    print(f'{args.out}: {name}, {len(state)} tensors, {values} values')
    return 0
