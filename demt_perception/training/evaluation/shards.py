"""A model folder measured on a dataset, in one process or in many."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from demt_perception.training.evaluation.accumulate import Broken, empty_tally, evaluate, Tally
from demt_perception.training.evaluation.job import Job, open_job
from demt_perception.training.spread import spread

SHARD = 8   # images: short enough for a lively bar, long enough to be worth sending


def choose(total: int, limit: int | None) -> list[int]:
    """Return the indices of at most `limit` images, evenly spread over the set."""
    count = total if limit is None else min(limit, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def measure(job: Job, indices: Sequence[int], processes: int = 1, ray: str | None = None,
            progress: Callable[[int], None] = lambda images: None) -> Tally:
    """Measure some images of a job; how the work is spread changes no figure.

    Pictures that the split names and that do not exist count as broken.

    Args:
        job: model and dataset.
        indices: of the images.
        processes: at a time.
        ray: None, or where `spread` finds Ray.
        progress: called with the number of images just done.

    Raises:
        See `open_job` and `spread`.
    """
    opened = open_job(job)
    tally = empty_tally(opened.metrics, opened.sureness)
    rest = iter(indices)
    shards = iter(lambda: list(islice(rest, SHARD)), [])
    for part in spread(partial(measure_shard, job), shards, processes, ray):
        tally.merge(part)
        progress(part.images + len(part.broken))
    first = len(opened.samples)
    tally.broken += [Broken(first + i, f'{path}: {reason}')
                     for i, (path, reason) in enumerate(opened.listing.absent)]
    return tally


def measure_shard(job: Job, indices: Sequence[int]) -> Tally:
    """Measure the images of one shard."""
    opened = open_job(job)
    return evaluate(opened.predict, opened.samples, opened.metrics, indices, opened.sureness)
