"""The ROS 2 side: nodes, conversions, publishers; the only place that imports rclpy."""
