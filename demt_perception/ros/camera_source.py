"""Publishes a camera, a stream, a video, a folder of images or a bag: the entry of the node.

See ``camera_node.py`` for what it does. Here is only what has to be done before that is imported.
"""

import os
import sys

from demt_perception.ros.ending import note_signals
from demt_perception.ros.transport import choose_transport


def main(args: list[str] | None = None) -> int:
    """Run the node until its source ends or it is stopped; return the exit code."""
    reasons = note_signals()
    choose_transport(os.environ)
    # Importing rclpy takes a second, in which a signal may come.
    from demt_perception.ros.camera_node import run

    return run(args, reasons)


if __name__ == '__main__':
    sys.exit(main())
