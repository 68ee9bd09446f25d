"""A callback group for what comes and goes while a node lives."""

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup


def own_group() -> MutuallyExclusiveCallbackGroup:
    """Return a group for one publisher or subscription that may be destroyed before its node.

    A group of rclpy (Humble to Kilted) keeps a weak reference to each entity that it ever had. In
    the node's own group they would add up for as long as it lives: 3 kB for each configuration.
    """
    return MutuallyExclusiveCallbackGroup()
