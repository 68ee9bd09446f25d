"""What a user's own folder may have wrong as a whole, though every file of it is good."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from demt_perception.training.datasets.files import Entry, Listing, Problem

Sizes = Mapping[str, tuple[int, ...]]
"""{name of a picture: (height, width)}, of those that can be read."""


def shared_pictures(root: Path, listings: Mapping[str, Listing]) -> list[Problem]:
    """Return a problem for each two splits that have pictures in common."""
    names = {split: {entry.name for entry in listing.entries}
             for split, listing in listings.items()}
    splits, out = list(names), []
    for number, one in enumerate(splits):
        for other in splits[number + 1:]:
            if both := sorted(names[one] & names[other]):
                out.append(Problem(root / 'splits' / f'{other}.txt', (
                    f'{_counted(len(both), "picture")} of split {one!r} as well, e.g. {both[0]}: '
                    'figures on what was learned from say nothing, want each in one split')))
    return out


def focal_lengths(listings: Iterable[Listing], sizes: Sizes) -> list[Problem]:
    """Return what is wrong with the focal lengths of pictures that have none of their own.

    Args:
        listings: of the splits of one folder.
        sizes: of their pictures.
    """
    bare: dict[str, Entry] = {}
    for listing in listings:
        bare |= {entry.name: entry for entry in listing.entries if entry.camera is None}
    if not bare:
        return []
    path = listing.root / 'dataset.yaml'
    if listing.focal is None:
        deep = [entry for entry in bare.values() if 'depth' in entry.labels]
        return [Problem(path, (
            f'{_counted(len(deep), "picture")} with depth and without a focal length, e.g. '
            f'{deep[0].name}: their depth is left out of training with protocol driving; want '
            'focal: pixels, or cameras/NAME.yaml'))] if deep else []
    # A camera that is turned on its side keeps its focal length.
    of_size: dict[tuple[int, ...], Entry] = {}
    for name, entry in bare.items():
        if name in sizes:
            of_size.setdefault(tuple(sorted(sizes[name])), entry)
    shown = ', '.join(f'{sizes[entry.name][0]}x{sizes[entry.name][1]} (e.g. {entry.name})'
                      for entry in list(of_size.values())[:3])
    return [Problem(path, (
        f'one focal for pictures of {len(of_size)} sizes, {shown}: it is right for one of them at '
        'most; want cameras/NAME.yaml for the others'))] if len(of_size) > 1 else []


def _counted(count: int, what: str) -> str:
    return f'{count} {what}{"" if count == 1 else "s"}'
