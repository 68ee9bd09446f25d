"""Checkpoints: safetensors and JSON, written completely or not at all, checked when read.

A checkpoint is a folder ``step_<number>`` with tensors in ``*.safetensors``, the rest in
``state.json`` and the hashes of both in ``SHA256SUMS`` (``sha256sum -c`` reads it). It is written
under another name and renamed when it is on the disk. Nothing in it can run code.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
import json
import os
from pathlib import Path
import shutil
from typing import Any
import warnings

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from demt_perception.hashes import HashError, read_verified
from demt_perception.model_card import file_sha256, ModelCardError
from demt_perception.networks.tensor_file import save_tensors
from demt_perception.training.failures import TrainingError

PREFIX, WRITING, STATE, SUMS = 'step_', '.writing_', 'state.json', 'SHA256SUMS'
Tree = Any
"""Nested dicts and lists of numbers, texts, None and tensors."""


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]],
                    state: Tree, keep: int = 2) -> Path:
    """Write a checkpoint and remove older ones; return its folder.

    Args:
        folder: of all checkpoints of a run.
        step: names the checkpoint.
        tensors: {file name without suffix: {name: tensor}}.
        state: everything else; tensors inside are allowed.
        keep: how many checkpoints stay.

    Raises:
        TrainingError: it cannot be written, e.g. because the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f'{WRITING}*'):
        shutil.rmtree(leftover, ignore_errors=True)
    name = f'{PREFIX}{step:08d}'
    temporary = folder / f'{WRITING}{name}'
    with _room_for(folder / name, temporary):
        temporary.mkdir()
        loose: dict[str, Tensor] = {}
        packed = pack(state, loose)
        for file, values in {**tensors, 'state': loose}.items():
            save_tensors(values, temporary / f'{file}.safetensors')
        (temporary / STATE).write_text(json.dumps({'step': step, 'state': packed}),
                                       encoding='utf-8')
        (temporary / SUMS).write_text(_sums(temporary), encoding='utf-8')
        for path in temporary.iterdir():
            _sync(path)
        _sync(temporary)
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        os.replace(temporary, folder / name)
    _sync(folder)
    for old in _numbered(folder)[:-keep]:
        shutil.rmtree(old)
    return folder / name


def load_checkpoint(folder: Path) -> tuple[int, dict[str, dict[str, Tensor]], Tree] | None:
    """Return step, tensors and state of the newest whole checkpoint; None if there is none.

    A damaged one is passed over with a warning.

    Raises:
        TrainingError: there are checkpoints, and all are damaged.
    """
    problems = []
    for path in reversed(_numbered(folder)):
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            problems.append(f'{path}: {error}')
            warnings.warn(f'checkpoint {path} is damaged and passed over: {error}', stacklevel=2)
    if problems:
        raise TrainingError(f'no whole checkpoint in {folder} ({"; ".join(problems)}): remove the '
                            'folder to train from the start')
    return None


def write_weights(path: Path, values: Mapping[str, Tensor]) -> None:
    """Write a file of weights completely or not at all.

    Raises:
        TrainingError: it cannot be written.
    """
    temporary = path.with_name(f'{WRITING}{path.name}')
    with _room_for(path, temporary):
        save_tensors(values, temporary)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a small file completely or not at all.

    Raises:
        TrainingError: it cannot be written.
    """
    temporary = path.with_name(f'{WRITING}{path.name}')
    with _room_for(path, temporary):
        temporary.write_text(text, encoding='utf-8')
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights.

    Raises:
        TrainingError: the file is none, is damaged, or is not the one that the card of its model
            folder or the ``.sha256`` beside it names.
        OSError: it cannot be read.
    """
    try:
        values: dict[str, Tensor] = load(read_verified(Path(path), needed=False))
    except (HashError, ModelCardError) as error:
        raise TrainingError(str(error)) from error
    except SafetensorError as error:
        raise TrainingError(f'{path} is no file of weights (safetensors), or is damaged: '
                            f'{error}') from error
    return values


def pack(tree: Tree, tensors: dict[str, Tensor]) -> Tree:
    """Return what JSON can hold of a tree; its tensors are put into ``tensors``."""
    if isinstance(tree, Tensor):
        name = f'tensor_{len(tensors)}'
        tensors[name] = tree
        return {'tensor': name}
    if isinstance(tree, Mapping):  # as pairs: keys of JSON are texts, those of optimizers numbers
        return {'map': [[key, pack(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return [pack(value, tensors) for value in tree]
    return tree


def unpack(packed: Tree, tensors: Mapping[str, Tensor]) -> Tree:
    """Undo ``pack``."""
    if isinstance(packed, list):
        return [unpack(value, tensors) for value in packed]
    if isinstance(packed, dict):
        if 'tensor' in packed:
            return tensors[packed['tensor']]
        return {key: unpack(value, tensors) for key, value in packed['map']}
    return packed


def _load(path: Path) -> tuple[int, dict[str, dict[str, Tensor]], Tree]:
    found, wanted = _sums(path), (path / SUMS).read_text(encoding='utf-8')
    if found != wanted:
        raise ValueError(f'its files are not those that {SUMS} lists: found {found.splitlines()}, '
                         f'wanted {wanted.splitlines()}')
    content = json.loads((path / STATE).read_text(encoding='utf-8'))
    tensors = {file.stem: load_file(file) for file in path.glob('*.safetensors')}
    return int(content['step']), tensors, unpack(content['state'], tensors.pop('state'))


def _sums(path: Path) -> str:
    return ''.join(f'{file_sha256(file)}  {file.name}\n' for file in sorted(path.iterdir())
                   if file.name != SUMS)


def _numbered(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f'{PREFIX}*') if path.is_dir())


@contextmanager
def _room_for(path: Path, temporary: Path) -> Iterator[None]:
    """Explain what cannot be written, and give back the room that its half takes."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()
        raise TrainingError(f'cannot write {path}: {error}; what was there before stays good: '
                            'make room, and the same command continues') from error


def _sync(path: Path) -> None:
    """Have the system write a file or folder to the disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
