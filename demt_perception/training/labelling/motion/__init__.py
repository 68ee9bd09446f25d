"""Depth of a drive's photographs out of nothing but the drive: how the camera went tells it."""
