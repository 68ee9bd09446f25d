"""Which topics of a perception node `demt view` offers, from what the node publishes. No rclpy."""

from collections.abc import Iterable

from demt_perception.class_lists import HUMAN_PARTS
from demt_perception.ros.outputs import Output, OUTPUTS
from demt_perception.tasks import TASKS
from demt_perception.view.topics import COLORED_VECTOR, PICTURE, Topic

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_TITLES = {
    'semantic/image': 'Class', 'semantic/confidence': 'Confidence', 'semantic/color': 'Classes',
    'semantic/overlay': 'Overlay', 'depth/image': 'Depth',
    'depth/uncertainty': 'Depth ±', 'depth/color': 'Depth',
    'normals/color': 'Normals', 'boundary/image': 'Boundary', 'human_parts/image': 'Human part',
    'human_parts/color': 'Human parts', 'saliency/image': 'Saliency',
}
_DEFAULT = ('semantic/overlay', 'depth/color', 'normals/color', 'boundary/image')
_NAMES = {'human_parts/image': HUMAN_PARTS}
_KINDS = {name: kind for task in TASKS.values() for name, kind in task.kinds.items()} | {
    'normals_color': COLORED_VECTOR}
# Three numbers of four bytes a pixel: the colours say the same, to 0.01, in a quarter of that.
_LARGE = ('normals/image',)


def output_topics(node: str, topics: Iterable[tuple[str, list[str]]]) -> list[Topic]:
    """Return what can be looked at of the topics that a node publishes.

    Args:
        node: full name.
        topics: names with their types, as the graph gives them.
    """
    found = []
    for name, types in topics:
        camera, output = _split(node, name)
        if output is not None and IMAGE in types and output.topic not in _LARGE:
            kind = _KINDS.get(output.attribute, PICTURE)
            found.append(Topic(
                name, _TITLES.get(output.topic, output.topic.replace('/', ' ')), camera, kind,
                shown=output.encoding == 'rgb8' or kind == 'probability',
                default=1 + _DEFAULT.index(output.topic) if output.topic in _DEFAULT else 0,
                names=tuple(_NAMES.get(output.topic, ()))))
    order = [output.topic for output in OUTPUTS]
    return sorted(found, key=lambda topic: (topic.camera, order.index(
        topic.name[len(_prefix(node, topic.camera)):])))


def input_topics(topics: Iterable[tuple[str, list[str]]], cameras: Iterable[str]) -> list[Topic]:
    """Return what the node looks at itself, of the topics that it subscribes to.

    Args:
        topics: names with their types.
        cameras: names of the node's; only '' where it has one.
    """
    images = sorted(name for name, types in topics if {IMAGE, COMPRESSED} & set(types))
    found: dict[str, Topic] = {}
    for camera in cameras:
        for name in images:
            if not camera or f'/{camera}/' in name:
                found.setdefault(camera, Topic(name, 'Camera', camera, input=True))
    return list(found.values())


def camera_of(node: str, name: str, topic: str) -> str | None:
    """Return the camera that a topic is of, '' for the only one; None: it is another topic.

    Args:
        node: full name.
        name: full name of the topic.
        topic: what it is called below the node, or below the camera.
    """
    head, tail = f'{node.rstrip("/")}/', f'/{topic}'
    if name == head + topic:
        return ''
    if name.startswith(head) and name.endswith(tail):
        camera = name[len(head):-len(tail)]
        return camera if camera and '/' not in camera else None
    return None


def _split(node: str, name: str) -> tuple[str, Output | None]:
    for output in OUTPUTS:
        camera = camera_of(node, name, output.topic)
        if camera is not None:
            return camera, output
    return '', None


def _prefix(node: str, camera: str) -> str:
    return f'{node.rstrip("/")}/' + (f'{camera}/' if camera else '')
