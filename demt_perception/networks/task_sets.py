"""The task sets of the papers' data sets, and how many channels each task's head has."""

from collections.abc import Mapping

TASK_SETS: dict[str, dict[str, int]] = {
    'nyud': {'semseg': 40, 'depth': 1, 'normals': 3, 'edge': 1},
    'pascal_context': {'semseg': 21, 'human_parts': 7, 'sal': 2, 'normals': 3, 'edge': 1},
    'driving': {'semseg': 11, 'depth': 1, 'normals': 3, 'edge': 1},
}


def resolve_tasks(tasks: str | Mapping[str, int], saliency_channels: int = 2) -> dict[str, int]:
    """Return {task: channels} of a named task set, or a copy of the mapping given.

    Args:
        tasks: ``nyud``, ``pascal_context``, ``driving`` or {task: channels}.
        saliency_channels: of a named set: 2 with softmax as in DeMT, 1 with sigmoid as in
            MTI-Net (spec 1.6, 2).

    Raises:
        ValueError: the name is unknown, or a number of channels is not positive.
    """
    if isinstance(tasks, str):
        if tasks not in TASK_SETS:
            raise ValueError(f'task set {tasks!r} is unknown: want one of {sorted(TASK_SETS)} or '
                             'a mapping of task to channels')
        chosen = dict(TASK_SETS[tasks])
        if 'sal' in chosen:
            chosen['sal'] = saliency_channels
        return chosen
    if not isinstance(tasks, Mapping):
        raise ValueError(f'tasks {tasks!r}: want one of {sorted(TASK_SETS)} or a mapping of task '
                         'to channels')
    if not tasks or any(not isinstance(c, int) or c < 1 for c in tasks.values()):
        raise ValueError(f'tasks {dict(tasks)!r}: want at least one, each with 1 or more channels')
    return dict(tasks)
