"""Which topic of a bag is the camera."""

from collections.abc import Mapping

from demt_perception.bags.records import BagError, Topic

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


def camera_topics(topics: Mapping[str, Topic]) -> tuple[Topic, Topic | None]:
    """Return the first colour image topic of a bag, and its camera_info where there is one.

    Topics that carry depth or masks by their name come last; empty ones are left out. The
    camera_info is the sibling of the image (image_transport's rule), or the only one there is.

    Raises:
        BagError: no topic carries images.
    """
    images = [
        topic for topic in topics.values()
        if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.count != 0
        and not topic.name.endswith('/compressedDepth')
    ]
    if not images:
        seen = ', '.join(f'{t.name} ({t.type}, {t.count})' for t in topics.values()) or 'nothing'
        raise BagError(f'the bag holds no images, want a topic of {IMAGE} or {COMPRESSED_IMAGE} '
                       f'with messages; it holds: {seen}')
    image = min(images, key=lambda t: any(word in t.name for word in ('depth', 'mask', 'label')))
    infos = {t.name: t for t in topics.values() if t.type == CAMERA_INFO and t.count != 0}
    base = image.name.removesuffix('/compressed')
    sibling = infos.get(base.rpartition('/')[0] + '/camera_info')
    if sibling is None and len(infos) == 1:
        sibling = next(iter(infos.values()))
    return image, sibling
