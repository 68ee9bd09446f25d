"""Run camera and perception node over DDS for some seconds; write video, pictures and a table."""

import argparse
import json
from pathlib import Path
import sys
import time

_ROOT = Path(__file__).resolve().parents[2]
# What `make demo` fetches, and what ships with the package for where it cannot.
_REAL_CLIP = _ROOT / '.cache' / 'clips' / 'udacity_challenge.mp4'
_OWN_CLIP = Path(__file__).resolve().parents[1] / 'synthetic' / 'assets' / 'street_clip.mp4'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt demo``."""
    parser.add_argument('--source', default='', help='video file, folder of images, device '
                        'index, rosbag2 folder or .mcap file (default: a driving clip)')
    parser.add_argument('--camera-info', default='', help='calibration YAML of the source')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='length of the measurement (default: 20)')
    parser.add_argument('--out', type=Path, default=Path('out/demo'),
                        help='folder for the results (default: out/demo)')
    parser.add_argument('--model', default='', help='model name or folder')
    parser.add_argument('--engine', default='', help='auto, openvino or onnxruntime')
    parser.add_argument('--no-pictures', dest='pictures', action='store_false',
                        help='only measure: no video, no sheet, no second listener to the camera')
    parser.add_argument('--dense', action='store_true',
                        help='subscribe to `dense` too, which repeats all outputs in one message')


def run(args: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    from demt_perception.inference import DEFAULT_MODEL, find_model
    from demt_perception.ros.demo.report import make_table
    from demt_perception.ros.demo.run import Options, run_demo

    if not args.seconds > 0:
        print(f'demt demo: --seconds is {args.seconds:g}, want more than 0', file=sys.stderr)
        return 2
    began = time.monotonic()
    source, camera_info, playing = _choose(args.source, args.camera_info)
    model = str(find_model(args.model or DEFAULT_MODEL))
    args.out.mkdir(parents=True, exist_ok=True)
    print(f'playing {playing}', flush=True)
    result = run_demo(Options(source, camera_info, args.seconds, args.out, model,
                              args.engine, args.pictures, args.dense))
    table = make_table(result, playing)
    (args.out / 'table.txt').write_text(table)
    (args.out / 'report.json').write_text(
        json.dumps({'playing': playing, **result}, indent=2) + '\n')
    print(f'\n{table}\nin {time.monotonic() - began:.0f} s, written to {args.out}: '
          + ', '.join(sorted(path.name for path in args.out.iterdir() if path.is_file())))
    return 0


def _choose(source: str, camera_info: str) -> tuple[str, str, str]:
    """Return source, calibration and what to say of it.

    Raises:
        FileNotFoundError: no source is given, and no clip is there.
    """
    from demt_perception.share import share_file
    if source:
        return source, camera_info, source
    if _REAL_CLIP.is_file():
        return (str(_REAL_CLIP), str(share_file('config/udacity_camera.yaml')),
                f'{_REAL_CLIP.name}: a real driving video (Udacity, MIT licence)')
    if _OWN_CLIP.is_file():
        return str(_OWN_CLIP), '', f'{_OWN_CLIP.name}: generated scenes, not a real street'
    raise FileNotFoundError('no clip is there: give --source, or run `make demo` online once')
