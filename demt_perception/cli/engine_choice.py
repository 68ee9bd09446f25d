"""What runs a model: the arguments that verbs share."""

import argparse


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare engine and precision."""
    parser.add_argument('--engine', default='auto', help='auto (default), openvino, onnxruntime, '
                        'tensorrt or torch; with a device, onnxruntime:cuda')
    parser.add_argument('--precision', default='auto', metavar='TYPE',
                        help='auto (default), the fastest whose outputs are within the limits on '
                        "the model's card; or f32, bf16, f16, int8")
