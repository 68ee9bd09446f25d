"""Parameters that are numbers: 0 and 10 are as good as 0.0 and 10.0, as people type them."""

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node


def declare_number(node: Node, name: str, default: float, lowest: float, highest: float,
                   descriptor: ParameterDescriptor) -> float:
    """Declare a parameter that takes whole and decimal numbers; return its value.

    rclpy alone ends a node with a traceback where ``-p max_age:=0`` stands for 0.0.

    Raises:
        InvalidParameterValueException: the value is no number, or out of range.
    """
    descriptor.dynamic_typing = True
    descriptor.floating_point_range = [
        FloatingPointRange(from_value=lowest, to_value=highest)]
    value = node.declare_parameter(name, default, descriptor).value
    trouble = number_trouble(name, value, lowest, highest)
    if trouble:
        raise InvalidParameterValueException(name, value, trouble)
    return float(value)


def number_trouble(name: str, value: Any, lowest: float, highest: float) -> str:
    """Return why a value cannot be taken, or ''."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (
            lowest <= value <= highest):
        return f'{name} is {value!r}, want a number from {lowest:g} to {highest:g}'
    return ''
