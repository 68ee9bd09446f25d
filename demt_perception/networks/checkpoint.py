"""Read the weights of a checkpoint file without ever running what is in it.

A torch checkpoint is a pickle, and a pickle is a program. Here its instructions build plain
containers and notes of where each tensor lies; names of classes and functions become inert
placeholders, and only a short list of names is taken at all. Nothing is imported and no code of
the file's choosing is called, so this is at least as strict as ``torch.load(weights_only=True)``,
and unlike that it also reads Lightning files whose hyper-parameters are of classes that are not
installed.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
import io
import math
from pathlib import Path
import pickle
import re
import struct
from typing import Any, IO, NamedTuple
import zipfile

import torch
from torch import Tensor

MOST_PICKLE = 256 * 2**20  # bytes of the pickle itself, without the tensors
MOST_NESTING = 4
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'module', 'net', 'network', 'weights')
PREFIXES = ('module.', 'model.')
COMPILED = '_orig_mod.'
REMEDY = ('save the plain state dict on a machine that you trust with it: torch.save('
          "{k: v for k, v in state_dict.items()}, 'weights.pth'), or safetensors")

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
    r'numpy(\._?core)?(\.multiarray)?\.(scalar|_reconstruct|dtype|ndarray|bool_|u?int\d+|float\d+)|'
    r'torch\.(Size|device|dtype|u?int\d+|b?float\d+|bool|torch\.Size)')


class CheckpointError(ValueError):
    """A file is no checkpoint that can be read safely; the text says why and the remedy."""


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    size: int


class _Stored(NamedTuple):
    """A tensor not yet read: where it lies in which storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the weights in a file by name, in the order of the file.

    Takes .safetensors, and what ``torch.save`` writes (both its formats): a state dict, or a
    dict that holds one, as Lightning and training scripts do (``state_dict``, ``model``, nested).
    The prefixes ``module.``, ``model.`` and ``_orig_mod.`` are stripped where all names have them.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, holds something else than
            tensors, or names code to run, which is never done.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error}') from error
    if not head:
        raise CheckpointError(f'{path} is empty: copy or download it again')
    try:
        if head.startswith(b'PK'):
            return _without_prefixes(_read_zip(path))
        if head[8:] == b'{':
            from safetensors.torch import load_file
            return _without_prefixes(load_file(path))
        if head.startswith(b'\x80'):
            return _without_prefixes(_read_legacy(path))
        raise CheckpointError('it starts like no file of torch or safetensors: want what '
                              'torch.save or safetensors writes')
    except ImportError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(
            f'{path} is damaged or no checkpoint ({type(error).__name__}: {error}): copy or '
            'download it again') from error


class _Unpickler(pickle._Unpickler):
    """Builds containers and ``_Stored`` notes; runs nothing that the file names.

    On the unpickler in Python: a single wrong byte can make the one in C allocate 64 GB, because
    it numbers what it remembers in an array.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding='utf-8')
        self.widths: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'
        if full in ('torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_tensor'):
            return _make_stored()
        if full == 'torch._utils._rebuild_parameter':
            return lambda data, *_: data
        if full == 'collections.OrderedDict':
            return OrderedDict
        kind = name if module in ('torch', 'torch.cuda', 'torch.storage') else ''
        if kind in DTYPES:
            return DTYPES[kind]
        if INERT.fullmatch(full):
            return type(name, (_Inert,), {})
        raise CheckpointError(
            f'it asks for {full!r}, which is not needed to hold weights and could run code; '
            f'nothing was run. If you trust the file, {REMEDY}')

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size = pid[:5]
        if kind != 'storage' or not isinstance(dtype, torch.dtype) or not (
                isinstance(key, str) and isinstance(size, int) and size >= 0):
            raise CheckpointError(f'storage {pid!r:.100} is not one that torch.save writes')
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError(f'storage {key!r} is a view of another one: {REMEDY}')
        self.widths[key] = dtype.itemsize
        return _Storage(key, dtype, size)


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


def _make_stored() -> Callable[..., _Stored]:
    """Return a new function for each use: a pickle can set attributes of what it is given."""
    def stored(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Stored:
        if not isinstance(storage, _Storage) or len(size) != len(stride) or not all(
                isinstance(v, int) and v >= 0 for v in (offset, *size, *stride)):
            raise CheckpointError(f'a tensor of size {size!r:.100} is not one that torch writes')
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        count = math.prod(size)
        if count and (last >= storage.size or count > storage.size):
            raise CheckpointError(f'a tensor of size {list(size)} does not fit its storage of '
                                  f'{storage.size} values: the file is damaged')
        return _Stored(storage, offset, tuple(size), tuple(stride))
    return stored


def _read_zip(path: Path) -> dict[str, Tensor]:
    """Read what ``torch.save`` writes since 1.6: a zip with the pickle and a file per storage."""
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename.partition('/')[2]: info for info in archive.infolist()}
        if 'data.pkl' not in entries:
            raise CheckpointError('it is a zip without data.pkl, so not written by torch.save')
        length = path.stat().st_size
        for name, info in entries.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > length:
                raise CheckpointError(f'its part {name!r} is compressed or larger than the file, '
                                      'which torch.save does not do: unpack and save it again')
        if entries['data.pkl'].file_size > MOST_PICKLE:
            raise CheckpointError(f'its pickle has {entries["data.pkl"].file_size} bytes, want at '
                                  f'most {MOST_PICKLE}; {REMEDY}')
        if 'byteorder' in entries and archive.read(entries['byteorder']).strip() == b'big':
            raise CheckpointError(f'it is of a big-endian machine: {REMEDY}')

        def read(storage: _Storage) -> bytes:
            name = f'data/{storage.key}'
            if name not in entries:
                raise CheckpointError(f'storage {storage.key!r} is missing: the file is damaged')
            return archive.read(entries[name])

        return _build(unwrap(_Unpickler(io.BytesIO(archive.read(entries['data.pkl']))).load()),
                      read)


def _read_legacy(path: Path) -> dict[str, Tensor]:
    """Read what ``torch.save`` wrote before 1.6: five pickles, then the storages."""
    with path.open('rb') as file:
        if _Unpickler(file).load() != LEGACY_MAGIC:
            raise CheckpointError('it is a pickle, but not one of torch.save')
        _Unpickler(file).load()  # protocol
        if _Unpickler(file).load()['little_endian'] is not True:
            raise CheckpointError(f'it is of a big-endian machine: {REMEDY}')
        unpickler = _Unpickler(file)
        top = unpickler.load()
        keys = _Unpickler(file).load()
        rest = memoryview(file.read())
    found: dict[str, memoryview] = {}
    at = 0
    for key in keys:
        (count,) = struct.unpack_from('<q', rest, at)
        end = at + 8 + count * unpickler.widths[key]
        if count < 0 or end > len(rest):
            raise CheckpointError(f'storage {key!r} runs past the end: the file is cut off')
        found[key] = rest[at + 8:end]
        at = end
    return _build(unwrap(top), lambda storage: found[storage.key])


def unwrap(top: Any) -> dict[str, Any]:
    """Return the state dict that a checkpoint is or holds.

    Raises:
        CheckpointError: there is none; the text says what there is.
    """
    inner = top
    for _ in range(MOST_NESTING):
        if not isinstance(inner, dict):
            break
        wrapped = next((inner[key] for key in WRAPPERS if isinstance(inner.get(key), dict)), None)
        if wrapped is None:
            break
        inner = wrapped
    if not isinstance(inner, dict) or not any(
            isinstance(value, _Stored | Tensor) for value in inner.values()):
        seen = f'the keys {[str(k) for k in list(inner)[:12]]}' if isinstance(
            inner, dict) else f'a {type(inner).__name__}'
        raise CheckpointError(f'it holds {seen} and no weights, want a state dict or a dict with '
                              f'one under {list(WRAPPERS[:2])}')
    other = [f'{key!r:.80}' for key, value in inner.items()
             if not (isinstance(key, str) and isinstance(value, _Stored | Tensor))]
    if other:
        raise CheckpointError(f'its state dict has {len(other)} entries that are no tensors: '
                              f'{", ".join(other[:12])}; {REMEDY}')
    return inner


def _build(stored: Mapping[str, _Stored],
           read: Callable[[_Storage], bytes | memoryview]) -> dict[str, Tensor]:
    flat: dict[str, tuple[_Storage, Tensor]] = {}
    out = {}
    for name, (storage, offset, size, stride) in stored.items():
        if not math.prod(size):
            out[name] = torch.empty(size, dtype=storage.dtype)
            continue
        if storage.key not in flat:
            data = read(storage)
            if len(data) != storage.size * storage.dtype.itemsize:
                raise CheckpointError(f'{name} has {len(data)} bytes, want {storage.size} values '
                                      f'of {storage.dtype}: the file is damaged')
            flat[storage.key] = storage, torch.frombuffer(bytearray(data), dtype=storage.dtype)
        known, values = flat[storage.key]
        if known != storage:
            raise CheckpointError(f'storage {storage.key!r} is said to be both {known} and '
                                  f'{storage}: the file is damaged')
        out[name] = values.as_strided(size, stride, offset)
    return out


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip what wrappers put before every name."""
    if not state:
        raise CheckpointError('it holds no weights')
    state = {key.replace(COMPILED, ''): value for key, value in state.items()}
    while True:
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            return dict(state)
        state = {key.removeprefix(prefix): value for key, value in state.items()}
