"""What is known of the camera: arguments that verbs share, called as the node's parameters are."""

import argparse

from demt_perception.ros.camera_values import DEPTH_SCALES, RECTIFIED


def add_depth_scale(parser: argparse.ArgumentParser, of: str = '') -> None:
    """Declare the factor of depth; ``of``: of which images, as the help says it."""
    parser.add_argument('--depth-scale', type=depth_scale, default=1.0, metavar='FACTOR',
                        help=f"depth{of} is multiplied by it, as by the node's parameter "
                        'depth_scale: demt calibrate-depth finds it (default: 1)')


def add_rectified(parser: argparse.ArgumentParser, of: str) -> None:
    """Declare whether images are rectified; ``of``: which images, as the help says it."""
    parser.add_argument('--rectified', choices=RECTIFIED, default='auto',
                        help=f'whether the images{of} are rectified, so that P of camera_info '
                        "holds, and not K and D, as the node's parameter says it; auto (default): "
                        'by the name of their topic')


def depth_scale(text: str) -> float:
    """Return a factor of depth.

    Raises:
        argparse.ArgumentTypeError: it is none that the node takes.
    """
    lowest, highest = DEPTH_SCALES
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not lowest <= factor <= highest:
        raise argparse.ArgumentTypeError(
            f'{text!r}: want a number of {lowest:g} to {highest:g}')
    return factor
