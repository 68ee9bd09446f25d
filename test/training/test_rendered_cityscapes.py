"""Rendered views with the classes of Cityscapes, and views made before they had them."""

from pathlib import Path

from archives import write_rendered
import numpy as np
import pytest

from demt_perception.class_lists import CITYSCAPES, CITYSCAPES_PALETTE
from demt_perception.training.datasets import detect_layout, FileDataset, LAYOUTS, Rendered
from demt_perception.training.datasets.reading import read_grey


def test_either_list_of_classes(tmp_path):
    root = Path(write_rendered(tmp_path, 2))
    changed = root / 'cityscapes' / '00001.png'
    changed.write_bytes((root / 'cityscapes' / '00000.png').read_bytes())
    listing = LAYOUTS['rendered_cityscapes'].scan(root, '')
    data = FileDataset(listing)
    assert data.classes == CITYSCAPES and data.palette == CITYSCAPES_PALETTE
    assert len(CITYSCAPES) == len(CITYSCAPES_PALETTE) == 19
    assert not listing.problems
    assert np.array_equal(data[1].semseg, read_grey(changed))
    assert not np.array_equal(data[1].semseg, Rendered(root)[1].semseg)
    assert np.array_equal(data[0].depth, Rendered(root)[0].depth)
    assert detect_layout(root) == 'rendered', 'Cityscapes is read only where it is asked for'


def test_views_made_before_have_camvid_classes_only(tmp_path):
    root = Path(write_rendered(tmp_path, 2))
    for path in (root / 'cityscapes').iterdir():
        path.unlink()
    (root / 'cityscapes').rmdir()
    assert len(Rendered(root)) == 2
    listing = LAYOUTS['rendered_cityscapes'].scan(root, '')
    assert not listing.entries and len(listing.problems) == 2
    with pytest.raises(FileNotFoundError, match='demt generate'):
        FileDataset(listing)
