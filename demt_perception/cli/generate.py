"""Render generated street views with exact labels (needs bpy)."""

import argparse

from demt_perception.cli.spreading import add_spreading, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt generate``."""
    parser.add_argument('--count', type=positive, required=True, help='views in all')
    parser.add_argument('--out', required=True, help='folder; complete views in it are kept')
    parser.add_argument('--seed', type=_seed, default=0, help='seed of the first scene')
    parser.add_argument('--size', type=parse_size, default=(512, 288), metavar='WxH',
                        help='of the views, in pixels; the same in all of a folder')
    parser.add_argument('--samples', type=positive, default=4,
                        help='light paths per pixel; the same in all of a folder')
    parser.add_argument('--views-per-scene', type=positive, default=10, help='default: 10')
    add_spreading(parser)


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of ``512x288``.

    Raises:
        argparse.ArgumentTypeError: not two positive numbers.
    """
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise argparse.ArgumentTypeError(f'{text!r} is no size: want WIDTHxHEIGHT, as 512x288')
    return int(parts[0]), int(parts[1])


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r}: want a whole number of at least 0')
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Render what is missing."""
    from demt_perception.synthetic.generate import generate
    from demt_perception.synthetic.quality import write_page

    done = generate(args.count, args.out, args.seed, args.size, args.samples,
                    args.views_per_scene, args.processes, args.ray)
    print(f'{done} views rendered in {args.out}')
    print(f'look at {write_page(args.out)}')
    return 0
