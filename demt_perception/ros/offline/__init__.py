"""The node's work on recordings, without rclpy: the same messages from the same code."""
