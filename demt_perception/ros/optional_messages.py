"""Message packages that the node uses where they are installed: modules, or None."""

from types import ModuleType
from typing import Any


def _load(package: str, what: str = 'msg') -> Any:
    try:
        module: ModuleType = __import__(f'{package}.{what}', fromlist=[what])
    except ImportError:
        return None
    return module


demt_msgs = _load('demt_msgs')
demt_srvs = _load('demt_msgs', 'srv')
vision_msgs = _load('vision_msgs')


def missing_text() -> str:
    """Return what the node lacks without the packages that are missing, or ''."""
    texts = []
    if demt_msgs is None:
        texts.append('demt_msgs is not installed: no ~/dense, ~/stats, ~/semantic/label_table, '
                     '~/set_tasks and ~/load_model; in the repository '
                     '`colcon build --base-paths . demt_msgs --packages-select demt_msgs`, and '
                     'source it')
    if vision_msgs is None:
        texts.append('vision_msgs is not installed: no ~/semantic/label_info; '
                     '`sudo apt install ros-$ROS_DISTRO-vision-msgs`')
    return '; '.join(texts)
