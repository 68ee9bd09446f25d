"""Build an engine now, so that the node starts at once: compile, compare, keep in the cache.

The node takes what is built with the same engine, precision, threads and input size as its
parameters say. Figures tell how far the engine is from onnxruntime in f32 on real pictures; the
exit code is 1 where one is outside its limit.
"""

import argparse
import sys
import time

from demt_perception.cli.engine_choice import add_engine
from demt_perception.cli.input_size import add_input_size

PICTURES, RUNS = 8, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt build``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('model', nargs='?', help='model name or folder (default: the shipped one)')
    add_engine(parser)
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0 chooses')
    add_input_size(parser)
    parser.add_argument('--images', metavar='PATH', help='compare on pictures of this folder, '
                        'video or bag, and build anew for it (default: pictures that are shipped)')


def run(args: argparse.Namespace) -> int:
    """Build, compare, and print the figures; return 1 where one is outside its limit."""
    from demt_perception.cli.sampling import sample
    from demt_perception.inference import DEFAULT_MODEL, Predictor
    from demt_perception.inference.engines.building import Build
    from demt_perception.inference.parity import Check

    begin = time.monotonic()

    def say(line: str) -> None:
        print(f'[{time.monotonic() - begin:5.1f} s] {line}', file=sys.stderr, flush=True)

    pictures = tuple(sample(args.images, PICTURES)) if args.images else ()
    size, fit = args.input_size
    if fit and not pictures:
        print('demt build: --input-size auto takes the shape of --images: give them, or '
              'HEIGHTxWIDTH', file=sys.stderr)
        return 2
    build = Build(Check(pictures=pictures), say, fresh=bool(pictures))
    predictor = Predictor(args.model or DEFAULT_MODEL, args.engine, args.threads, size,
                          pictures[0].shape[:2] if fit else None, args.precision, build)
    engine = predictor.engine
    seconds = time.monotonic() - begin
    height, width = predictor.input_size
    print(f'{predictor.card.name} at {width}x{height} on {engine.name}, {engine.device}, '
          f'{engine.precision} ({engine.reason}), ready in {seconds:.1f} s')
    against, figures = predictor.parity(build)
    for figure in figures:
        limit = 'at least' if figure.measure.at_least else 'at most'
        print(f'  {figure}, limit {limit} {figure.measure.number.format(figure.limit)}'
              + ('' if figure.good else ': OUTSIDE'))
    print(f'  against {against}, on {len(pictures) or "the shipped"} pictures; '
          f'{1e3 * predictor.time(RUNS):.1f} ms a frame')
    return 0 if all(figure.good for figure in figures) else 1
