"""The process of the perception node, from the first memory that it takes to its exit code."""

import faulthandler
import os
from queue import SimpleQueue
import traceback
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.signals import SignalHandlerOptions

from demt_perception.inference.memory import keep_freed_memory
from demt_perception.ros import stall
from demt_perception.ros.ending import end_at_once, HUNG, spin_until
from demt_perception.ros.engine_care import HungError
from demt_perception.ros.leftovers import remove_leftovers
from demt_perception.ros.managed_node import PerceptionNode


def run(args: list[str] | None, reasons: 'SimpleQueue[Any]') -> int:
    """Run the node until a signal comes; return the exit code.

    Args:
        args: of the command line; None: the process's.
        reasons: where the numbers of signals arrive, see ``ending.note_signals``.
    """
    if not any(name.startswith('MALLOC_') for name in os.environ):   # as our launch files do
        keep_freed_memory()
    freed = remove_leftovers()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = PerceptionNode()
    if freed:
        node.get_logger().warning(f'{freed / 1e6:.0f} MB of shared memory freed, which DDS '
                                  'processes left behind that were killed')
    stall.arm()
    node.create_timer(stall.SECONDS / 10, stall.arm, clock=Clock(clock_type=ClockType.STEADY_TIME))
    reason, ended = spin_until(node, reasons, node.outlive)
    stall.arm()   # once more: ending may hang, too
    if isinstance(reason, HungError):
        node.get_logger().fatal(f'{reason}: the process ends with exit code {HUNG}, to be started '
                                'anew')
        faulthandler.dump_traceback()
        end_at_once(HUNG)
    if ended:
        node.close()
    if not ended or node.is_loading():
        # A compiler at work in another thread does not survive that its libraries are taken apart
        # with the process, and it may take minutes to end.
        if isinstance(reason, Exception):
            traceback.print_exception(reason)
        end_at_once(1 if isinstance(reason, Exception) else 0)
    node.destroy_node()
    rclpy.try_shutdown()
    if isinstance(reason, Exception):
        raise reason
    return 0
