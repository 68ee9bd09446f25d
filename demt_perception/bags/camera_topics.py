"""Which topics of a bag are cameras."""

from collections import Counter
from collections.abc import Iterable, Mapping
import logging
from typing import NamedTuple

from demt_perception.bags.records import BagError, Topic
from demt_perception.bags.ros_types import LABEL_TABLE

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_COMPRESSED = '/compressed'
# Transports whose messages are CompressedImage, too, but neither JPEG nor PNG.
_NO_PICTURES = '/compressedDepth', '/zstd'
# Words in the names of images that are no colour pictures.
_OTHER = ('depth', 'mask', 'label')
# What the perception node alone publishes, by its name below the node's: `ros2 bag record -a`
# records it beside the images that the node makes.
_OWN = {'stats': 'demt_msgs/msg/InferenceStats', 'dense': 'demt_msgs/msg/DensePrediction',
        'semantic/label_table': LABEL_TABLE}

logger = logging.getLogger(__name__)


class Camera(NamedTuple):
    """One camera of a bag: its name among the others ('' for the only one), and its topics."""

    name: str
    image: Topic
    info: Topic | None


def camera_topics(topics: Mapping[str, Topic]) -> tuple[Topic, Topic | None]:
    """Return the first colour image topic of a bag, and its camera_info where there is one.

    Topics that carry depth or masks by their name come last, of the others those without a
    camera_info beside them; empty ones and outputs of the perception node are left out. The
    camera_info is the sibling of the image (image_transport's rule), or the only one there is,
    unless it is that of other images.

    Raises:
        BagError: no topic carries images of a camera.
    """
    image = min(_images(topics), key=lambda topic: (
        _is_other(topic), _info_beside(topic, topics) is None))
    return image, _info_of(image, topics)


def all_cameras(topics: Mapping[str, Topic], names: Iterable[str] = ()) -> list[Camera]:
    """Return the cameras of a bag.

    Without names: every colour image topic with messages but outputs of the perception node;
    where a camera was recorded raw and compressed, the raw one. Several cameras are called by the
    last part of their namespace, ``front`` of ``/camera/front/image_raw``, or by the whole topic
    where that says too little.

    Args:
        topics: of a bag.
        names: image topics to take instead.

    Raises:
        BagError: no topic carries images, or a name is not one of those that do.
    """
    names = list(names)
    images = _images(topics, named=bool(names))
    if names:
        found = {topic.name: topic for topic in images}
        if strange := [name for name in names if name not in found]:
            raise BagError(f'{", ".join(strange)}: no topic with images; the bag has '
                           f'{", ".join(found)}')
        chosen = [found[name] for name in dict.fromkeys(names)]
    else:
        some = [topic for topic in images if not _is_other(topic)] or images
        bases: dict[str, Topic] = {}
        for topic in some:
            base = topic.name.removesuffix(_COMPRESSED)
            if base not in bases or topic.type == IMAGE:
                bases[base] = topic
        chosen = list(bases.values())
    if len(chosen) == 1:
        return [Camera('', chosen[0], _info_of(chosen[0], topics))]
    places = [topic.name.removesuffix(_COMPRESSED).strip('/').split('/') for topic in chosen]
    often = Counter(place[-2] if len(place) > 1 else '' for place in places)
    names = [place[-2] if len(place) > 1 and often[place[-2]] == 1 else '/'.join(place)
             for place in places]
    if len(set(names)) < len(names):   # whole topics are never alike
        names = [topic.name.strip('/') for topic in chosen]
    return [Camera(name, topic, _info_of(topic, topics, alone=False))
            for name, topic in zip(names, chosen, strict=True)]


def _images(topics: Mapping[str, Topic], named: bool = False) -> list[Topic]:
    """Return the topics with images; with ``named`` also the perception node's own outputs."""
    own = () if named else _own_places(topics)
    images = [
        topic for topic in topics.values()
        if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.count != 0
        and not topic.name.endswith(_NO_PICTURES) and not topic.name.startswith(own)
    ]
    if not images:
        seen = ', '.join(f'{t.name} ({t.type}, {t.count})' for t in topics.values()) or 'nothing'
        besides = f' besides outputs of the perception node below {", ".join(own)}' if own else ''
        raise BagError(f'the bag holds no images{besides}, want a topic of {IMAGE} or '
                       f'{COMPRESSED_IMAGE} with messages, not in {" or ".join(_NO_PICTURES)}; '
                       f'it holds: {seen}')
    return images


def _own_places(topics: Mapping[str, Topic]) -> tuple[str, ...]:
    """Return what the names of a perception node's outputs begin with, ``/demt_perception/``."""
    places = {topic.name.removesuffix(name) for topic in topics.values()
              for name, kind in _OWN.items()
              if topic.type == kind and topic.name.endswith(f'/{name}')}
    return tuple(sorted(places - {'/'}))   # remapped to the root: what else is there is not ours


def _is_other(topic: Topic) -> bool:
    return any(word in topic.name for word in _OTHER)


def _place(image: Topic) -> str:
    """Return the namespace of an image, where its camera_info belongs."""
    base = image.name
    for transport in (_COMPRESSED, *_NO_PICTURES):
        base = base.removesuffix(transport)
    return base.rpartition('/')[0]


def _info_beside(image: Topic, topics: Mapping[str, Topic]) -> Topic | None:
    info = topics.get(f'{_place(image)}/camera_info')
    return info if info is not None and info.type == CAMERA_INFO and info.count != 0 else None


def _info_of(image: Topic, topics: Mapping[str, Topic], alone: bool = True) -> Topic | None:
    """Return an image's camera_info; with ``alone`` also one elsewhere that is the only one."""
    beside = _info_beside(image, topics)
    if beside is not None or not alone:
        return beside
    own = _own_places(topics)
    infos = [topic for topic in topics.values() if topic.type == CAMERA_INFO and topic.count != 0
             and not topic.name.startswith(own)]
    # With the lens of another camera, depth and points would be wrong without a word.
    taken = {f'{_place(topic)}/camera_info' for topic in topics.values()
             if topic.type in (IMAGE, COMPRESSED_IMAGE)}
    if len(infos) != 1 or infos[0].name in taken:
        return None
    logger.warning('%s has no camera_info beside it: %s is taken for it, the only one of the bag, '
                   'which no other image has beside it', image.name, infos[0].name)
    return infos[0]
