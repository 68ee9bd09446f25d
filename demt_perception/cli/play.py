"""Play a recording over DDS with /clock: for machines without `ros2 bag play`.

Takes rosbag2 folders and files (sqlite3, MCAP, compressed or not) and ROS 1 bags. Nodes follow the
recording's time with use_sim_time.
"""

import argparse
import math
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt play``."""
    parser.add_argument('bag', type=Path, help='rosbag2 folder, .mcap, .db3 or .bag file')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='topics to play (default: all whose message types are installed)')
    parser.add_argument('--rate', type=_rate, default=1.0, help='times as fast (default: 1)')
    parser.add_argument('--loop', action='store_true', help='again and again')
    parser.add_argument('--start', type=_start, default=0.0, metavar='SECONDS',
                        help='pass over the first seconds (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Play until the end, or until it is stopped."""
    from demt_perception.ros.transport import choose_transport

    choose_transport(os.environ)
    from demt_perception.ros.player import play

    count = play(args.bag, args.topics, args.rate, args.loop, args.start,
                 lambda line: print(line, flush=True))
    print(f'{count} messages played')
    return 0 if count else 1


def _rate(text: str) -> float:
    return _number(text, 0.001, 1000.0)


def _start(text: str) -> float:
    return _number(text, 0.0, math.inf)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f'{text!r}: want a number of {least:g} to {most:g}')
    return value
