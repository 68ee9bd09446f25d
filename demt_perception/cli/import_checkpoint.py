"""Make a model folder of official weights: DeMT (both releases), DeMTG, MTI-Net, PAD-Net...

Reads .safetensors, .pth, .pth.tar and Lightning's .ckpt without ever running what is in them,
tells network, backbone and tasks from the names and shapes of the weights, checks every one, and
runs the result once. How many attention heads a DeMT has is not in its weights: the released
numbers are taken. Mind the licence of the weights, and of the data that they were trained on.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt import-checkpoint``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('file', type=Path, help='the checkpoint')
    parser.add_argument('--out', required=True, type=Path, help='model folder to write')
    parser.add_argument('--sha256', default='', help='of the file, as its publisher names it: '
                        'another file is refused')
    parser.add_argument('--name', default='', help="name of the model (default: the folder's)")
    parser.add_argument('--licence', default='', help='terms of the weights, for the card')
    parser.add_argument('--input-size', nargs=2, type=int, metavar=('H', 'W'),
                        help='size of the network input, multiples of 32 (default: 448 576 where '
                        'the model predicts depth or NYUD classes, else 512 512)')
    parser.add_argument('--engine', default='any',
                        choices=('any', 'onnxruntime', 'openvino', 'tensorrt'),
                        help='write the form that one engine runs fastest (default: one that all '
                        'run)')
    parser.add_argument('--task', help='task of a single-task network, e.g. semseg: its weights '
                        'do not tell')


def run(args: argparse.Namespace) -> int:
    """Import, then run the model once."""
    import numpy as np

    from demt_perception.inference import Predictor
    from demt_perception.training.imported import import_checkpoint

    found, card = import_checkpoint(
        args.file, args.out, name=args.name, licence=args.licence, task=args.task,
        engine=args.engine, sha256=args.sha256,
        input_size=tuple(args.input_size) if args.input_size else None)
    tasks = ', '.join(f'{task} {channels}' for task, channels in found.tasks.items())
    print(f'{args.file}: {card.architecture}; tasks {tasks}; every key and shape fits')
    predictor = Predictor(args.out)
    predictions = predictor.predict(
        np.random.default_rng(0).integers(0, 256, (*card.input_size, 3), np.uint8))
    print(f'{args.out}: runs on {predictor.engine.name}, network '
          f'{predictions.timings["engine"] * 1000:.0f} ms at {card.input_size[1]}x'
          f'{card.input_size[0]}, sha256 {card.onnx_sha256[:12]}')
    if not card.licence:
        print('no --licence given: the card says nothing about the terms of the weights')
    return 0
