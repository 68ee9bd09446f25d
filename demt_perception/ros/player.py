"""Plays a bag over DDS as it was recorded, with ``/clock``: for machines without ``ros2 bag``.

Messages are sent as they lie in the bag, still serialised; those of ROS 1 as CDR of ROS 2.
"""

from collections.abc import Callable, Collection
from contextlib import closing
import importlib
from importlib.util import find_spec
from pathlib import Path
import time
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from demt_perception.bags import Bag, BagError, open_bag, Topic
from demt_perception.bags.camera_topics import COMPRESSED_IMAGE, IMAGE
from demt_perception.ros.ahead import ahead

CLOCK_PERIOD = 0.025
"""Seconds between two messages on ``/clock``."""

PATIENCE = 5.0
"""Seconds that the first message waits for somebody who listens to the images."""

GRACE = 1.0
"""Seconds after that: who is found has found us only a little later, and on one topic of many."""

CLOCK = '/clock'
_LATE = 0.1
"""Seconds beyond which what was missed is not caught up with a burst."""

_AHEAD = 16


class Player(Node):
    """Publishes the messages of one bag."""

    def __init__(self, bag: Bag, topics: Collection[str], say: Callable[[str], None]) -> None:
        """Advertise the topics.

        Args:
            bag: open.
            topics: names; none: all whose types are installed.
            say: told which are left out, and where the bag ends early.

        Raises:
            BagError: a topic is not in the bag, or its type is not installed.
        """
        super().__init__('demt_player')
        self._bag = bag
        self._say = say
        if strange := sorted(set(topics) - bag.topics.keys()):
            raise BagError(f'{bag.path} has no {", ".join(strange)}; it has: '
                           f'{", ".join(sorted(bag.topics))}')
        # One clock: the player's own, which stands still and jumps as the playing does.
        chosen = [topic for topic in bag.topics.values()
                  if (not topics or topic.name in topics) and topic.name != CLOCK]
        kinds = {topic.name: _kind(topic) for topic in chosen}
        missing = [f'{topic.name} ({topic.type})' for topic in chosen if kinds[topic.name] is None]
        if missing and (topics or len(missing) == len(kinds)):
            raise BagError(f'{bag.path}: no message type for {", ".join(missing)}: install its '
                           'package')
        if missing:
            say(f'left out, their types are not installed: {", ".join(missing)}')
        self.playing = {topic.name: self.create_publisher(
            kinds[topic.name], topic.name, _qos(topic.latched))
            for topic in chosen if kinds[topic.name] is not None}
        self._images = [self.playing[topic.name] for topic in chosen
                        if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.name in self.playing]
        self._clock_topic = self.create_publisher(Clock, CLOCK, _qos(False))

    def wait_for_listeners(self) -> None:
        """Wait until somebody listens to an image, or for ``PATIENCE`` seconds."""
        limit = time.monotonic() + PATIENCE
        while self._images and time.monotonic() < limit and rclpy.ok() and not any(
                publisher.get_subscription_count() for publisher in self._images):
            time.sleep(CLOCK_PERIOD)
        time.sleep(GRACE)

    def play(self, rate: float, start: float) -> int:
        """Play to the end, or until rclpy is shut down; return how many messages were sent.

        Args:
            rate: seconds of the bag in a second.
            start: seconds of the bag that are passed over, but for latched messages in them.
        """
        begin: int | None = None
        origin = time.monotonic()   # when the recording's begin would have been played
        tick = origin
        count = 0
        messages = ahead(self._bag.messages(self.playing), _AHEAD, 'reading')
        with closing(messages):
            try:
                for message in messages:
                    if begin is None:
                        begin = message.time_ns
                        origin = time.monotonic() - start / rate
                    offset = (message.time_ns - begin) / 1e9
                    if offset < start and not self._bag.topics[message.topic].latched:
                        continue
                    due = origin + max(offset, start) / rate
                    while (now := time.monotonic()) < due:
                        if now >= tick:
                            self._send_clock(begin, (now - origin) * rate)
                            tick = now + CLOCK_PERIOD
                        time.sleep(max(0.0, min(due, tick) - time.monotonic()))
                        if not rclpy.ok():
                            return count
                    if now - due > _LATE:
                        origin += now - due
                    # Before the message, so that a node on this clock never sees the future.
                    self._send_clock(begin, max(offset, start))
                    self.playing[message.topic].publish(message.data)
                    count += 1
                    if not rclpy.ok():
                        return count
            except BagError as error:
                self._say(str(error))
        return count

    def wait_for_delivery(self) -> None:
        """Wait until all who listen have what was sent, or for ``PATIENCE`` seconds."""
        limit = time.monotonic() + PATIENCE
        for publisher in self.playing.values():
            left = limit - time.monotonic()
            if left > 0 and rclpy.ok():
                publisher.wait_for_all_acked(Duration(seconds=left))

    def _send_clock(self, begin: int, offset: float) -> None:
        self._clock_topic.publish(Clock(clock=Time(
            nanoseconds=begin + round(offset * 1e9)).to_msg()))


def play(path: Path, topics: Collection[str], rate: float, loop: bool, start: float,
         say: Callable[[str], None]) -> int:
    """Play a bag, again and again with ``loop``; return how many messages were sent.

    Raises:
        BagError: see ``Player``, or the bag cannot be read.
    """
    with open_bag(path) as bag:
        rclpy.init()
        try:
            player = Player(bag, topics, say)
            say(f'playing {", ".join(player.playing)}')
            player.wait_for_listeners()
            count = played = player.play(rate, start)
            while loop and played and rclpy.ok():
                played = player.play(rate, start)
                count += played
            player.wait_for_delivery()
            player.destroy_node()
            return count
        except Exception:
            # A signal takes the context away from a message that is just being sent.
            if rclpy.ok():
                raise
            return 0
        finally:
            rclpy.try_shutdown()


def _kind(topic: Topic) -> Any:
    """Return the class of a topic's messages; None where its package is not installed.

    The bag names the package, and to import one runs it: so only what looks like messages, and
    nothing from the folder that this was started in, which may be the bag's own.
    """
    package, _, name = topic.type.partition('/msg/')
    if topic.encoding != 'cdr' or not package.isidentifier():
        return None
    try:
        spec = find_spec(package)   # runs nothing yet
        place = Path(((spec and spec.submodule_search_locations) or [])[0])
        # The folder that it is found in: the package itself may be a link to elsewhere.
        if not (place / 'msg' / '__init__.py').is_file() or place.parent.resolve() == Path.cwd():
            return None
        kind = getattr(importlib.import_module(f'{package}.msg'), name, None)
    except (ImportError, IndexError, ValueError):
        return None
    return kind if hasattr(kind, 'get_fields_and_field_types') else None


def _qos(latched: bool) -> QoSProfile:
    return QoSProfile(
        depth=10, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
