"""Print the SROS2 policy of the node, a camera, the page and an operator; see docs/security.md."""

import argparse
import re
import sys

NAME = '[A-Za-z_][A-Za-z0-9_]*'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt policy``."""
    parser.add_argument('--cameras', nargs='+', default=[], metavar='NAME', type=_camera,
                        help='as the parameter cameras of the node (default: one without a name)')
    parser.add_argument('--remap', action='append', default=[], metavar='FROM:=TO', type=_remap,
                        help="as of the node, for image or CAMERA/image: where its camera's "
                        'images are; and for camera_info, which is beside them otherwise')
    parser.add_argument('--compressed', action='store_true',
                        help='the node has image_transport:=compressed')
    parser.add_argument('--node', default='demt_perception', metavar='NAME', type=_camera,
                        help='name of the node (default: demt_perception)')
    parser.add_argument('--namespace', default='/', type=_namespace,
                        help='namespace of the node (default: /)')
    parser.add_argument('--sim-time', action='store_true',
                        help='the node has use_sim_time:=true, and hears /clock')


def run(args: argparse.Namespace) -> int:
    """Print the policy; return the exit code."""
    from demt_perception.ros.policy import enclaves, policy

    try:
        granted = enclaves(args.cameras, args.node, args.namespace, dict(args.remap),
                           args.compressed, args.sim_time)
    except ValueError as error:
        print(f'demt policy: --remap {error}', file=sys.stderr)
        return 2
    print(policy(granted), end='')
    return 0


def _camera(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(f'{text!r}: want letters, digits and underscores')
    return text


def _namespace(text: str) -> str:
    if not re.fullmatch(f'/|(/{NAME})+', text):
        raise argparse.ArgumentTypeError(f'{text!r}: want / or, say, /robot/head')
    return text


def _remap(text: str) -> tuple[str, str]:
    match = re.fullmatch(f'((?:{NAME}/)?(?:image|camera_info)):=(/?{NAME}(?:/{NAME})*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r}: want, say, image:=/camera/image_raw or front/image:=/front/image_raw')
    return match[1], match[2]
