"""What a ROS parameter file holds for a node, read without rclpy."""

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

from demt_perception.outside import read_yaml

_PARAMETERS = 'ros__parameters'


def node_parameters(path: str | Path, node: str) -> dict[str, Any]:
    """Return the parameters that a file has for a node, as rcl finds them: the last entry wins.

    Args:
        path: of a YAML file.
        node: its full name, ``/robot/demt_perception``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or not of nodes and their parameters.
    """
    document = read_yaml(path)
    if document is None:   # empty, which rcl takes
        return {}
    if not isinstance(document, dict):
        raise ValueError(f'no parameter file: it holds {type(document).__name__}, want nodes with '
                         f'{_PARAMETERS} below them')
    found: dict[str, Any] = {}
    for name, values in _entries(document, ''):
        if isinstance(values, dict) and re.fullmatch(_pattern(name), node):
            found |= values
    return found


def _entries(document: dict, place: str) -> Iterator[tuple[str, Any]]:
    """Yield names of nodes and what is said of them; namespaces may be written as levels."""
    for key, value in document.items():
        if key == _PARAMETERS:
            yield place, value
        elif isinstance(value, dict):
            yield from _entries(value, f'{place}/{key}')


def _pattern(name: str) -> str:
    """Return the expression for a name whose ``*`` is one part, and ``**`` any number of them."""
    parts = {'*': '/[^/]+', '**': '(/[^/]+)*'}
    return ''.join(parts.get(part, f'/{re.escape(part)}')
                   for part in name.split('/') if part)
