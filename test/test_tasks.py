import pytest

from demt_perception.tasks import DRIVING, get_tasks, TaskError, TASKS


def test_names_are_keys_and_topics_are_unique():
    assert all(name == task.name for name, task in TASKS.items())
    assert len({task.topic for task in TASKS.values()}) == len(TASKS)


def test_driving_tasks_keep_their_order():
    assert tuple(task.name for task in get_tasks(DRIVING)) == DRIVING
    assert [task.name for task in get_tasks(['edge', 'depth'])] == ['edge', 'depth']


@pytest.mark.parametrize('names', [[], ['semseg', 'semseg'], ['Depth'], ['semseg', 'flow'], ['']])
def test_wrong_names_are_refused_with_the_choices(names):
    with pytest.raises(TaskError, match=r'depth.*edge.*normals.*semseg'):
        get_tasks(names)


@pytest.mark.parametrize('names', [None, 5, [['semseg']], [None]])
def test_wrong_types_are_refused(names):
    with pytest.raises((TypeError, ValueError)):
        get_tasks(names)
