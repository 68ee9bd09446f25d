"""What stops a training run, said so that one knows what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
from pathlib import Path

import torch
from torch import Tensor

from demt_perception.networks.tensor_file import save_tensors
from demt_perception.training.config import TrainConfig


class TrainingError(RuntimeError):
    """A run that cannot go on; the text says why and what helps."""


@contextmanager
def explained_memory(config: TrainConfig) -> Iterator[None]:
    """Turn a lack of memory, on GPU or CPU, into a ``TrainingError`` with the remedies."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator has none
        out = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not out:
            raise
        remedies = [f'accumulate={config.accumulate * 2} (same result, less memory)'
                    if config.accumulate * 2 <= config.batch else '', 'a smaller size or batch',
                    'precision=bf16' if config.precision == 'fp32' else '',
                    'strategy=fsdp over several GPUs' if config.strategy != 'fsdp' else '']
        raise TrainingError(
            f'out of memory with batch {config.batch} of {config.size[0]}x{config.size[1]}: try '
            f'{", ".join(filter(None, remedies))}; the last checkpoint stays good') from error


def refuse_non_finite(loss: Tensor, values: Mapping[str, Tensor],
                      batch: Mapping[str, Tensor], step: int, out: Path) -> None:
    """Stop at a loss that is no number, and keep the batch for inspection.

    Raises:
        TrainingError: naming the tasks at fault and the file, ``bad_batch.safetensors``.
    """
    if torch.isfinite(loss):
        return
    file = out / 'bad_batch.safetensors'
    temporary = file.with_suffix(f'.{os.getpid()}')  # several processes may come here at once
    save_tensors({name: value.detach().cpu() for name, value in batch.items()}, temporary)
    os.replace(temporary, file)
    bad = [name for name, value in values.items() if not torch.isfinite(value)] or ['the sum']
    raise TrainingError(
        f'the loss of {", ".join(bad)} is {float(loss)} at iteration {step}; the batch is '
        f'saved as {file}: lower lr, set clip=1, or look for broken labels with `demt data check`')
