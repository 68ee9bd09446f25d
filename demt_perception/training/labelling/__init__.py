"""Labels made by trained networks for pictures that have none; only what holds is kept."""

from demt_perception.training.labelling.job import label_pictures

__all__ = ['label_pictures']
