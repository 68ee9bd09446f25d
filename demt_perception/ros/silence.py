"""Says why no image comes, and what to do about it. No rclpy: facts in, a sentence out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'

TRANSPORT_CURE = (
    "Fast DDS's defaults lose large images without a word: start the processes that send images "
    'with FASTDDS_DEFAULT_PROFILES_FILE and FASTRTPS_DEFAULT_PROFILES_FILE naming fastdds.xml of '
    "this package's config folder (on Humble with ROS_LOCALHOST_ONLY=1 fastdds_localhost.xml); or "
    'all processes with FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, which is ignored where '
    'ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST')
OTHER_CURE = 'look at the network, and at the size of the receive buffers (net.core.rmem_max)'


@dataclass(frozen=True)
class Seen:
    """A publisher found on our topic.

    Attributes:
        node: its full name.
        type: its message type.
        qos: its quality of service, for people.
        conflict: why its quality of service does not suit ours; '' where it does.
    """

    node: str
    type: str
    qos: str
    conflict: str = ''


def silence_text(topic: str, kind: str, ours: str, publishers: Sequence[Seen],
                 graph: Mapping[str, Sequence[str]], lost: int, cure: str, hint: str = '',
                 name: str = 'image') -> str:
    """Explain why nothing arrives.

    Args:
        topic: full name of the topic that we subscribe to.
        kind: its message type, as we want it.
        ours: our quality of service, for people.
        publishers: who publishes there.
        graph: message types of all topics.
        lost: images that the transport says it lost.
        cure: what to do where the transport loses images.
        hint: why publishers may be there and not be found.
        name: what the node remaps for another topic: ``image`` or ``CAMERA/image``.
    """
    if not publishers:
        return (f'no frame on {topic}: nobody publishes it; '
                f'{_other_topics(topic, name, kind, graph)}{hint}')
    found = ', '.join(f'{p.node} ({p.type}, {p.qos})' for p in publishers)
    text = f'no frame on {topic}; publishers: {found}; we want {kind}, {ours}: '
    right = [p for p in publishers if p.type == kind]
    if not right:
        return text + f'the type differs: {_other_topics(topic, name, kind, graph)}'
    suits = [p for p in right if not p.conflict]
    if not suits:
        return text + (
            f'the quality of service does not match: {right[0].conflict} '
            f'Set the publisher to ours, or our parameter '
            f'qos_overrides.{topic}.subscription.reliability to best_effort')
    if lost:
        return text + f'they match, but {lost} images were lost on the way. {cure}'
    return text + (f'they match, but nothing arrives: {suits[0].node} does not send, or its '
                   f'images are lost. {cure}')


def loss_text(topic: str, lost: int, received: int, cure: str) -> str:
    """Say that the transport lost images in the last period."""
    return f'{lost} of {lost + received} images on {topic} were lost on the way. {cure}'


def fewer_images_text(topic: str, images: int, infos: int, cure: str) -> str:
    """Say that fewer images came than camera_infos, which are small and get through."""
    return (f'{infos} camera_info came, but only {images} images on {topic}: the transport loses '
            f'images, unless the camera sends them less often. {cure}')


def discovery_hint(environ: Mapping[str, str]) -> str:
    """Return why publishers may be there and not be found, or ''."""
    if environ.get('FASTDDS_BUILTIN_TRANSPORTS') != 'LARGE_DATA':
        return ''
    return ('; this node runs with FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, and does not find '
            'processes that run without')


def transport_cure(middleware: str) -> str:
    """Return the cure for lost images by the name of the ROS middleware."""
    return TRANSPORT_CURE if 'fastrtps' in middleware else OTHER_CURE


def _other_topics(topic: str, name: str, kind: str, graph: Mapping[str, Sequence[str]]) -> str:
    images = [other for other, types in sorted(graph.items()) if kind in types and other != topic]
    second = COMPRESSED if kind == IMAGE else IMAGE
    others = [other for other, types in sorted(graph.items()) if second in types]
    if images:
        base = images[0].removesuffix('/compressed')
        return (f'images are on {", ".join(images[:5])}: remap with '
                f'--ros-args -r {name}:={base}, or set the launch argument')
    if others:
        transport = 'compressed' if kind == IMAGE else 'raw'
        return (f'{second} is on {", ".join(others[:5])}: set image_transport:={transport}, and '
                f'remap {name} to {others[0].removesuffix("/compressed")}')
    return ('no topic has images: start the camera, and check that it has the same '
            'ROS_DOMAIN_ID and network as this node')
