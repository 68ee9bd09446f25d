"""The node's parameters: declared with description and range, read into one dataclass."""

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node

from demt_perception.inference import DEFAULT_MODEL, ENGINES
from demt_perception.ros.number_parameter import declare_number, number_trouble

TRANSPORTS = ('raw', 'compressed')
NUMBERS = {'output_scale': (0.01, 4.0), 'max_age': (0.0, 1e9), 'no_frame_timeout': (0.1, 3600.0),
           'diagnostics_period': (0.05, 3600.0)}
# Fixed for the life of the process; every other parameter is taken over by `configure`.
_FIXED = ('autostart', 'diagnostics_period')


@dataclass(frozen=True)
class Settings:
    """Values taken over when the node is configured; ``config/perception.yaml`` explains them."""

    model: str
    engine: str
    threads: int
    input_size: tuple[int, int] | None
    image_transport: str
    output_scale: float
    max_age: float
    no_frame_timeout: float


def declare_parameters(node: Node) -> None:
    """Declare every parameter of the node."""
    def declare(name: str, default: Any, description: str, **more: Any) -> None:
        fixed = name in _FIXED
        if not fixed:
            description += '; taken over by configure'
        descriptor = ParameterDescriptor(description=description, read_only=fixed, **more)
        if name in NUMBERS:
            declare_number(node, name, default, *NUMBERS[name], descriptor)
        else:
            node.declare_parameter(name, default, descriptor)

    declare('autostart', True, 'configure and activate without being asked')
    declare('model', DEFAULT_MODEL, 'name of an installed model, or a model folder')
    declare('engine', 'auto', f'auto, or one of {", ".join(ENGINES)}')
    declare('threads', 0, 'CPU threads of the engine; 0 = chosen by the node',
            integer_range=[IntegerRange(from_value=0, to_value=1024, step=1)])
    declare('input_size', [0, 0], 'height and width that images are resized to for the network; '
            "[0, 0] = the model card's")
    declare('image_transport', 'raw', 'raw: Image on image; compressed: CompressedImage on '
            'image/compressed')
    declare('output_scale', 1.0, 'size of the outputs relative to the image')
    declare('max_age', 0.5, 'seconds; older frames are dropped; 0 = no limit')
    declare('no_frame_timeout', 5.0, 'seconds without a frame after which the node says why')
    declare('diagnostics_period', 1.0, 'seconds between reports on /diagnostics')


def read_settings(node: Node) -> Settings:
    """Return the present values.

    Raises:
        ValueError: a value is not valid; the text says what is wanted.
    """
    def get(name: str) -> Any:
        return node.get_parameter(name).value

    size = tuple(get('input_size'))
    if len(size) != 2 or min(size) < 0:
        raise ValueError(f'input_size is {list(size)}, want [height, width], or [0, 0] for the '
                         "model card's")
    if get('image_transport') not in TRANSPORTS:
        raise ValueError(f'image_transport is {get("image_transport")!r}, want one of '
                         f'{", ".join(TRANSPORTS)}')
    return Settings(
        get('model'), get('engine'), get('threads'), size if any(size) else None,
        get('image_transport'), float(get('output_scale')), float(get('max_age')),
        float(get('no_frame_timeout')))


def value_trouble(name: str, value: Any) -> str:
    """Return why a new value of a number parameter cannot be taken, or ''."""
    return number_trouble(name, value, *NUMBERS[name]) if name in NUMBERS else ''
