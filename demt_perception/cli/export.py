"""Write a model folder (ONNX, card, weights) of a training run."""

import argparse
from pathlib import Path

PARSE = argparse.ArgumentParser.parse_intermixed_args
"""Options may stand among key=value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt export``."""
    parser.add_argument('run', metavar='RUN', help='folder that `demt train` wrote; or the YAML '
                        'file of the configuration, with --weights')
    parser.add_argument('overrides', nargs='*', metavar='key=value',
                        help="values that replace those of the run's configuration")
    parser.add_argument('--weights', help="default: the run's best.safetensors, else its "
                        'weights.safetensors')
    parser.add_argument('--out', required=True, help='model folder to write')
    parser.add_argument('--engine', default='any',
                        choices=('any', 'onnxruntime', 'openvino', 'tensorrt'),
                        help='write the form that one engine runs fastest (default: one that all '
                        'run)')
    parser.add_argument('--licence', default='', help='terms of the weights, for the card')


def run(args: argparse.Namespace) -> int:
    """Export, check against torch and write the card."""
    from demt_perception.training.config import CONFIG, ConfigError, load_config
    from demt_perception.training.export import export_model
    from demt_perception.training.persistence import BEST, WEIGHTS

    path = Path(args.run)
    weights = args.weights
    if path.is_dir():
        found = [path / name for name in (BEST, WEIGHTS) if (path / name).is_file()]
        if not weights and not found:
            raise ConfigError(f'{path} has neither {BEST} nor {WEIGHTS}: is the run finished? '
                              'Or give --weights')
        weights, path = weights or found[0], path / CONFIG
    elif not path.exists():
        raise ConfigError(f'{path} does not exist: want the run folder that demt train wrote, '
                          'or a configuration and --weights')
    elif not weights:
        raise ConfigError(f'{path} is a configuration: give --weights FILE, or the run folder')
    card = export_model(load_config(path, tuple(args.overrides)), weights, args.out,
                        args.licence, args.engine)
    print(f'{args.out}: {card.architecture}, of {weights}, sha256 {card.onnx_sha256[:12]}')
    return 0
