"""rosbag2 folders and storage files (sqlite3 and MCAP), read without a ROS installation."""

from demt_perception.bags.bag import Bag, listed_topics, open_bag
from demt_perception.bags.camera_topics import camera_topics
from demt_perception.bags.records import (
    BagError,
    IncompleteBagError,
    Message,
    ReadingError,
    Topic,
)

__all__ = [
    'Bag', 'BagError', 'IncompleteBagError', 'Message', 'ReadingError', 'Topic',
    'camera_topics', 'listed_topics', 'open_bag',
]
