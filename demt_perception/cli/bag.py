"""Process every image of rosbag2 or ROS 1 bags as the node would, and write new bags.

No ROS is needed. Reads folders and files of rosbag2 (sqlite3, MCAP, compressed or not) and ROS 1
bags. Writes a rosbag2 folder with one MCAP file: the node's topics, with the stamps and frame ids
of the images. The same command continues what was interrupted.
"""

import argparse
from pathlib import Path
import sys

from demt_perception.cli.camera_options import add_depth_scale, add_rectified
from demt_perception.cli.engine_choice import add_engine
from demt_perception.cli.input_size import add_input_size
from demt_perception.cli.spreading import add_spreading, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt bag``."""
    parser.add_argument('bags', nargs='+', type=Path, metavar='IN', help='rosbag2 folder, .mcap, '
                        '.db3 or .bag file')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write; of several bags, '
                        'each has a folder of its name in it')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC', help='image topics '
                        '(default: those of all cameras in the bag)')
    parser.add_argument('--outputs', nargs='+', default=[], metavar='TOPIC', help="the node's "
                        'topics to write, such as semantic or depth/image (default: all but '
                        'points and what is below it; dense is never written)')
    parser.add_argument('--every', type=positive, default=1, metavar='N',
                        help='process every N-th image of each camera (default: 1)')
    parser.add_argument('--model', default='', help='model name or folder (default: the shipped '
                        'one)')
    add_engine(parser)
    parser.add_argument('--threads', type=int, default=0, help='CPU threads of the engine; 0 '
                        'chooses')
    add_input_size(parser)
    parser.add_argument('--output-scale', type=_scale, default=1.0, metavar='SCALE',
                        help='size of the outputs relative to the image (default: 1)')
    add_depth_scale(parser, ' of all topics')
    add_rectified(parser, ' of all topics')
    parser.add_argument('--compression', choices=('lz4', 'zstd', 'none'), default='lz4',
                        help='of the new bag (default: lz4)')
    add_spreading(parser)


def run(args: argparse.Namespace) -> int:
    """Process all bags; return 1 where one or more could not be processed whole."""
    from functools import partial

    from demt_perception.inference import DEFAULT_MODEL
    from demt_perception.ros.offline.jobs import Job, run_job
    from demt_perception.ros.offline.processing import Options
    from demt_perception.training.spread import spread

    outs = [args.out] if len(args.bags) == 1 else [args.out / bag.stem for bag in args.bags]
    if len(set(outs)) < len(outs):
        print('demt bag: two bags have the same name: process them one by one', file=sys.stderr)
        return 2
    size, fit = args.input_size
    options = Options(
        args.model or DEFAULT_MODEL,
        {'engine': args.engine, 'threads': args.threads, 'precision': args.precision,
         'input_size': size}, fit, args.every, tuple(args.topics), tuple(args.outputs),
        args.output_scale, args.compression, args.depth_scale, args.rectified)
    jobs = [Job(bag, out, options) for bag, out in zip(args.bags, outs, strict=True)]
    alone = args.ray is None and args.processes == 1
    good = True
    for outcome in spread(partial(run_job, show=alone), jobs, args.processes, args.ray):
        print(outcome.text, file=sys.stdout if outcome.good else sys.stderr, flush=True)
        good = good and outcome.good
    return 0 if good else 1


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0.01 <= scale <= 4:
        raise argparse.ArgumentTypeError(f'{text!r}: want a number of 0.01 to 4')
    return scale
