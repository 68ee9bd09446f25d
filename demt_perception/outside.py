"""Reading files that somebody else wrote: never more than is good for this machine.

YAML is worse than it looks: a few hundred bytes of anchors and aliases stand for gigabytes, which
come to light where a value is copied, compared or put into an error text.
"""

import json
from pathlib import Path
import stat
from typing import Any

import yaml

MOST_YAML = 2 * 2**20
"""Bytes of a YAML file, and what it holds with every alias written out. Real ones: a card has
5 kB, the metadata of a bag of a thousand files 200 kB."""

MOST_JSON = 64 * 2**20
"""Bytes of a JSON file. Real ones: measurements of many engines have 100 kB."""
_PART = 1 << 20
_LONGEST_NUMBER = 1000   # YAML 1.1 counts in sixties: 1:30:00, and takes ever longer for it


def read_file(path: str | Path, most: int) -> bytes:
    """Return the content of a file.

    Args:
        path: of a plain file: no pipe or device, which could block or never end.
        most: bytes that it may have.

    Raises:
        OSError: it is missing, no plain file, or larger.
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f'{path} is no plain file, want one')
    size = found.st_size
    if size <= most:
        with open(path, 'rb') as file:
            content = file.read(size + 1)
            # Files that the kernel makes say that they are empty.
            while len(content) <= most and (more := file.read(_PART)):
                content += more
        size = len(content)
    if size > most:
        raise OSError(f'{path} has {size} bytes, want at most {most}: is it the right file?')
    return content


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it is not JSON, or nests too deep.
    """
    try:
        return json.loads(read_file(path, MOST_JSON))
    except RecursionError as error:
        raise ValueError(f'not JSON: {error}') from error


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: see ``parse_yaml``.
    """
    return parse_yaml(read_file(path, MOST_YAML))


def parse_yaml(text: str | bytes) -> Any:
    """Return plain values: texts, numbers, lists, mappings, dates.

    Raises:
        ValueError: it is not YAML, nests too deep, contains itself, or its aliases multiply.
    """
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # PyYAML lets anything escape, e.g. AttributeError for bad dates
        raise ValueError(f'not YAML: {str(error) or type(error).__name__}') from error


class _Loader(yaml.SafeLoader):
    def get_single_node(self) -> Any:
        # Of the nodes, before any value is made of them: `<<` multiplies while it is made.
        node = super().get_single_node()
        if node is not None and _length(node, {}) > MOST_YAML:
            raise ValueError(f'its aliases stand for over {MOST_YAML} bytes: write them out')
        return node


def _length(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the length of a node with every alias written out.

    Raises:
        ValueError: it contains itself.
    """
    if id(node) not in known:
        known[id(node)] = -1   # at work on it
        length = 1
        if isinstance(node, yaml.ScalarNode):
            length += len(node.value)
            if node.tag == 'tag:yaml.org,2002:int' and length > _LONGEST_NUMBER:
                raise ValueError(f'a whole number of {len(node.value)} characters')
        else:
            for part in node.value:
                length += sum(_length(inner, known)
                              for inner in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = length
    if known[id(node)] < 0:
        raise ValueError('a value contains itself: write it out')
    return known[id(node)]
