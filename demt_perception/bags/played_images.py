"""Which images of a bag that is played a node is to take, and how they come."""

from collections.abc import Mapping, Sequence

from demt_perception.bags.camera_topics import camera_topics, COMPRESSED_IMAGE, IMAGE
from demt_perception.bags.records import BagError, Topic

_KINDS = {'raw': IMAGE, 'compressed': COMPRESSED_IMAGE}
_COMPRESSED = '/compressed'


def first_images(topics: Mapping[str, Topic], transport: str) -> tuple[str, str]:
    """Return topic and transport of a bag's first camera.

    Args:
        topics: of the bag.
        transport: ``raw`` or ``compressed``, where only such images will do; else ''.

    Returns:
        the topic without ``/compressed``, and the transport; '' where the bag has both.

    Raises:
        BagError: there are no such images.
    """
    image, _ = camera_topics(topics)
    if transport and image.type != _KINDS[transport]:
        try:
            image, _ = camera_topics({topic.name: topic for topic in topics.values()
                                      if topic.type != image.type})
        except BagError as error:
            raise BagError(f'image_transport is {transport!r}, and no camera of the bag was '
                           f'recorded so, the first is {image.name} ({image.type}): leave '
                           'image_transport out') from error
    topic = image.name.removesuffix(_COMPRESSED)
    by_type = next(name for name, kind in _KINDS.items() if kind == image.type)
    other = _recorded(topics, topic) - {by_type}
    return topic, transport or ('' if other else by_type)


def named_images(topics: Mapping[str, Topic], image_topic: str, full: Sequence[str],
                 transport: str) -> tuple[str, str]:
    """Return topic and transport of images that the user has named.

    What the bag does not hold may come from elsewhere: then all is as it was given.

    Args:
        topics: of the bag.
        image_topic: as it was given, with or without ``/compressed``.
        full: names that it stands for, one for each camera.
        transport: as it was given; '' = as they were recorded.

    Returns:
        the topic without ``/compressed``, and the transport; '' where the bag does not decide it.
    """
    kinds = {topics[name].type for name in full if name in topics}
    if (image_topic.endswith(_COMPRESSED) and kinds == {COMPRESSED_IMAGE}
            and transport != 'raw'):
        return image_topic.removesuffix(_COMPRESSED), 'compressed'
    ways = [_recorded(topics, name) for name in full]
    shared = set.intersection(*filter(None, ways)) if any(ways) else set()
    return image_topic, transport or (shared.pop() if len(shared) == 1 else '')


def _recorded(topics: Mapping[str, Topic], topic: str) -> set[str]:
    """Return by which transports the images of a topic were recorded."""
    names = {'raw': topic, 'compressed': topic + _COMPRESSED}
    return {way for way, name in names.items()
            if name in topics and topics[name].type == _KINDS[way] and topics[name].count != 0}
