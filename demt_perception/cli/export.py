"""Write a model folder (ONNX, card, weights) from trained weights."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt export``."""
    parser.add_argument('config', help='the YAML file that the weights were trained with')
    parser.add_argument('overrides', nargs='*', metavar='key=value')
    parser.add_argument('--weights', required=True, help='average.safetensors of the run folder')
    parser.add_argument('--out', required=True, help='model folder to write')
    parser.add_argument('--engine', default='any',
                        choices=('any', 'onnxruntime', 'openvino', 'tensorrt'),
                        help='write the form that one engine runs fastest (default: one that all '
                        'run)')
    parser.add_argument('--licence', default='', help='terms of the weights, for the card')


def run(args: argparse.Namespace) -> int:
    """Export, check against torch and write the card."""
    from demt_perception.training.config import load_config
    from demt_perception.training.export import export_model

    card = export_model(load_config(args.config, tuple(args.overrides)), args.weights, args.out,
                        args.licence, args.engine)
    print(f'{args.out}: {card.architecture}, sha256 {card.onnx_sha256[:12]}')
    return 0
