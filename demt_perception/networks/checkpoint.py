"""Read the weights of a checkpoint file without ever running what is in it.

A torch checkpoint is a pickle, and a pickle is a program. Here its instructions build plain
containers and notes of where each tensor lies; names of classes and functions become inert
placeholders, and only a short list of names is taken at all. Nothing is imported and no code of
the file's choosing is called, so this is at least as strict as ``torch.load(weights_only=True)``,
and unlike that it also reads Lightning files whose hyper-parameters are of classes that are not
installed.
"""

from collections.abc import Callable, Mapping
import io
import math
from pathlib import Path
import struct
from typing import Any
import zipfile

import torch
from torch import Tensor

from demt_perception.hashes import MOST_WEIGHTS
from demt_perception.networks.pickled import (
    CheckpointError,
    REMEDY,
    Storage,
    Stored,
    Unpickler,
)
from demt_perception.outside import read_file

__all__ = ['CheckpointError', 'read_checkpoint', 'unwrap']

MOST_PICKLE = 256 * 2**20  # bytes of the pickle itself, without the tensors
MOST_NESTING = 4
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'module', 'net', 'network', 'weights')
PREFIXES = ('module.', 'model.')
COMPILED = '_orig_mod.'


def read_checkpoint(path: str | Path, content: bytes | None = None) -> dict[str, Tensor]:
    """Return the weights in a file by name, in the order of the file.

    Takes .safetensors, and what ``torch.save`` writes (both its formats): a state dict, or a
    dict that holds one, as Lightning and training scripts do (``state_dict``, ``model``, nested).
    The prefixes ``module.``, ``model.`` and ``_orig_mod.`` are stripped where all names have them.

    Args:
        path: of the file.
        content: what it holds, where that has been read already.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, holds something else than
            tensors, or names code to run, which is never done.
    """
    try:
        content = read_file(path, MOST_WEIGHTS) if content is None else content
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error}') from error
    if not content:
        raise CheckpointError(f'{path} is empty: copy or download it again')
    try:
        if content.startswith(b'PK'):
            return _without_prefixes(_read_zip(content))
        if content[8:9] == b'{':
            from safetensors.torch import load
            return _without_prefixes(load(content))
        if content.startswith(b'\x80'):
            return _without_prefixes(_read_legacy(content))
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


def _read_zip(content: bytes) -> dict[str, Tensor]:
    """Read what ``torch.save`` writes since 1.6: a zip with the pickle and a file per storage."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {info.filename.partition('/')[2]: info for info in archive.infolist()}
        if 'data.pkl' not in entries:
            raise CheckpointError('it is a zip without data.pkl, so not written by torch.save')
        length = len(content)
        for name, info in entries.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > length:
                raise CheckpointError(f'its part {name!r} is compressed or larger than the file, '
                                      'which torch.save does not do: unpack and save it again')
        if sum(info.file_size for info in archive.infolist()) > length:
            raise CheckpointError('its parts overlap, which torch.save does not do: unpack and '
                                  'save it again')
        if entries['data.pkl'].file_size > MOST_PICKLE:
            raise CheckpointError(f'its pickle has {entries["data.pkl"].file_size} bytes, want at '
                                  f'most {MOST_PICKLE}; {REMEDY}')
        if 'byteorder' in entries and archive.read(entries['byteorder']).strip() == b'big':
            raise CheckpointError(f'it is of a big-endian machine: {REMEDY}')

        def read(storage: Storage) -> bytes:
            name = f'data/{storage.key}'
            if name not in entries:
                raise CheckpointError(f'storage {storage.key!r} is missing: the file is damaged')
            return archive.read(entries[name])

        return _build(unwrap(Unpickler(io.BytesIO(archive.read(entries['data.pkl']))).load()),
                      read)


def _read_legacy(content: bytes) -> dict[str, Tensor]:
    """Read what ``torch.save`` wrote before 1.6: five pickles, then the storages."""
    file = io.BytesIO(content)
    if Unpickler(file).load() != LEGACY_MAGIC:
        raise CheckpointError('it is a pickle, but not one of torch.save')
    Unpickler(file).load()  # protocol
    if Unpickler(file).load()['little_endian'] is not True:
        raise CheckpointError(f'it is of a big-endian machine: {REMEDY}')
    unpickler = Unpickler(file)
    top = unpickler.load()
    keys = Unpickler(file).load()
    rest = memoryview(content)[file.tell():]
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
            isinstance(value, Stored | Tensor) for value in inner.values()):
        seen = f'the keys {[str(k) for k in list(inner)[:12]]}' if isinstance(
            inner, dict) else f'a {type(inner).__name__}'
        raise CheckpointError(f'it holds {seen} and no weights, want a state dict or a dict with '
                              f'one under {list(WRAPPERS[:2])}')
    other = [f'{key!r:.80}' for key, value in inner.items()
             if not (isinstance(key, str) and isinstance(value, Stored | Tensor))]
    if other:
        raise CheckpointError(f'its state dict has {len(other)} entries that are no tensors: '
                              f'{", ".join(other[:12])}; {REMEDY}')
    return inner


def _build(stored: Mapping[str, Stored],
           read: Callable[[Storage], bytes | memoryview]) -> dict[str, Tensor]:
    flat: dict[str, tuple[Storage, Tensor]] = {}
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
