"""A generated street world with exact labels, rendered by Blender's Python module.

Every shape, texture and colour here is made by code from a seed. Nothing in this package needs
Blender until something is rendered: ``pip install bpy==4.5.15 OpenEXR`` (Python 3.11).
"""
