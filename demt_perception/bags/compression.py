"""rosbag2's own compression (zstd): whole storage files, or message by message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import shutil
from typing import Any

from demt_perception.bags.allowance import Allowance
from demt_perception.bags.records import BagError, MOST_BYTES, ReadingError
from demt_perception.bags.temporary import temporary_file

LEFT_FREE = 1 << 30
"""Bytes of the disk that unpacking leaves free; of a small disk a tenth."""
_PART = 1 << 20
_MAGIC = b'\x28\xb5\x2f\xfd'   # of zstd; CDR begins with 0


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ReadingError(
            f'{path} is compressed; reading it needs a package: pip install zstandard') from error
    return zstandard


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Decompress a ``.zstd`` storage file into a temporary one, which the block's end removes.

    Raises:
        BagError: the file is damaged, or unpacks to too much.
        ReadingError: it unpacks to more than there is room for, or the package ``zstandard`` is
            missing.
        OSError: it could not be read or written.
    """
    check_package(path)
    with temporary_file() as target:
        plain = Path(target.name)
        _decompress(path, target, plain.parent)
        target.flush()
        yield plain


def check_package(path: Path) -> None:
    """Raise a ReadingError where the package that unpacks a file is missing."""
    _zstandard(path)


def _decompress(path: Path, target: Any, folder: Path) -> None:
    zstandard = _zstandard(path)
    allowance = Allowance(path, 'unzstd')
    disk = shutil.disk_usage(folder)
    room = max(disk.free - min(LEFT_FREE, disk.total // 10), 0)
    written = 0
    try:
        with path.open('rb') as packed:
            source = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            while part := source.read(_PART):
                written += len(part)
                allowance.take(len(part))
                if written > room:
                    raise ReadingError(
                        f'{path} unpacks to over {written} bytes, and {folder} has room for '
                        f'{room}: set TMPDIR to a folder with more')
                target.write(part)
    except zstandard.ZstdError as error:
        raise BagError(f'{path} cannot be decompressed: {error}') from error


def message_decompressor(path: Path) -> Callable[[bytes], bytes]:
    """Return the function that decompresses one message.

    Raises:
        BagError: the package ``zstandard`` is missing; by the function: the data are damaged.
    """
    zstandard = _zstandard(path)
    decompressor = zstandard.ZstdDecompressor()

    def decompress(data: bytes) -> bytes:
        try:
            if zstandard.frame_content_size(data) > MOST_BYTES:
                raise BagError(f'{path}: a compressed message claims over {MOST_BYTES} bytes '
                               'unpacked, which no honest one has: the bag is damaged')
            return decompressor.decompress(data, max_output_size=MOST_BYTES)
        except zstandard.ZstdError as error:
            raise BagError(f'{path}: a message cannot be decompressed: {error}') from error

    return decompress


def message_decompressor_if_needed(path: Path) -> Callable[[bytes], bytes]:
    """Return the function that decompresses one message, where it is compressed.

    For storage files without a metadata.yaml, which alone says so: they look like all others.

    Raises:
        BagError: as of ``message_decompressor``, all by the function.
    """
    decompress: Callable[[bytes], bytes] | None = None

    def decompress_if_needed(data: bytes) -> bytes:
        nonlocal decompress
        if not data.startswith(_MAGIC):
            return data
        if decompress is None:
            decompress = message_decompressor(path)
        return decompress(data)

    return decompress_if_needed
