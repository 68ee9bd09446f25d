"""Looks at the ROS graph as it is now, and at image topics: for ``demt doctor``.

Run ``python -m demt_perception.ros.graph_check [--rectified VALUE] [TOPIC ...]``: prints a JSON
list of findings, each ``[level, text, remedy]`` with level ``GOOD``, ``NOTE`` or ``BAD``.
"""

import argparse
from collections.abc import Iterator
import json
import os
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility

from demt_perception.ros.domains import domains_alive
from demt_perception.ros.image_check import check_topic

NAME = f'demt_doctor_{os.getpid()}'
DISCOVERY_SECONDS = 3.0
# Longer, where nothing was found: a busy machine is slow to answer.
LATE_SECONDS = 3.0
IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')

Row = tuple[str, str, str]


def check(node: Node, topics: list[str], rectified: str) -> Iterator[Row]:
    """Yield what there is to say of the graph and, where some are given, of topics.

    Args:
        node: looks.
        topics: of images.
        rectified: whether these are, see ``is_rectified``.
    """
    domain = node.context.get_domain_id()
    end = time.monotonic() + DISCOVERY_SECONDS
    others = domains_alive(DISCOVERY_SECONDS) - {domain}
    time.sleep(max(end - time.monotonic(), 0))   # nodes of this domain are found meanwhile
    while time.monotonic() < end + LATE_SECONDS and not (
            _nodes(node) and all(node.count_publishers(topic) for topic in topics)):
        time.sleep(0.1)
    names = _nodes(node)
    graph = dict(node.get_topic_names_and_types())
    if names:
        yield 'GOOD', f'domain {domain}: {len(names)} nodes: {", ".join(names[:8])}' + (
            ', ...' if len(names) > 8 else ''), ''
    elif others:
        yield 'BAD' if topics else 'NOTE', (
            f'domain {domain}: no node, but something runs in domain '
            f'{", ".join(map(str, sorted(others)))}'), (
            f'export ROS_DOMAIN_ID={min(others)} here, or start the nodes with '
            f'ROS_DOMAIN_ID={domain}: only one domain is seen at a time')
    else:
        yield 'NOTE', f'domain {domain}: no node runs', (
            'start one; if one runs on another machine: same ROS_DOMAIN_ID, '
            'ROS_AUTOMATIC_DISCOVERY_RANGE not LOCALHOST, and a network with multicast')
    for name in sorted(graph):
        yield from _conflicts(node, name)
    for topic in topics:
        yield from check_topic(node, topic, rectified)
    if topics:
        return
    images = [name for name, types in sorted(graph.items())
              if set(types) & set(IMAGES) and node.count_publishers(name)]
    if images:
        yield 'NOTE', f'image topics: {", ".join(images)}', (
            f'demt doctor --topic {images[0]} looks into one')
    elif names:
        yield 'NOTE', 'no node publishes images', 'start the camera'


def _nodes(node: Node) -> list[str]:
    return sorted({f'{space.rstrip("/")}/{name}' for name, space
                   in node.get_node_names_and_namespaces() if not name.startswith('demt_doctor')})


def _conflicts(node: Node, topic: str) -> Iterator[Row]:
    """Yield why publishers and subscribers of a topic do not come together."""
    publishers = node.get_publishers_info_by_topic(topic)
    for reader in node.get_subscriptions_info_by_topic(topic):
        if reader.node_name == NAME:
            continue
        for writer in publishers:
            if reader.topic_type != writer.topic_type:
                yield 'BAD', (f'{topic}: {_name(writer)} sends {writer.topic_type}, '
                              f'{_name(reader)} wants {reader.topic_type}'), (
                    'remap one of them to another topic')
                continue
            compatible, reason = qos_check_compatible(writer.qos_profile, reader.qos_profile)
            if compatible == QoSCompatibility.ERROR:
                yield 'BAD', (f'{topic}: quality of service: {_name(reader)} gets nothing from '
                              f'{_name(writer)}: {reason.strip()}'), _qos_cure(topic, reason)


def _qos_cure(topic: str, reason: str) -> str:
    policy, ours, theirs = ('durability', 'volatile', 'transient_local') if (
        'volatile' in reason.lower()) else ('reliability', 'best_effort', 'reliable')
    return (f"set the reader's {policy} to {ours} (nodes that allow it: -p "
            f"qos_overrides.{topic}.subscription.{policy}:={ours}), or the sender's to {theirs}")


def _name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def main() -> int:
    """Print the findings."""
    parser = argparse.ArgumentParser()
    parser.add_argument('topics', nargs='*')
    parser.add_argument('--rectified', default='auto')
    args = parser.parse_args()
    rclpy.init(args=[])
    try:
        node = Node(NAME)
        print(json.dumps(list(check(node, args.topics, args.rectified))))
        node.destroy_node()
        return 0
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
