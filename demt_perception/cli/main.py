"""The entry of ``demt``: finds the verb, runs it, and turns errors into one readable line.

Each verb is a module of this package with ``add_arguments(parser)`` and ``run(args) -> int``;
only the chosen one is imported, so that no verb needs what another one needs. ``PARSE`` may name
another method of ``ArgumentParser`` than ``parse_args``.
"""

import argparse
from collections.abc import Sequence
import importlib
import os
import sys
import time

from demt_perception import __version__
from demt_perception.child import guard_multiprocessing
from demt_perception.extras import installing

VERBS = (
    ('predict', 'predict on images: classes, depth, normals, boundaries and a sheet'),
    ('models', 'list the models found, with their figures and licences'),
    ('doctor', 'say what is installed, what works, and what to do about the rest'),
    ('build', 'build an engine into the cache, compare it with onnxruntime, time it'),
    ('quantize', 'make a model in int8, calibrated on pictures'),
    ('bag', 'process recordings of ROS 2 and ROS 1 without ROS; write new ones'),
    ('play', 'play a recording over DDS with /clock, where there is no `ros2 bag`'),
    ('demo', 'run camera and perception nodes on a clip; write video, sheet and table'),
    ('view', 'show a running node live in the browser: pictures, values, rates, health'),
    ('policy', "print the SROS2 policy of the nodes' topics and services"),
    ('bench', 'measure engines, or the node from camera to topic: latency, rate, memory'),
    ('generate', 'render street scenes with exact labels'),
    ('data', 'check a dataset for training, file by file; pack it small'),
    ('train', 'train a network'),
    ('label', 'label pictures by trained networks, for others to learn from'),
    ('eval', 'measure a model on labelled data'),
    ('calibrate', "fit a model's confidence and uncertainty to labelled pictures"),
    ('self-check', 'say when a video or pictures cannot be trusted; learn what is usual'),
    ('calibrate-depth', "fix the scale of a mounted camera's depth by a known distance"),
    ('analyze', 'study a dataset: how far its tasks agree'),
    ('export', 'write trained weights as a model folder'),
    ('import-checkpoint', 'make a model folder of official weights: DeMT, DeMTG, MTI-Net, ...'),
    ('import-backbone', 'convert pretrained weights of Swin, HRNet or ResNet for training'),
)

RENDERING = (
    f'python3.11 -m venv rendering && {installing("synthetic", "rendering/bin/pip")}: '
    'an environment of its own, for Blender wants NumPy 1')

TRAINING = (
    f'{installing("train")}; beside a ROS workspace in an environment of its own, for its OpenCV '
    'wants NumPy 2')

# What a missing module belongs to, for the advice. Verbs that know better say it themselves.
INSTALL = {
    'cv2': "pip install opencv-python-headless (or your ROS distribution's python3-opencv)",
    'torch': TRAINING,
    'safetensors': TRAINING,
    'onnx': 'pip install onnx',
    'onnxscript': TRAINING,
    'bpy': RENDERING,
    'OpenEXR': RENDERING,
    'matplotlib': installing('plots'),
    'tqdm': 'pip install tqdm',
    'rclpy': 'source your ROS 2 setup, or see `demt doctor`',
}

PATIENCE = 5.0
"""Seconds that torchrun has to end a process."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code: 0 good, 1 failed, 2 wrong usage."""
    guard_multiprocessing()   # of Python 3.14 starts a process for a lock, such as that of tqdm
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    chosen = parser.parse_args(arguments[:1]).verb
    try:
        verb = importlib.import_module(f'demt_perception.cli.{chosen.replace("-", "_")}')
        parser = argparse.ArgumentParser(f'demt {chosen}', description=verb.__doc__)
        verb.add_arguments(parser)
        parse = getattr(verb, 'PARSE', argparse.ArgumentParser.parse_args)
        code: int = verb.run(parse(parser, arguments[1:]))
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, e.g. `head`, has gone. Keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ImportError as error:
        _let_the_first_speak()
        name = (error.name or '').partition('.')[0]
        # Only Python's own say which module; ours say the remedy themselves.
        advice = f': {INSTALL.get(name, "see `demt doctor`")}' if name else ''
        print(f'demt {chosen}: {error}{advice}', file=sys.stderr)
        return 1
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        _let_the_first_speak()
        print(f'demt {chosen}: {error}', file=sys.stderr)
        return 1


def _let_the_first_speak() -> None:
    """Wait, in all but the first of the processes that torchrun started.

    When the first has said its error, torchrun ends the others, which mostly have the same one.
    Who is still there then has an error of its own.
    """
    if os.environ.get('RANK', '0') != '0':
        time.sleep(PATIENCE)


def _is_for_the_user(error: Exception) -> bool:
    """Tell our own errors and those of the file system from bugs, whose traceback is wanted."""
    return isinstance(error, OSError) or type(error).__module__.startswith('demt_perception.')


def _parser() -> argparse.ArgumentParser:
    width = max(len(name) for name, _ in VERBS)
    parser = argparse.ArgumentParser(
        'demt', description='One camera to semantic classes, metric depth, surface normals and '
        'boundaries, in real time.', formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='verbs:\n' + '\n'.join(f'  {name:{width}}  {text}' for name, text in VERBS)
        + '\n\n`demt <verb> --help` tells more.')
    parser.add_argument('--version', action='version', version=f'demt_perception {__version__}')
    parser.add_argument('verb', choices=[name for name, _ in VERBS], metavar='verb',
                        help='what to do: see below')
    return parser


if __name__ == '__main__':
    sys.exit(main())
