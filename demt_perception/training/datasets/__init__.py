"""Datasets with dense labels, each giving plain arrays at the picture's own size."""

from demt_perception.training.datasets.boundaries import class_edges
from demt_perception.training.datasets.camvid import CamVid
from demt_perception.training.datasets.files import FileDataset, iterate
from demt_perception.training.datasets.folder import Folder
from demt_perception.training.datasets.layouts import detect_layout, LAYOUTS, list_split, STRETCHED
from demt_perception.training.datasets.mixture import Mixture
from demt_perception.training.datasets.nyud import Nyud
from demt_perception.training.datasets.pascal_context import PascalContext
from demt_perception.training.datasets.reading import read_image, read_rgb, SUFFIXES
from demt_perception.training.datasets.rendered import Rendered
from demt_perception.training.datasets.sample import IGNORE, Sample
from demt_perception.training.datasets.video import Video

__all__ = [
    'IGNORE', 'LAYOUTS', 'STRETCHED', 'SUFFIXES', 'CamVid', 'FileDataset', 'Folder', 'Mixture',
    'Nyud', 'PascalContext', 'Rendered', 'Sample', 'Video', 'class_edges', 'detect_layout',
    'iterate', 'list_split', 'read_image', 'read_rgb']
