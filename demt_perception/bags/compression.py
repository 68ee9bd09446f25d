"""rosbag2's own compression (zstd): whole storage files, or message by message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from demt_perception.bags.records import BagError

# A message is an image at most; a damaged header must not ask for all memory.
_MESSAGE_LIMIT = 1 << 30


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise BagError(
            f'{path} is compressed; reading it needs a package: pip install zstandard') from error
    return zstandard


def decompress_file(path: Path, folder: Path) -> Path:
    """Decompress a ``.zstd`` storage file into a folder and return the new file.

    Raises:
        BagError: the file is damaged, or the package ``zstandard`` is missing.
    """
    zstandard = _zstandard(path)
    target = folder / path.stem
    try:
        with path.open('rb') as source, target.open('wb') as sink:
            zstandard.ZstdDecompressor().copy_stream(source, sink)
    except (zstandard.ZstdError, OSError) as error:
        raise BagError(f'{path} cannot be decompressed: {error}') from error
    return target


def message_decompressor(path: Path) -> Callable[[bytes], bytes]:
    """Return the function that decompresses one message.

    Raises:
        BagError: the package ``zstandard`` is missing; by the function: the data are damaged.
    """
    zstandard = _zstandard(path)
    decompressor = zstandard.ZstdDecompressor()

    def decompress(data: bytes) -> bytes:
        try:
            if zstandard.frame_content_size(data) > _MESSAGE_LIMIT:
                raise BagError(f'{path}: a compressed message claims over {_MESSAGE_LIMIT} bytes')
            return decompressor.decompress(data, max_output_size=_MESSAGE_LIMIT)
        except (zstandard.ZstdError, MemoryError) as error:
            raise BagError(f'{path}: a message cannot be decompressed: {error}') from error

    return decompress
