"""Writing tensors to a file that others may read as they may any file of the user's."""

from collections.abc import Mapping
import os
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_tensors(values: Mapping[str, Tensor], path: Path,
                 metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, with the permissions of a new file.

    Safetensors (0.8) lets nobody but the owner read it: a model that root exported would be
    of no use to the user who starts the node.
    """
    save_file({name: value.contiguous() for name, value in values.items()}, path, metadata)
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
