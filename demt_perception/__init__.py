"""One camera to semantic classes, metric depth, surface normals and boundaries, in real time."""

__version__ = '0.1.0'
