"""Which topics of a bag are cameras."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from demt_perception.bags.records import BagError, Topic

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_COMPRESSED = '/compressed'
# Words in the names of images that are no colour pictures.
_OTHER = ('depth', 'mask', 'label')


class Camera(NamedTuple):
    """One camera of a bag: its name among the others ('' for the only one), and its topics."""

    name: str
    image: Topic
    info: Topic | None


def camera_topics(topics: Mapping[str, Topic]) -> tuple[Topic, Topic | None]:
    """Return the first colour image topic of a bag, and its camera_info where there is one.

    Topics that carry depth or masks by their name come last; empty ones are left out. The
    camera_info is the sibling of the image (image_transport's rule), or the only one there is.

    Raises:
        BagError: no topic carries images.
    """
    image = min(_images(topics), key=_is_other)
    return image, _info_of(image, topics)


def all_cameras(topics: Mapping[str, Topic], names: Iterable[str] = ()) -> list[Camera]:
    """Return the cameras of a bag.

    Without names: every colour image topic with messages; where a camera was recorded raw and
    compressed, the raw one. Several cameras are called by the last part of their namespace,
    ``front`` of ``/camera/front/image_raw``, or by the whole topic where that says too little.

    Args:
        topics: of a bag.
        names: image topics to take instead.

    Raises:
        BagError: no topic carries images, or a name is not one of those that do.
    """
    images = _images(topics)
    if names := list(names):
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


def _images(topics: Mapping[str, Topic]) -> list[Topic]:
    images = [
        topic for topic in topics.values()
        if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.count != 0
        and not topic.name.endswith('/compressedDepth')
    ]
    if not images:
        seen = ', '.join(f'{t.name} ({t.type}, {t.count})' for t in topics.values()) or 'nothing'
        raise BagError(f'the bag holds no images, want a topic of {IMAGE} or {COMPRESSED_IMAGE} '
                       f'with messages; it holds: {seen}')
    return images


def _is_other(topic: Topic) -> bool:
    return any(word in topic.name for word in _OTHER)


def _info_of(image: Topic, topics: Mapping[str, Topic], alone: bool = True) -> Topic | None:
    """Return an image's camera_info; with ``alone`` also one elsewhere that is the only one."""
    infos = {t.name: t for t in topics.values() if t.type == CAMERA_INFO and t.count != 0}
    base = image.name.removesuffix(_COMPRESSED)
    sibling = infos.get(base.rpartition('/')[0] + '/camera_info')
    if sibling is None and alone and len(infos) == 1:
        sibling = next(iter(infos.values()))
    return sibling
