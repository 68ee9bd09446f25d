"""One file of the cache: a header that says what it is, and the engine's own data.

All integers are little-endian::

    8 bytes   magic
    4 bytes   length of the key
    8 bytes   length of the payload
    32 bytes  SHA-256 of the payload
    ...       key, as JSON
    ...       payload

Every byte of a file is compared: the header with what it must be, the payload by its SHA-256.
"""

import contextlib
import hashlib
import os
import stat
import struct

from demt_perception.inference.cache.folder import check_safe
from demt_perception.inference.cache.key import EngineKey

MAGIC = b'DEMTENG\x01'
HEADER = struct.Struct('<8sIQ32s')
ENTRY, PARTIAL = '.engine', '.partial'
LARGEST = 4 << 30
"""Bytes of the largest payload that is kept: none known comes near."""


class DamagedError(Exception):
    """A file is not a whole entry of this key; the text says in a few words what it is."""


def read_entry(folder: int, key: EngineKey) -> bytes:
    """Return the verified payload of a key.

    Args:
        folder: descriptor of the cache's folder.
        key: whose entry to read.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is stale, cut off, damaged, or not ours.
        OSError: it cannot be read, or others could write to it.
    """
    name = key.stem() + ENTRY
    wanted_key = key.to_json()
    # Without O_NONBLOCK a named pipe in its place would block for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(name, 'rb', opener=lambda path, _: os.open(path, flags, dir_fd=folder)) as file:
        status = check_safe(file.fileno(), name)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedError('it is no file')
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise DamagedError(f'it is cut off: {len(header)} bytes')
        magic, key_length, length, digest = HEADER.unpack(header)
        if magic != MAGIC:
            raise DamagedError('its first bytes are not those of this version')
        if key_length != len(wanted_key) or file.read(key_length) != wanted_key:
            raise DamagedError('it was built for something else')
        whole = HEADER.size + key_length + length
        if length > LARGEST or status.st_size != whole:
            raise DamagedError(f'it has {status.st_size} bytes, its header says {whole}')
        payload = file.read(length)
        if len(payload) != length or hashlib.sha256(payload).digest() != digest:
            raise DamagedError('its SHA-256 is wrong')
        # Its time tells when it was last of use: see ``limits.py``.
        with contextlib.suppress(OSError):
            os.utime(file.fileno())
        return payload


def write_entry(folder: int, key: EngineKey, payload: bytes) -> None:
    """Write an entry so that it is there as a whole or not at all; its lock must be held.

    Raises:
        OSError: it cannot be written.
    """
    if len(payload) > LARGEST:
        raise OSError(f'the engine has {len(payload)} bytes, want at most {LARGEST}')
    wanted_key = key.to_json()
    header = HEADER.pack(
        MAGIC, len(wanted_key), len(payload), hashlib.sha256(payload).digest())
    partial = key.stem() + PARTIAL
    remove(folder, partial)  # of a process that died while writing
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(partial, 'wb',
                  opener=lambda path, _: os.open(path, flags, 0o600, dir_fd=folder)) as file:
            for part in (header, wanted_key, payload):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, key.stem() + ENTRY, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(folder, partial)
        raise


def remove(folder: int, name: str) -> None:
    """Remove a file of the cache, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
