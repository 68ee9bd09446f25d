"""What the launch files decide, without launch: names of topics for one camera and for several."""

from collections.abc import Iterable
import os
from pathlib import Path
import re
from typing import NamedTuple

from demt_perception import ADDED
from demt_perception.outside import read_yaml

NODE = 'demt_perception'


class Camera(NamedTuple):
    """A camera that a launch file starts or listens to.

    Attributes:
        name: '' where there is only one.
        source: what to publish; '' where the topic exists already.
        topic: its image topic.
        info: its camera_info topic.
    """

    name: str
    source: str
    topic: str
    info: str


_SWITCH = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


def read_switch(name: str, text: str, empty: bool = False) -> bool | None:
    """Return what an argument that is true or false says; None where it is empty.

    Args:
        name: of the argument, for the error.
        text: its value, in any case: Nav2 and the TurtleBots write ``True``.
        empty: whether it may be: something else decides then.

    Raises:
        ValueError: it is neither.
    """
    if empty and not text.strip():
        return None
    try:
        return _SWITCH[text.strip().lower()]
    except KeyError:
        more = ', or nothing' if empty else ''
        raise ValueError(f'{name} is {text!r}, want true, 1 or yes, or false, 0 or no, in any '
                         f'case{more}: {name}:=true') from None


def take_back_settings() -> None:
    """Take back what importing the package has put into this process's environment.

    In a launch file that is the environment of all processes that launch starts from then on, a
    whole robot's. Those of this package make the settings themselves.
    """
    while ADDED:
        os.environ.pop(ADDED.popitem()[0], None)


def full_name(name: str, namespace: str, around: str = '') -> str:
    """Return the full name of a topic or node.

    Args:
        name: relative to the namespace, unless it begins with ``/``.
        namespace: as it was given; relative to what is around it, unless it begins with ``/``.
        around: what PushRosNamespace of the files around has made.
    """
    full = ''
    for part in around, namespace, name:
        full = part if part.startswith('/') else f'{full}/{part}'
    return '/'.join(['', *filter(None, full.split('/'))])


def cameras_of(names: str, source: str, image_topic: str) -> list[Camera]:
    """Return the cameras that arguments of camera.launch.py name.

    Args:
        names: separated by commas; '' for one camera without a name.
        source: one, or as many as there are names, separated by commas; '' for none.
        image_topic: of the camera; with names below them, so relative.

    Raises:
        ValueError: they do not fit together.
    """
    if not names:
        return [Camera('', source, image_topic, _info(image_topic))]
    cameras = [name.strip() for name in names.split(',')]
    wrong = [name for name in cameras if not re.fullmatch('[A-Za-z][A-Za-z0-9_]*', name)]
    if wrong or len(set(cameras)) != len(cameras):
        raise ValueError(f'cameras is {names!r}, want different names of letters, digits and '
                         'underscores, separated by commas: front,left')
    if image_topic.startswith('/'):
        raise ValueError(f'image_topic is {image_topic!r}: with cameras it is below each name, so '
                         'it cannot begin with /; front/image_raw is cameras:=front '
                         'image_topic:=image_raw')
    sources = source.split(',') if source else [''] * len(cameras)
    if len(sources) != len(cameras):
        raise ValueError(f'source has {len(sources)} entries for {len(cameras)} cameras: give one '
                         'for each, separated by commas, or none')
    return [Camera(name, one.strip(), f'{name}/{image_topic}', _info(f'{name}/{image_topic}'))
            for name, one in zip(cameras, sources, strict=True)]


def node_remappings(cameras: list[Camera]) -> list[tuple[str, str]]:
    """Return the remappings of the perception node."""
    return [pair for camera in cameras for pair in _remappings(
        f'{camera.name}/' if camera.name else '', camera)]


def rviz_remappings(layout: Path, camera: str) -> list[tuple[str, str]]:
    """Return the remappings by which RViz shows a camera that has a name.

    Args:
        layout: ``config/perception.rviz``, whose topics are those of a camera without.
        camera: its name; '' where there is only one.
    """
    if not camera:
        return []
    displays = read_yaml(layout)['Visualization Manager']['Displays']
    return [(topic, topic.replace(f'{NODE}/', f'{NODE}/{camera}/', 1))
            for topic in (display['Topic']['Value'] for display in displays)]


def outputs_aside(topics: Iterable[str], node: str) -> list[str]:
    """Return the rules that play a bag's recorded outputs of a node elsewhere than its new ones.

    Args:
        topics: of the bag.
        node: the full name of the node that is to run.
    """
    return [f'{topic}:=/recorded{topic}' for topic in topics if topic.startswith(f'{node}/')]


def source_remappings(camera: Camera) -> list[tuple[str, str]]:
    """Return the remappings of a camera source."""
    return _remappings('', camera)


def source_parameters(camera: Camera, camera_info_file: str, device_format: str) -> dict[str, str]:
    """Return the parameters of a camera source, all texts.

    Args:
        camera: that it publishes.
        camera_info_file: where ``{camera}`` stands for the camera's name.
        device_format: see ``live.read_format``.
    """
    parameters = {'source': camera.source, 'device_format': device_format,
                  'camera_info_file': camera_info_file.replace('{camera}', camera.name)}
    if camera.name:
        parameters['frame_id'] = f'{camera.name}_optical_frame'
    return parameters


def _remappings(prefix: str, camera: Camera) -> list[tuple[str, str]]:
    return [(f'{prefix}image', camera.topic),
            (f'{prefix}image/compressed', f'{camera.topic}/compressed'),
            (f'{prefix}camera_info', camera.info)]


def _info(topic: str) -> str:
    """Return the camera_info beside an image topic."""
    return topic.rpartition('/')[0] + '/camera_info' if '/' in topic else 'camera_info'
