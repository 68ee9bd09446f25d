"""The log of a run: ``log.jsonl``, TensorBoard, pictures, and a progress bar with the time left.

Only the first process writes.
"""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from demt_perception.extras import installing
from demt_perception.training.checkpoints import write_text

LOG = 'log.jsonl'


class Logbook:
    """Writes what happens in a run.

    Args:
        out: run folder.
        step: where the run starts or continues; what the log has beyond it is dropped.
        steps: where it ends.
        active: this process writes.

    Raises:
        ImportError: tensorboardX is missing.
    """

    def __init__(self, out: Path, step: int, steps: int, active: bool):
        self.out, self.active = out, active
        self.writer: Any = None
        self.bar = tqdm(total=steps, initial=step, unit='it', disable=not active,
                        dynamic_ncols=True, smoothing=0.05)
        if not active:
            return
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(f'the log needs tensorboardX: {installing("train")}') from error
        _cut(out / LOG, step)
        self.writer = SummaryWriter(str(out / 'tensorboard'), purge_step=step or None)
        self.file = (out / LOG).open('a', encoding='utf-8')

    def advance(self, losses: Mapping[str, float]) -> None:
        """Move the bar by one step and show the losses."""
        self.bar.update()
        if losses:
            self.bar.set_postfix({name: f'{value:.3g}' for name, value in losses.items()
                                  if '/' not in name})

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Log numbers, of kind ``train`` or ``validation``; nested ones get names with /."""
        if not self.active:
            return
        self.file.write(json.dumps({'step': step, 'kind': kind, **values}) + '\n')
        self.file.flush()
        for name, value in _flat(values):
            self.writer.add_scalar(f'{kind}/{name}', value, step)

    def picture(self, step: int, index: int, panel: np.ndarray) -> None:
        """Log a picture, uint8 (H,W,3) RGB; the run folder keeps those of the last measurement."""
        if not self.active:
            return
        self.writer.add_image(f'panel_{index}', panel, step, dataformats='HWC')
        (self.out / 'panels').mkdir(exist_ok=True)
        cv2.imwrite(str(self.out / 'panels' / f'{index}.png'), panel[..., ::-1])

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.active:
            tqdm.write(text)

    def close(self) -> None:
        """Finish the files."""
        self.bar.close()
        if self.active:
            self.file.close()
            self.writer.close()


def read_log(out: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; one that was cut off by a kill is left out."""
    lines = []
    if (out / LOG).exists():
        for text in (out / LOG).read_text(encoding='utf-8').splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
    return lines


def _cut(path: Path, step: int) -> None:
    """Drop the lines of steps that a continued run will do again."""
    kept = [line for line in read_log(path.parent) if line['step'] <= step]
    write_text(path, ''.join(json.dumps(line) + '\n' for line in kept))


def _flat(values: Mapping[str, Any], before: str = '') -> list[tuple[str, float]]:
    out = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            out += _flat(value, f'{before}{name}/')
        elif isinstance(value, int | float) and np.isfinite(value):
            out.append((f'{before}{name}', float(value)))
    return out
