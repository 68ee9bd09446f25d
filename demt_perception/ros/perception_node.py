"""The entry of the perception node, which is in ``managed_node.py``, run by ``node_process.py``.

Here is only what has to be done before that is imported.
"""

import os
import sys

from demt_perception.ros.ending import note_signals


def main(args: list[str] | None = None) -> int:
    """Run the node until it is stopped; return the exit code."""
    reasons = note_signals()
    # NumPy, as it is imported, would ask for huge pages below large arrays. The heap keeps what
    # was asked for when they are gone, and the kernel then makes 2 MB of any page that is left
    # there: a node that loads models for days would hold ever more of them.
    os.environ.setdefault('NUMPY_MADVISE_HUGEPAGE', '0')
    # Importing rclpy and OpenCV takes seconds, in which a signal may come.
    from demt_perception.inference.memory import share_one_arena
    from demt_perception.ros.transport import choose_transport

    if 'MALLOC_ARENA_MAX' not in os.environ:
        share_one_arena()
    choose_transport(os.environ)
    from demt_perception.ros.node_process import run

    return run(args, reasons)


if __name__ == '__main__':
    sys.exit(main())
