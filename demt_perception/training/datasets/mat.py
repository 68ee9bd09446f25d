"""MATLAB 5 files: numbers, texts, cells and structures, as in the labels of PASCAL.

Source: MathWorks, "MAT-File Format" (level 5). Shapes and nesting are those of
``scipy.io.loadmat``, which is not used for it because a damaged file ends the whole process there
(scipy 1.17, found by a property test).
"""

from collections.abc import Iterator
import math
import struct
from typing import Any, NamedTuple
import zlib

import numpy as np

NUMBERS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8',
           13: 'u8'}
TEXTS = {1: 'latin-1', 2: 'latin-1', 4: 'utf-16', 16: 'utf-8', 17: 'utf-16', 18: 'utf-32'}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, TEXT = 1, 2, 4
CLASSES = {6: 'f8', 7: 'f4', 8: 'i1', 9: 'u1', 10: 'i2', 11: 'u2', 12: 'i4', 13: 'u4', 14: 'i8',
           15: 'u8'}
COMPLEX, LOGICAL = 0x08, 0x02
HEADER, DEEPEST, MOST_BYTES = 128, 32, 2 ** 28


class _Element(NamedTuple):
    kind: int
    data: memoryview


class _Reader(NamedTuple):
    order: str   # '<' or '>'

    def elements(self, data: memoryview) -> Iterator[_Element]:
        """Yield the data elements that lie behind each other."""
        while data:
            if len(data) < 8:
                raise ValueError(f'{len(data)} bytes are left where an element begins')
            kind, size = struct.unpack(f'{self.order}II', data[:8])
            if kind >> 16:   # a small one: type, size and up to 4 bytes in 8
                kind, size = kind & 0xFFFF, kind >> 16
                if size > 4:
                    raise ValueError(f'a small element of {size} bytes, want at most 4')
                body, data = data[4:4 + size], data[8:]
            else:
                if size > len(data) - 8:
                    raise ValueError(f'an element of {size} bytes where {len(data) - 8} are left')
                padded = size if kind == COMPRESSED else -(-size // 8) * 8
                body, data = data[8:8 + size], data[8 + padded:]
            yield _Element(kind, body)

    def variable(self, data: memoryview, depth: int = 0) -> tuple[str, Any]:
        """Return name and content of a matrix element."""
        if depth > DEEPEST:
            raise ValueError(f'nested deeper than {DEEPEST}')
        if not data:
            return '', np.zeros((0, 0))
        parts = self.elements(data)
        flags = self._whole(_next(parts, 'flags'))
        shape = tuple(self._whole(_next(parts, 'dimensions')))
        name = bytes(_next(parts, 'a name').data).decode('latin-1')
        if not flags or not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise ValueError(f'variable {name!r} has {len(flags)} flags and the shape {shape}')
        kind, bits = flags[0] & 0xFF, flags[0] >> 8 & 0xFF
        if kind == CELL:
            return name, self._cells(parts, shape, depth)
        if kind == STRUCTURE:
            return name, self._structures(parts, shape, depth)
        if kind == TEXT:
            return name, self._text(_next(parts, 'text'), shape)
        if kind not in CLASSES or bits & COMPLEX:
            raise ValueError(f'variable {name!r} is of class {kind}, bits {bits:#x}: want real '
                             'numbers, text, cells or structures')
        values = self.numbers(_next(parts, 'numbers'))
        if len(values) != math.prod(shape):
            raise ValueError(f'variable {name!r} has {len(values)} numbers for the shape {shape}')
        with np.errstate(invalid='ignore'):
            values = values.astype('u1' if bits & LOGICAL else CLASSES[kind])
        return name, values.reshape(shape, order='F')

    def numbers(self, element: _Element) -> np.ndarray:
        """Return the numbers of an element, of the type that they are stored in."""
        if element.kind not in NUMBERS:
            raise ValueError(f'an element of type {element.kind} where numbers are wanted')
        kind = np.dtype(self.order + NUMBERS[element.kind])
        if len(element.data) % kind.itemsize:
            raise ValueError(f'{len(element.data)} bytes of numbers of {kind.itemsize}')
        return np.frombuffer(element.data, kind)

    def _whole(self, element: _Element) -> list[int]:
        numbers = self.numbers(element)
        if numbers.dtype.kind not in 'iu':
            raise ValueError(f'{numbers.dtype.name} where whole numbers are wanted')
        return [int(number) for number in numbers[:33]]

    def _text(self, element: _Element, shape: tuple[int, ...]) -> np.ndarray:
        if element.kind not in TEXTS:
            raise ValueError(f'an element of type {element.kind} where text is wanted')
        code = TEXTS[element.kind]
        if code in ('utf-16', 'utf-32'):
            code += '-le' if self.order == '<' else '-be'
        letters = bytes(element.data).decode(code)
        if not math.prod(shape):
            return np.array([], 'U1')
        if len(letters) != math.prod(shape) or len(shape) != 2:
            raise ValueError(f'{len(letters)} letters for the shape {shape}')
        rows = shape[0]   # stored by columns
        return np.array([letters[row::rows] for row in range(rows)])

    def _cells(self, parts: Iterator[_Element], shape: tuple[int, ...], depth: int) -> np.ndarray:
        out = np.empty(_count(shape), object)
        for index in range(len(out)):
            out[index] = self._inner(parts, depth)
        return out.reshape(shape, order='F')

    def _structures(self, parts: Iterator[_Element], shape: tuple[int, ...],
                    depth: int) -> np.ndarray:
        length = self._whole(_next(parts, 'the length of field names'))
        names = bytes(_next(parts, 'field names').data)
        if len(length) != 1 or not 0 < length[0] <= 64 or len(names) % length[0]:
            raise ValueError(f'{len(names)} bytes of field names of {length}')
        step = length[0]
        fields = [names[at:at + step].split(b'\0')[0].decode('latin-1')
                  for at in range(0, len(names), step)]
        if len(set(fields)) != len(fields) or '' in fields:
            raise ValueError(f'a structure with the fields {fields}')
        out = np.empty(_count(shape), [(field, object) for field in fields])
        for index in range(len(out)):
            for field in fields:
                out[index][field] = self._inner(parts, depth)
        return out.reshape(shape, order='F')

    def _inner(self, parts: Iterator[_Element], depth: int) -> Any:
        element = _next(parts, 'a cell')
        if element.kind != MATRIX:
            raise ValueError(f'an element of type {element.kind} where a cell is wanted')
        return self.variable(element.data, depth + 1)[1]


def parse_mat(data: bytes) -> dict[str, Any]:
    """Return the variables of a file by name.

    Numbers are arrays of two dimensions or more, texts arrays of strings, cells arrays of objects,
    structures arrays of records of objects.

    Raises:
        ValueError: the bytes are no such file, or a damaged one.
    """
    if len(data) < HEADER:
        raise ValueError(f'{len(data)} bytes, the header alone has {HEADER}')
    order = {b'IM': '<', b'MI': '>'}.get(data[126:128])
    if order is None:
        raise ValueError(f'no MATLAB 5 file: bytes 126 and 127 are {data[126:128]!r}')
    reader, out, room = _Reader(order), {}, MOST_BYTES
    for element in reader.elements(memoryview(data)[HEADER:]):
        if element.kind == COMPRESSED:
            element, length = _unpacked(reader, element.data, room)
            room -= length
        if element.kind != MATRIX:
            raise ValueError(f'an element of type {element.kind} where a variable is wanted')
        name, value = reader.variable(element.data)
        out[name] = value
    return out


def _unpacked(reader: _Reader, data: memoryview, most: int) -> tuple[_Element, int]:
    """Return what is packed, and how many bytes it was."""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, max(most, 1))
    except zlib.error as error:
        raise ValueError(f'a compressed variable is damaged: {error}') from error
    if not unpacker.eof:
        raise ValueError('a compressed variable is cut off, or with those before it greater '
                         'than 256 MiB')
    return _next(reader.elements(memoryview(content)), 'a variable'), len(content)


def _count(shape: tuple[int, ...]) -> int:
    """Return how many cells a shape has; each takes 8 bytes of the file at least."""
    count = math.prod(shape)
    if count > 2 ** 20:
        raise ValueError(f'{count} cells')
    return count


def _next(parts: Iterator[_Element], what: str) -> _Element:
    for element in parts:
        return element
    raise ValueError(f'the data end where {what} should be')
