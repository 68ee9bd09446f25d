"""Train a network from a YAML configuration, or continue its run.

Several GPUs or machines: torchrun --nproc-per-node 4 -m demt_perception.cli train CONFIG ...
"""

import argparse
import os

PARSE = argparse.ArgumentParser.parse_intermixed_args
"""Options may stand among key=value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt train``."""
    parser.add_argument('config', help='YAML file, see config/training/')
    parser.add_argument('overrides', nargs='*', metavar='key=value',
                        help='values that replace those of the file, e.g. root=DIR, out=DIR, '
                        'model_options.depth=2, data.0.root=DIR')


def run(args: argparse.Namespace) -> int:
    """Train; checkpoints, log and pictures go to the run folder of the configuration."""
    # Torch reads it when imported. Its loudest warning at several processes is that parameters
    # may lack a gradient, which partial labels and the published networks make happen.
    if 'RANK' in os.environ:
        os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR')
    from demt_perception.inference.memory import keep_freed_memory
    from demt_perception.training.config import load_config
    from demt_perception.training.trainer import train

    keep_freed_memory()
    config = load_config(args.config, tuple(args.overrides))
    weights = train(config)
    if os.environ.get('RANK', '0') == '0':  # of the processes that torchrun starts
        print(f'trained weights: {weights}\n'
              f'a model of them: demt export {config.out} --out models/NAME')
    return 0
