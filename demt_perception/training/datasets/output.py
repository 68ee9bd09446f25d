"""Which folder may be written to: never that of what is read, nor one of others' labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from demt_perception.tasks import TASKS
from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets.files import Entry
from demt_perception.training.datasets.reading import read_yaml


def refuse_overwriting(out: Path, entries: Iterable[Entry]) -> None:
    """Refuse a folder where files of a user would be written over, before anything is written.

    Args:
        out: folder to write in the plain layout.
        entries: of the dataset that is read.

    Raises:
        ConfigError: ``out`` holds what is read, or pictures and labels that ``writing`` did not
            write.
    """
    folders = {path.parent for entry in entries for path in (
        entry.image, entry.camera, entry.soft, *(p for ps in entry.labels.values() for p in ps))
        if path}
    # Either end of a link would be written over.
    homes = {home for folder in folders for home in (
        folder.parent.resolve(), folder.resolve().parent)}
    if out.resolve() in homes:
        raise ConfigError(f'{out} is the dataset that is read: its labels would be written over, '
                          'give another --out')
    there = [name for name in ('dataset.yaml', 'images', *TASKS) if (out / name).exists()]
    if there and not _is_written_by_us(description(out)):
        raise ConfigError(f'{out} holds {", ".join(there)} that were not made by `demt data` or '
                          '`demt label`, and could be written over: give another --out')


def same_classes(out: Path, classes: Sequence[str]) -> None:
    """Refuse a folder whose ids mean other classes.

    Raises:
        ConfigError: it is one.
    """
    content = description(out)
    if content and (before := tuple(content.get('classes', ()))) != tuple(classes):
        raise ConfigError(f'{out} has the classes {", ".join(before) or "none"}, now '
                          f'{", ".join(classes) or "none"} are to be written: give another --out')


def same_source(out: Path, source: str) -> None:
    """Refuse a folder whose labels were made otherwise.

    Raises:
        ConfigError: it is one.
    """
    content = description(out)
    if content and (before := content.get('source')) != source:
        raise ConfigError(f'{out} has labels made otherwise: {before!r}, now {source!r}: give '
                          'another --out')


def description(out: Path) -> dict[str, Any]:
    """Return what ``dataset.yaml`` says; {} where there is none, or none that can be read."""
    try:
        return read_yaml(out / 'dataset.yaml')
    except (OSError, ValueError):
        return {}


def _is_written_by_us(content: dict[str, Any]) -> bool:
    """Tell by what `write_description` says of every folder, and users hardly of theirs."""
    return 'source' in content and content.get('stretched') is True and (
        content.get('partial') == [*TASKS])
