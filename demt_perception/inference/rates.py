"""How often each task is run: some are wanted less often than the camera sends frames."""

from collections.abc import Iterable, Mapping


def due(tasks: Iterable[str], every: Mapping[str, int], frame: int) -> tuple[str, ...]:
    """Return the tasks whose turn it is.

    All begin at frame 0, so that what is due together is computed from the same frame as often as
    can be.

    Args:
        tasks: names.
        every: by name, 3 for every third frame; 1 where a task is not in it.
        frame: number of the frame, from 0.

    Raises:
        ValueError: a number is below 1.

    >>> [due(('semseg', 'depth'), {'depth': 3}, frame) for frame in range(3)]
    [('semseg', 'depth'), ('semseg',), ('semseg',)]
    """
    tasks = tuple(tasks)
    for name in tasks:
        if every.get(name, 1) < 1:
            raise ValueError(f'task {name} is to run at every {every[name]}th frame, want 1 (at '
                             'every frame) or more; leave the task out to never run it')
    return tuple(name for name in tasks if frame % every.get(name, 1) == 0)
