"""One bag processed in whichever process or machine, and what is to be said of it."""

from pathlib import Path
import time
from typing import NamedTuple

from demt_perception.bags.records import BagError
from demt_perception.inference import EngineError
from demt_perception.inference.memory import keep_freed_memory
from demt_perception.model_card import ModelCardError
from demt_perception.progress import Progress as Line
from demt_perception.ros.offline.processing import Options, process, Progress


class Job(NamedTuple):
    """A bag, the folder to write, and what is to be done."""

    bag: Path
    out: Path
    options: Options


class Outcome(NamedTuple):
    """How a job ended: whether to the bag's end, and what there is to say."""

    good: bool
    text: str


def run_job(job: Job, show: bool = False) -> Outcome:
    """Process a bag; with ``show`` say on standard error how far it is.

    What is wrong with one bag is told, and keeps none of the others from being processed.
    """
    keep_freed_memory()
    line = Line()
    begin, first = 0.0, -1   # before: the model is loaded

    def report(progress: Progress, total: int | None) -> None:
        nonlocal begin, first
        now = time.monotonic()
        if first < 0:
            begin, first = now, progress.taken
        elif show:
            rate = (progress.taken - first) / (now - begin)
            line.show(f'{job.bag.name}: image {progress.taken}'
                      + (f' of {total}' if total is not None else '') + f', {rate:.1f} a second',
                      None if total is None else (total - progress.taken) / rate)

    try:
        progress = process(job.bag, job.out, job.options, report)
    except (BagError, EngineError, ModelCardError, MemoryError, OSError, ValueError) as error:
        return Outcome(False, f'{job.bag}: {str(error) or type(error).__name__}')
    finally:
        line.close()
    seconds = time.monotonic() - begin
    new = 0 if first < 0 else progress.taken - first
    text = f'{job.bag}: {progress.done} of {_total(progress)}, written to {job.out}'
    if new:
        text += f'; {new} in {seconds:.1f} s, {new / seconds:.1f} a second'
    else:
        text += ', as before: nothing was left to do'
    for reason, (count, example) in progress.dropped.items():
        text += f'\n  {count} images left out ({reason}), the first: {example}'
    for count, example in progress.infos.values():
        text += (f'\n  {count} images without camera_info, their depth rests on the field of view '
                 f'that the model card assumes, the first: {example}')
    if progress.damage:
        text += f'\n  the bag is processed up to its damage: {progress.damage}'
    return Outcome(not (progress.damage or progress.dropped), text)


def _total(progress: Progress) -> str:
    """Return how many images there are, as far as anything tells."""
    if progress.total is None and progress.damage:
        return f'{progress.taken} images that could be read'
    return f'{max(progress.total or 0, progress.taken)} images'
