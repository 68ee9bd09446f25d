"""Train a network from a YAML configuration, or continue its run."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt train``."""
    parser.add_argument('config', help='YAML file, see config/training/')
    parser.add_argument('overrides', nargs='*', metavar='key=value',
                        help='values that replace those of the file')


def run(args: argparse.Namespace) -> int:
    """Train; checkpoints and log go to the run folder of the configuration."""
    from demt_perception.training.config import load_config
    from demt_perception.training.trainer import train

    config = load_config(args.config, tuple(args.overrides))
    print(f'trained weights: {train(config)}')
    return 0
