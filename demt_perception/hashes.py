"""SHA-256 of files of weights: where it is written down, and the check before they are used.

A model folder has it on its card. A file of weights alone has it in a file beside it, as
``sha256sum`` writes and checks it; beside a card such a file can only add to it. Weights that a
run of this machine wrote have neither.
"""

import hashlib
from pathlib import Path

from demt_perception.model_card import CARD_FILE, file_sha256, load_card, SHA256, WEIGHTS
from demt_perception.outside import read_file

SUFFIX = '.sha256'
MOST_WEIGHTS = 2**35


class HashError(ValueError):
    """A file is not the one that it should be, or nothing says which one it should be."""


def expected_sha256(path: Path) -> list[tuple[str, Path]]:
    """Return each SHA-256 that a file of weights should have, and the file that says so.

    The card beside weights always counts: whoever can put a file there could else put a
    ``.sha256`` of it beside them, and the card would not be looked at.

    Raises:
        HashError: a file that should say it does not.
        ModelCardError: the card beside the file is wrong.
    """
    found = []
    beside, card = path.with_name(path.name + SUFFIX), path.with_name(CARD_FILE)
    if path.name == WEIGHTS and card.is_file():
        wanted = load_card(card.parent).weights_sha256
        if not wanted:
            raise HashError(f'{card} has no weights_sha256, so nothing says whether {path.name} '
                            'is what it should be: where you trust it, add its `sha256sum` to '
                            'the card')
        found.append((wanted, card))
    if beside.is_file():
        words = read_file(beside, 4096).decode('utf-8', 'replace').split()
        if not words or not SHA256.fullmatch(words[0]):
            raise HashError(f'{beside} begins with {words[:1]}, want 64 lower-case hexadecimal '
                            'digits, as `sha256sum` writes them')
        found.append((words[0], beside))
    return found


def read_verified(path: Path, needed: bool) -> bytes:
    """Return the content of a file of weights, once its SHA-256 is what it should be.

    The bytes verified are the bytes returned, so that no change of the file can slip in between.

    Args:
        path: of the file.
        needed: refuse a file of which nobody says what it should be.

    Raises:
        HashError: it is another, or nothing says which one it should be.
        OSError: it cannot be read.
    """
    content = read_file(path, MOST_WEIGHTS)
    expected = expected_sha256(path)
    if not expected:
        if needed:
            raise HashError(f'{path} has no {path.name}{SUFFIX} beside it, so nothing says '
                            'whether it is what it should be: convert it with `demt '
                            'import-backbone`, or, '
                            f'where you trust it, `sha256sum {path.name} > {path.name}{SUFFIX}`')
        return content
    seen = hashlib.sha256(content).hexdigest()
    for wanted, source in expected:
        if seen != wanted:
            raise HashError(f'{path} has SHA-256 {seen}, {source} says {wanted}: the file is '
                            'damaged or foreign; restore it')
    return content


def write_sha256(path: Path) -> Path:
    """Write the SHA-256 of a file beside it, as ``sha256sum -c`` reads it."""
    beside = path.with_name(path.name + SUFFIX)
    beside.write_text(f'{file_sha256(path)}  {path.name}\n', encoding='utf-8')
    return beside


def read_published(path: Path, wanted: str) -> tuple[bytes, str]:
    """Return the content of a file, and its SHA-256, once that is what its publisher names.

    As in ``read_verified``, the bytes verified are the bytes returned.

    Args:
        path: of the file.
        wanted: SHA-256; '': any.

    Raises:
        HashError: it is another.
        OSError: the file cannot be read.
    """
    content = read_file(path, MOST_WEIGHTS)
    seen = hashlib.sha256(content).hexdigest()
    if wanted and seen != wanted.lower():
        raise HashError(f'{path} has SHA-256 {seen}, want {wanted}: it is not the file that was '
                        'published, or was cut off on the way; download it again')
    return content, seen
