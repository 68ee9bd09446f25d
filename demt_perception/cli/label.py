"""Label pictures by trained networks, for other networks to learn from.

Writes a dataset in the plain folder layout: pictures, labels, and soft labels of the classes. What
frames before and after contradict, or the networks are unsure of, is left unlabelled. The same
command continues.
"""

import argparse
import sys

from demt_perception.cli.data import LAYOUT_NAMES
from demt_perception.cli.spreading import positive

FEW = 0.3
"""Share of labelled pixels below which something is wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt label``."""
    parser.add_argument('teachers', nargs='+', metavar='TEACHER', help='folder that `demt train` '
                        'wrote, or weights beside the config.yaml of their run; several are '
                        'averaged')
    parser.add_argument('--data', required=True, help='pictures: a dataset, e.g. of layout video')
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument('--layout', choices=LAYOUT_NAMES, default='',
                        help='how --data is laid out (default: found out)')
    parser.add_argument('--split', default='', help='e.g. train (default: the whole folder)')
    parser.add_argument('--size', nargs=2, type=positive, metavar=('H', 'W'),
                        help='of the pictures written (default: that of the first teacher)')
    parser.add_argument('--least', type=float, default=0.6, help='probability of a class that is '
                        'kept (default: 0.6)')
    parser.add_argument('--scales', nargs='+', type=float, default=(1.0,), metavar='S',
                        help='look at the picture at several sizes (default: 1)')
    parser.add_argument('--every', type=positive, default=1, metavar='N', help='label every N-th '
                        'picture; its neighbours in time only vote (default: 1)')
    parser.add_argument('--still', action='store_true', help='pictures are no frames of clips: '
                        'do not let neighbours vote')


def run(args: argparse.Namespace) -> int:
    """Label all pictures that are not labelled yet."""
    from demt_perception.training.config import Source
    from demt_perception.training.labelling.job import label_pictures
    from demt_perception.training.loading import open_source
    from demt_perception.training.teaching import Teacher

    teachers = [Teacher(path) for path in args.teachers]
    config = teachers[0].config
    dataset = open_source(Source(root=args.data, layout=args.layout, split=args.split), config,
                          ('semseg',))
    done = label_pictures(dataset, teachers, args.out, tuple(args.size or config.size),
                          least=args.least, scales=tuple(args.scales), temporal=not args.still,
                          every=args.every)
    print(f'{done.pictures} labelled pictures: {args.out}')
    if done.kept:
        print('pixels that keep their label: ' + ', '.join(
            f'{task} {share:.0%}' for task, share in done.kept.items()))
    few = [task for task, share in done.kept.items() if share < FEW]
    if few:
        print(f'demt label: of {", ".join(few)} less than {FEW:.0%} of the pixels are labelled: '
              + ('the teachers are unsure of these pictures; try a smaller --least' if args.still
                 else 'the frames before and after contradict them, or the teachers are unsure; '
                 'where pictures are no frames of clips give --still, and another --out'),
              file=sys.stderr)
    return 0
