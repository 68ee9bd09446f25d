"""Convert pretrained backbone weights of other code into a file for `pretrained=`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt import-backbone``."""
    parser.add_argument('file', help='a checkpoint with Swin (Microsoft, timm, mmsegmentation), '
                        'HRNet (official, timm, OpenMMLab) or ResNet (torchvision, timm) weights; '
                        'no code in it is ever run')
    parser.add_argument('--out', required=True, type=Path, help='.safetensors file to write; its '
                        'SHA-256 is written beside it, and checked before training uses it')
    parser.add_argument('--sha256', default='', help='of the checkpoint, as its publisher names '
                        'it: another file is refused')
    parser.add_argument('--backbone', help='name, where the shapes shall not tell it')


def run(args: argparse.Namespace) -> int:
    """Convert, check every key and shape, and write."""
    from demt_perception.hashes import read_published, write_sha256
    from demt_perception.networks.backbones.weights import BackboneWeightsError, convert_backbone
    from demt_perception.networks.checkpoint import read_checkpoint
    from demt_perception.networks.tensor_file import save_tensors

    if args.out.suffix != '.safetensors' or args.out.is_dir():
        raise BackboneWeightsError(f'--out {args.out}: want a file with the ending .safetensors')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    content, digest = read_published(Path(args.file), args.sha256)
    name, state = convert_backbone(read_checkpoint(args.file, content), args.backbone)
    save_tensors(state, args.out, metadata={'backbone': name, 'sha256 of the source': digest})
    write_sha256(args.out)
    values = sum(value.numel() for value in state.values())
    print(f'{args.out}: {name}, {len(state)} tensors, {values} values')
    return 0
