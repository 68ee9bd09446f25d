"""Look after training data: `demt data check DIR` judges its files, `demt data time` its speed.

`demt data pack DIR` writes it anew, small and quick to read; `demt data ground DIR` with depth on
the ground of its photographs, `demt data motion DIR` with the depth that a drive tells.
"""

import argparse
import sys

from demt_perception.cli.spreading import positive

PROTOCOLS = ('demt', 'mtl_nyud', 'mtl_pascal', 'driving')
LAYOUT_NAMES = ('nyud', 'pascal', 'camvid', 'rendered', 'rendered_cityscapes', 'video',
                'folder')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt data``."""
    verbs = parser.add_subparsers(dest='action', required=True, metavar='action')
    check = verbs.add_parser(
        'check', help='open every file and report every problem',
        description='Open every picture and label of a dataset and report each problem with '
        'file and reason, then what the dataset holds. The exit code is 1 where a problem is '
        'found.')
    check.add_argument('folder', help='the dataset')
    check.add_argument('--layout', choices=LAYOUT_NAMES,
                       help='how the folder is laid out (default: found out)')
    speed = verbs.add_parser(
        'time', help='measure how fast one core loads it',
        description='Load and augment pictures with their labels as training does, and print '
        'pictures a second of one core and what takes the time.')
    _dataset(speed)
    speed.add_argument('--protocol', choices=PROTOCOLS, default='mtl_nyud',
                       help='transforms and labels as training does them (default: mtl_nyud)')
    speed.add_argument('--size', nargs=2, type=int, default=(480, 640), metavar=('H', 'W'),
                       help='of the network input (default: 480 640)')
    speed.add_argument('--tasks', nargs='+', default=('semseg', 'depth', 'normals', 'edge'),
                       help='labels (default: semseg depth normals edge)')
    small = verbs.add_parser(
        'pack', help='write it anew, small and quick to read',
        description='Write pictures and labels at training size into the plain folder layout: '
        'JPEG, ids as PNG, depth in steps of 5 mm and normals of 8 bits at half the size. Frames '
        'of video become pictures. The same command continues.')
    _dataset(small, 'the dataset, or a video file beside its video.yaml')
    small.add_argument('--out', required=True, help='folder to write')
    small.add_argument('--size', nargs=2, type=positive, required=True, metavar=('H', 'W'),
                       help='of the pictures')
    small.add_argument('--every', type=positive, default=1, metavar='N',
                       help='take every N-th picture (default: 1)')
    small.add_argument('--quality', type=_quality, default=90,
                       help='of JPEG, up to 100 (default: 90)')
    ground = verbs.add_parser(
        'ground', help='give photographs that have classes depth on the ground',
        description='Write pictures and labels into the plain folder layout, with depth where '
        'the labelled classes say ground: of the plane that fits what a model sees there. The '
        'anchor for `standing` in training. The same command continues.')
    _dataset(ground)
    ground.add_argument('--out', required=True, help='folder to write')
    ground.add_argument('--model', help='model folder or name (default: the shipped one)')
    ground.add_argument('--engine', default='auto', help='default: auto')
    ground.add_argument('--hfov', type=_angle, default=60.0, metavar='DEGREES',
                        help='field of view of pictures whose focal length is not known '
                        '(default: 60)')
    ground.add_argument('--classes', nargs='+', default=('road', 'pavement'), metavar='NAME',
                        help='that lie on the plane (default: road pavement)')
    ground.add_argument('--sky', default='sky', metavar='NAME',
                        help="class without end, '' for none (default: sky)")
    motion = verbs.add_parser(
        'motion', help='give the photographs of drives the depth that their motion tells',
        description='Write pictures and labels into the plain folder layout, with depth of the '
        'ground and of all that stands still, from nothing but how the camera went between '
        'pictures and how high it is: by its people and cars, or --camera-height. Pictures of one '
        'drive share their names up to the last underscore. The same command continues.')
    _dataset(motion)
    motion.add_argument('--out', required=True, help='folder to write')
    motion.add_argument('--hfov', type=_angle, default=60.0, metavar='DEGREES',
                        help='field of view of pictures whose focal length is not known '
                        '(default: 60)')
    motion.add_argument('--camera-height', type=_height, default=0.0, metavar='METRES',
                        help='above the ground (default: by the people and cars of each drive)')
    motion.add_argument('--classes', nargs='+', default=('road', 'pavement'), metavar='NAME',
                        help='that lie on the ground (default: road pavement)')
    motion.add_argument('--sky', default='sky', metavar='NAME',
                        help="class without end, '' for none (default: sky)")
    motion.add_argument('--moving', nargs='+', metavar='NAME',
                        help='classes that may move (default: car, pedestrian, bicyclist and the '
                        'like, where there are any)')


def run(args: argparse.Namespace) -> int:
    """Check a dataset; return 1 where a problem is found. Or time it, or write it anew."""
    return {'check': _check, 'time': _time, 'pack': _pack, 'ground': _ground,
            'motion': _motion}[args.action](args)


def _dataset(parser: argparse.ArgumentParser, what: str = 'the dataset') -> None:
    parser.add_argument('folder', help=what)
    parser.add_argument('--layout', choices=LAYOUT_NAMES, default='',
                        help='how the folder is laid out (default: found out)')
    parser.add_argument('--split', default='', help='e.g. train (default: all of them)')


def _angle(text: str) -> float:
    value = float(text)
    if not 0 < value < 180:
        raise argparse.ArgumentTypeError(f'{text}, want degrees between 0 and 180')
    return value


def _height(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 10:
        raise argparse.ArgumentTypeError(f'{text}, want metres from 0.1 to 10')
    return value


def _quality(text: str) -> int:
    if positive(text) > 100:
        raise argparse.ArgumentTypeError(f'{text}, want 1 to 100')
    return int(text)


def _ground(args: argparse.Namespace) -> int:
    from demt_perception.inference import DEFAULT_MODEL, Predictor
    from demt_perception.training.labelling.ground import label_ground

    predictor = Predictor(args.model or DEFAULT_MODEL, args.engine)
    count = label_ground(args.folder, args.out, predictor, args.layout, args.split, args.hfov,
                         tuple(args.classes), args.sky)
    print(f'{count} pictures with depth on the ground: {args.out}')
    return 0


def _motion(args: argparse.Namespace) -> int:
    from demt_perception.training.labelling.motion.drives import describe
    from demt_perception.training.labelling.motion.job import label_motion

    drives = label_motion(args.folder, args.out, args.layout, args.split, args.hfov,
                          args.camera_height, tuple(args.classes), args.sky,
                          tuple(args.moving) if args.moving else None)
    print('\n'.join(describe(drives)))
    print(f'{sum(len(drive.indices) for drive in drives.values())} pictures: {args.out}')
    return 0


def _pack(args: argparse.Namespace) -> int:
    from pathlib import Path

    from demt_perception.training.packing import pack

    count = pack(args.folder, args.out, tuple(args.size), args.layout, args.split,
                 args.every, args.quality)
    size = sum(path.stat().st_size for path in Path(args.out).rglob('*') if path.is_file())
    print(f'{count} pictures, {size / 1e6:.1f} MB: {args.out}')
    return 0


def _time(args: argparse.Namespace) -> int:
    from demt_perception.training.config import Source
    from demt_perception.training.throughput import time_loading

    seconds = time_loading(Source(root=args.folder, layout=args.layout, split=args.split),
                           args.tasks, args.protocol, tuple(args.size))
    total = sum(seconds.values())
    print(f'{1 / total:.1f} pictures a second on one core: {1e3 * total:.2f} ms each, of which '
          + ', '.join(f'{stage} {1e3 * value:.2f}' for stage, value in seconds.items()))
    return 0


def _check(args: argparse.Namespace) -> int:
    from pathlib import Path

    from demt_perception.training.datasets import detect_layout
    from demt_perception.training.datasets.check import check_dataset

    if not Path(args.folder).is_dir():
        raise FileNotFoundError(f'{args.folder} is not a folder')
    layout = args.layout or detect_layout(args.folder)
    problems, summaries = check_dataset(args.folder, layout, _show_progress)
    for path, reason in problems:
        print(f'{path}: {reason}')
    for split, summary in summaries.items():
        print(f'\n{layout}{f", {split}" if split else ""}: ' + '\n'.join(summary.lines()))
    print(f'\n{len(problems) or "no"} problem{"" if len(problems) == 1 else "s"}')
    return 1 if problems else 0


def _show_progress(done: int, total: int) -> None:
    """Keep one line of the terminal up to date; in a log it would be noise."""
    if sys.stderr.isatty():
        print(f'\r{done} of {total} pictures', end='\n' if done == total else '', file=sys.stderr,
              flush=True)
