"""Notices that another node has the same name: ROS 2 allows it, and mixes what both do."""

from rclpy.node import Node


def namesake_text(node: Node) -> str:
    """Return what is wrong and what to do where several nodes have this node's name; ''."""
    mine = node.get_name(), node.get_namespace()
    count = node.get_node_names_and_namespaces().count(mine)
    if count < 2:
        return ''
    return (f'{count} nodes are called {node.get_fully_qualified_name()}: who listens gets the '
            'outputs of each, and a service call may reach any. End the others, or give them '
            'names of their own: --ros-args -r __node:=NAME. One that was killed counts for up to '
            '20 s more')
