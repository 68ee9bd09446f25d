"""What can be said of one camera, to the node and to the verbs alike. Imports nothing."""

RECTIFIED = ('auto', 'true', 'false')
"""Values of the parameter rectified: see ``rectification.is_rectified``."""

DEPTH_SCALES = (0.01, 100.0)
"""Lowest and highest value of the parameter depth_scale."""
