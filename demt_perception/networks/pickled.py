"""Pickles of torch, read by an unpickler that builds containers and notes and runs nothing."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
import math
import pickle
import re
import reprlib
from typing import Any, ClassVar, IO, NamedTuple

import torch

REMEDY = ('save the plain state dict on a machine that you trust with it: torch.save('
          "{k: v for k, v in state_dict.items()}, 'weights.pth'), or safetensors")

MOST_PAIRS = 1_000_000   # of ordered dicts that are made of lists, which Python 2 did
MOST_AXES = 64           # of a tensor, as in torch

DTYPES = {'FloatStorage': torch.float32, 'DoubleStorage': torch.float64,
          'HalfStorage': torch.float16, 'BFloat16Storage': torch.bfloat16,
          'LongStorage': torch.int64, 'IntStorage': torch.int32, 'ShortStorage': torch.int16,
          'CharStorage': torch.int8, 'ByteStorage': torch.uint8, 'BoolStorage': torch.bool}

# What trainers put beside the weights: settings and counters. Their values are thrown away.
INERT = re.compile(
    r'argparse\.Namespace|collections\.(Counter|defaultdict|deque)|copyreg\._reconstructor|'
    r'__builtin__\.(object|set|frozenset|dict|list|int|float|str|bool|bytearray|complex|slice)|'
    r'builtins\.(object|set|frozenset|dict|list|int|float|str|bool|bytearray|complex|slice)|'
    r'_codecs\.encode|datetime\.\w+|pathlib\.\w+|typing\.\w+|uuid\.UUID|'
    r'(pytorch_lightning|lightning|lightning_fabric|omegaconf|yacs|easydict|addict)\..*|'
    r'numpy(\._?core)?(\.multiarray)?\.'
    r'(scalar|_reconstruct|dtype|ndarray|bool_|u?int\d+|float\d+)|'
    r'torch\.(Size|device|dtype|u?int\d+|b?float\d+|bool|torch\.Size)')


class CheckpointError(ValueError):
    """A file is no checkpoint that can be read safely; the text says why and the remedy."""


class Storage(NamedTuple):
    """Values that tensors share: where they are in the file, their type and number."""

    key: str
    dtype: torch.dtype
    size: int


class Stored(NamedTuple):
    """A tensor not yet read: where it lies in which storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse tuples of tuples where they would be hashed.

    Of tuples that hold each other twice, 80 bytes make a key whose hash takes years.
    """
    for key in keys:
        if isinstance(key, frozenset) or (isinstance(key, tuple) and any(
                isinstance(part, tuple | frozenset) for part in key)):
            raise CheckpointError(f'it has a nested {type(key).__name__} as a key: {REMEDY}')


def _refuse_bytearray(unpickler: Any) -> None:
    raise CheckpointError(f'it holds a byte array: {REMEDY}')


class _Ordered(OrderedDict):
    """An ordered dict that looks at the keys that it is made of."""

    def __setitem__(self, key: Any, value: Any) -> None:
        _check_keys((key,))
        super().__setitem__(key, value)


class Unpickler(pickle._Unpickler):
    """Builds containers and ``Stored`` notes; runs nothing that the file names.

    On the unpickler in Python: a single wrong byte can make the one in C allocate 64 GB, because
    it numbers what it remembers in an array.
    """

    # But for the one operation that makes room before it reads: 9 bytes asked for 14 GB.
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _refuse_bytearray}

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding='utf-8')
        self.widths: dict[str, int] = {}
        made = 0

        class Ordered(_Ordered):
            def __init__(self, pairs: Any = ()) -> None:
                # A list that the file holds once can be made into any number of these.
                nonlocal made
                made += len(pairs)
                if made > MOST_PAIRS:
                    raise CheckpointError(f'it makes ordered dicts of over {MOST_PAIRS} pairs '
                                          f'from lists; {REMEDY}')
                super().__init__(pairs)

        self._ordered = Ordered

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'
        if full in ('torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_tensor'):
            return _make_stored()
        if full == 'torch._utils._rebuild_parameter':
            return lambda data, *_: data
        if full == 'collections.OrderedDict':
            return self._ordered
        kind = name if module in ('torch', 'torch.cuda', 'torch.storage') else ''
        if kind in DTYPES:
            return DTYPES[kind]
        if INERT.fullmatch(full):
            return type(name, (_Inert,), {})
        raise CheckpointError(
            f'it asks for {full!r}, which is not needed to hold weights and could run code; '
            f'nothing was run. If you trust the file, {REMEDY}')

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, size = pid[:5]
        if kind != 'storage' or not isinstance(dtype, torch.dtype) or not (
                isinstance(key, str) and isinstance(size, int) and size >= 0):
            raise CheckpointError(f'storage {reprlib.repr(pid)} is not one that torch.save writes')
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError(f'storage {key!r} is a view of another one: {REMEDY}')
        self.widths[key] = dtype.itemsize
        return Storage(key, dtype, size)


def _checking(operation: bytes, keys: Callable[[Any], Iterable[Any]]) -> None:
    """Have one operation of the unpickler look at keys before they are hashed."""
    before = pickle._Unpickler.dispatch[operation[0]]

    def load(unpickler: Any) -> None:
        _check_keys(keys(unpickler))
        before(unpickler)

    Unpickler.dispatch[operation[0]] = load


# Where an operation takes all above a mark, that is the stack; what lies below it waits elsewhere.
_checking(pickle.SETITEM, lambda unpickler: unpickler.stack[-2:-1])
_checking(pickle.SETITEMS, lambda unpickler: unpickler.stack[::2])
_checking(pickle.DICT, lambda unpickler: unpickler.stack[::2])
_checking(pickle.ADDITEMS, lambda unpickler: unpickler.stack)
_checking(pickle.FROZENSET, lambda unpickler: unpickler.stack)


class _Inert:
    """Stands for any object of the file that is no weight: takes everything, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> '_Inert':
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass


def _make_stored() -> Callable[..., Stored]:
    """Return a new function for each use: a pickle can set attributes of what it is given."""
    def stored(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Stored:
        if not isinstance(storage, Storage) or not (
                len(stride) == len(size) <= MOST_AXES) or not all(
                isinstance(v, int) and v >= 0 for v in (offset, *size, *stride)):
            raise CheckpointError(f'a tensor of size {reprlib.repr(size)} is not one that torch '
                                  'writes')
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        count = math.prod(size)
        if count and (last >= storage.size or count > storage.size):
            raise CheckpointError(f'a tensor of size {list(size)} does not fit its storage of '
                                  f'{storage.size} values: the file is damaged')
        return Stored(storage, offset, tuple(size), tuple(stride))
    return stored
