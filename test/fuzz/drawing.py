"""Values drawn from the bytes of a fuzzer, so that a change of one byte changes one value."""

import struct
from typing import Any

NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, -1e300, float('inf'), float('-inf'),
           float('nan'), 2.0 ** 31, 2.0 ** 63, 255.0, 640.0)
WHOLES = (0, 1, 2, 3, 32, 255, 256, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 63 - 1,
          2 ** 63, 2 ** 64, 10 ** 400, -1, -2 ** 31, -2 ** 63)
DEEPEST = 5


class Draw:
    """Reads values off the front of some bytes; zeros when they have run out."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data, self._at = data, 0

    def bytes(self, count: int) -> bytes:
        """Return up to so many bytes."""
        found = self._data[self._at:self._at + count]
        self._at += count
        return found

    def rest(self) -> bytes:
        """Return what is left."""
        return self.bytes(max(0, len(self._data) - self._at))

    def unsigned(self, size: int = 1) -> int:
        """Return a whole number of so many bytes."""
        return int.from_bytes(self.bytes(size), 'little')

    def pick(self, options: Any) -> Any:
        """Return one of some options."""
        return options[self.unsigned() % len(options)]

    def text(self) -> str:
        """Return a short text; any code points, lone surrogates too."""
        return self.bytes(self.unsigned() % 24).decode('utf-8', 'surrogateescape')

    def number(self) -> float:
        """Return a float: an odd one, or any."""
        choice = self.unsigned()
        if choice < 64:
            return NUMBERS[choice % len(NUMBERS)]
        if choice < 192:
            return (self.unsigned(2) - 2 ** 15) / 16
        return float(struct.unpack('<d', self.bytes(8).ljust(8, b'\0'))[0])

    def whole(self) -> int:
        """Return a whole number: an odd one, or any small one."""
        choice = self.unsigned()
        return WHOLES[choice % len(WHOLES)] if choice < 96 else self.unsigned(2)

    def plain(self, names: tuple[str, ...] = (), depth: int = 0) -> Any:
        """Return what YAML or JSON may hold.

        Args:
            names: keys and texts that mean something to the reader.
            depth: of the nesting so far.
        """
        kind = self.unsigned() % (9 if depth < DEEPEST else 7)
        if kind < 3:
            return (None, True, False)[kind]
        if kind == 3:
            return self.whole()
        if kind == 4:
            return self.number()
        if kind == 5 or (kind == 6 and not names):
            return self.text()
        if kind == 6:
            return self.pick(names)
        count = self.unsigned() % 6
        if kind == 7:
            return [self.plain(names, depth + 1) for _ in range(count)]
        return {self.plain(names, DEEPEST): self.plain(names, depth + 1) for _ in range(count)}

    def changed(self, values: Any, names: tuple[str, ...] = ()) -> Any:
        """Return a copy of plain values with a few of them replaced, left out or added."""
        for _ in range(1 + self.unsigned() % 3):
            values = self._change(values, names)
        return values

    def _change(self, values: Any, names: tuple[str, ...]) -> Any:
        how = self.unsigned() % 8
        if how == 0 or not isinstance(values, dict | list) or not values:
            return self.plain(names)
        keys = list(values) if isinstance(values, dict) else range(len(values))
        key = keys[self.unsigned() % len(keys)]
        new = values.copy()
        if how == 1:
            del new[key]
        elif how == 2 and isinstance(new, dict):
            new[self.plain(names, DEEPEST)] = self.plain(names)
        elif how == 2:
            new.append(self.plain(names))
        else:
            new[key] = self._change(new[key], names)
        return new
