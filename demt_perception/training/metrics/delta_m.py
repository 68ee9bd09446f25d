"""Delta_m: the mean relative gain of a multi-task network over single-task ones."""

from collections.abc import Mapping

from demt_perception.tasks import get_tasks


def delta_m(multi_task: Mapping[str, float], single_task: Mapping[str, float]) -> float:
    """Return Delta_m of spec 1.11: 0.03 is 3 % better on average.

    Args:
        multi_task: figure of each task by name, in the metric that its papers use; whether more
            is better stands in the table of tasks.
        single_task: the same of single-task networks with the same backbone.

    Raises:
        ValueError: the two do not have the same known tasks, or a single-task figure is 0.
    """
    if set(multi_task) != set(single_task):
        raise ValueError(f'Delta_m of {sorted(multi_task)} against {sorted(single_task)}: '
                         'want the same tasks on both sides')
    tasks = get_tasks(multi_task)
    useless = [task.name for task in tasks if not single_task[task.name]]
    if useless:
        raise ValueError(f'the single-task figures of {useless} are 0: want others, for gains '
                         'are relative to them')
    gains = ((multi_task[task.name] - single_task[task.name]) / single_task[task.name]
             * (1 if task.higher_is_better else -1) for task in tasks)
    return sum(gains) / len(tasks)
