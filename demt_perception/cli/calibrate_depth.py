"""Fix the scale of depth for a mounted camera, by known distances or its height over the ground.

  demt calibrate-depth front.jpg --point 640 410 7.35 --point 200 380 12.1
  demt calibrate-depth /data/drive --height 1.45 --frames 12
  demt calibrate-depth /front/image_raw --point 640 410 7.35

SOURCE is a picture, a folder of them, a video, a bag, a camera (index, stream), or an image topic
of running nodes. Distances are from the lens to the place in a straight line, as by a tape;
--region X Y WIDTH HEIGHT METRES takes the median of a surface. --height finds the ground by its
classes. The factor goes into the node's parameter depth_scale. Give the true focal length first
(camera_info or --fx): a wrong one is corrected as well, but then only for this size of picture.
"""

import argparse
import json
import math
import sys
from typing import Any, TYPE_CHECKING

from demt_perception.cli.camera_options import add_rectified
from demt_perception.cli.engine_choice import add_engine
from demt_perception.cli.input_size import add_input_size, size_options
from demt_perception.cli.shots import find_shots

if TYPE_CHECKING:
    from demt_perception.inference.depth_calibration import Scale
    from demt_perception.inference.point_cloud import Camera

# What people stand on, by the names of classes that models have.
GROUND = ('road', 'pavement', 'sidewalk', 'parking', 'floor', 'ground')
POINT = 7
"""Pixels a side of what is looked at around a point."""
BORDER = 3
"""Pixels at the border of the ground that are left out."""
LIKELY = (0.5, 2.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt calibrate-depth``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('source', help='a picture, a folder of them, a video, a bag, a camera '
                        '(index or stream), or an image topic of running nodes')
    known = parser.add_argument_group('what is known (points and regions together, or the height)')
    known.add_argument('--point', nargs=3, type=float, action='append', default=[],
                       metavar=('X', 'Y', 'METRES'),
                       help='the distance of the place at a pixel, in a straight line; can be '
                       'given several times')
    known.add_argument('--region', nargs=5, type=float, action='append', default=[],
                       metavar=('X', 'Y', 'WIDTH', 'HEIGHT', 'METRES'),
                       help='the median distance of a surface, in a rectangle of pixels; can be '
                       'given several times')
    known.add_argument('--height', type=float, metavar='METRES',
                       help='from the ground to the lens')
    parser.add_argument('--tape', type=float, default=0.01, metavar='SHARE',
                        help='relative error of what was measured (default: 0.01)')
    parser.add_argument('--frames', type=int, default=8, help='pictures to use (default: 8)')
    parser.add_argument('--fx', type=float, help='focal length in pixels of the picture (default: '
                        "from camera_info, else the card's field of view)")
    add_rectified(parser, ' of a bag or a topic')
    parser.add_argument('--model', help='model name or folder (default: the shipped one)')
    add_engine(parser)
    add_input_size(parser)
    parser.add_argument('--json', action='store_true', help='print one JSON object')


def run(args: argparse.Namespace) -> int:
    """Print the factor and how sure it is."""
    trouble = _trouble(args)
    if trouble:
        print(f'demt calibrate-depth: {trouble}', file=sys.stderr)
        return 2
    from demt_perception.inference import DEFAULT_MODEL, Predictor
    from demt_perception.inference.depth_calibration import camera_of

    shots = list(find_shots(args.source, args.frames, args.fx, args.rectified))
    predictor = Predictor(args.model or DEFAULT_MODEL, args.engine, precision=args.precision,
                          **size_options(args.input_size, lambda: shots[0].bgr.shape[:2]))
    scenes: list[tuple[Any, Camera]] = []
    for shot in shots:
        predictions = predictor.predict(shot.bgr, shot.focal)
        scenes.append((predictions, shot.camera or camera_of(
            shot.bgr.shape[:2], shot.focal, predictor.card.assumed_hfov)))
    scale = _by_distances(scenes, args) if args.height is None else _by_height(scenes, args)
    assumed = shots[0].focal is None
    if args.json:
        print(json.dumps({'depth_scale': round(scale.factor, 4), 'error': round(scale.error, 4),
                          'estimates': scale.count, 'pictures': len(shots),
                          'scatter': None if scale.count < 2 else round(scale.scatter, 4),
                          'focal_assumed': assumed, 'model': predictor.card.name}))
        return 0
    _print(scale, len(shots), assumed, predictor.card)
    return 0


def _trouble(args: argparse.Namespace) -> str:
    known = args.point or args.region
    if bool(known) == (args.height is not None):
        return 'give --point or --region with a distance, or --height: one of the two ways'
    rows = args.point + args.region
    if strange := [row for row in rows if not all(map(math.isfinite, row))]:
        return f'--point, --region {strange[0]}: want numbers that are finite'
    metres = [row[-1] for row in rows] + ([] if args.height is None else [args.height])
    if not all(0 < value < 1e4 for value in metres):
        return f'distances are {metres} m, want more than 0 and less than 10000'
    if any(min(row[:2]) < 0 or min(row[2:]) <= 0 for row in args.region):
        return '--region wants X Y WIDTH HEIGHT METRES, none negative'
    fits = args.fx is None or 0 < args.fx < math.inf
    if args.frames < 1 or not 0 <= args.tape < 1 or not fits:
        return (f'--frames {args.frames}, --tape {args.tape:g}, --fx {args.fx}: want at least 1, '
                '0 to 1, a number more than 0')
    return ''


def _by_distances(scenes: 'list[tuple[Any, Camera]]', args: argparse.Namespace) -> 'Scale':
    """Return the scale by distances, each seen in all pictures."""
    import numpy as np

    from demt_perception.inference.depth_calibration import combine, predicted_distance

    half = POINT // 2
    regions = [((int(x) - half, int(y) - half, POINT, POINT), metres)
               for x, y, metres in args.point]
    regions += [((int(x), int(y), int(w), int(h)), metres) for x, y, w, h, metres in args.region]
    factors, spreads = [], []
    for region, metres in regions:
        seen = [predicted_distance(predictions.depth, camera, region)
                for predictions, camera in scenes]
        distances = np.array([distance for distance, _ in seen])
        factors.append(metres / float(np.median(distances)))
        shake = float(np.std(distances) / np.mean(distances))
        spreads.append(math.hypot(shake, float(np.median([spread for _, spread in seen]))))
    # Between several places the factors themselves tell how sure they are.
    own = spreads[0] if len(factors) == 1 else 0.0
    return combine(factors, math.hypot(args.tape, own))


def _by_height(scenes: 'list[tuple[Any, Camera]]', args: argparse.Namespace) -> 'Scale':
    """Return the scale by the height over the ground, and by halves of it how sure that is."""
    import numpy as np

    from demt_perception.inference.depth_calibration import (
        CalibrationError,
        combine,
        halves,
        predicted_height,
        shrink_mask,
    )

    generator = np.random.default_rng(0)
    factors, parts, last = [], [], None
    for predictions, camera in scenes:
        names = predictions.card.classes or ()
        ids = [index for index, name in enumerate(names) if name in GROUND]
        if 'semseg' not in predictions.tasks or not ids:
            raise CalibrationError(f'model {predictions.card.name} knows no ground (want a class '
                                   f'of {", ".join(GROUND)}): give --point or --region')
        ground = shrink_mask(np.isin(predictions.semantic, ids), BORDER)
        try:
            own = predicted_height(predictions.depth, camera, ground, generator)
            factors.append(args.height / own)
            parts += [predicted_height(predictions.depth, camera, part, generator) / own
                      for part in halves(ground)]
        except CalibrationError as error:
            last = error
    if not factors:
        raise last or CalibrationError('no picture shows ground')
    # Near and far, left and right are wrong together in every picture: more of them do not help.
    bent = float(np.std(np.log(parts))) if parts else 0.0
    return combine(factors, math.hypot(args.tape, bent))


def _print(scale: 'Scale', pictures: int, assumed: bool, card: Any) -> None:
    print(f'depth_scale: {scale.factor:.3f}, give or take {scale.error * 100:.1f} % (standard '
          f'error; {scale.count} estimates of {pictures} pictures, {card.name})')
    if scale.count > 1:
        print(f'the estimates differ by {scale.scatter * 100:.1f} %')
    print('This is how sure the factor is for what was measured. Elsewhere in the picture depth '
          'keeps the errors of the model that no factor mends; points at several distances show '
          'how large they are here.')
    if assumed:
        print(f'no focal length: {card.assumed_hfov:g} degrees of horizontal view were assumed, '
              'as the node does without camera_info')
    if not LIKELY[0] <= scale.factor <= LIKELY[1]:
        print('such a factor is unusual: check the focal length (camera_info, --fx), and that the '
              'model suits the place')
    print(f'  ros2 param set /demt_perception depth_scale {scale.factor:.3f}\n'
          '  or in the parameter file; of a named camera, front.depth_scale')
