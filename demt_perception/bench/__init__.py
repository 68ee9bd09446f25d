"""What `demt bench` measures: engines alone, and the node over DDS. The top layer, with cli."""

EAGER = 'torch-eager'
"""Stands for the plain network in torch, which is no engine: what others are compared with."""
