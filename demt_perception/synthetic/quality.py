"""The quality page of generated views: sheets to look at and a table of what they hold."""

from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demt_perception.synthetic.cityscapes import colours, NAMES
from demt_perception.synthetic.labels import CLASSES
from demt_perception.synthetic.reading import read_array, read_camera, read_map, read_picture

CAMVID_COLOURS = np.array([
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)], np.uint8)
DEPTHS = (0, 2, 5, 10, 20, 40, 80, 160, np.inf)
SHOWN, COUNTED = 24, 400  # views on the sheets; views in the statistics, evenly chosen
TALLIED = ('street', 'hour', 'wet', 'lamps', 'dirt', 'drops')
RANGES = ('focal / width', 'height_m', 'pitch', 'roll', 'yaw', 'visibility', 'motion_m',
          'defocus_px', 'gain')


def write_page(root: str | Path) -> Path:
    """Write ``quality/index.html`` and its sheets into a folder of generated views.

    Returns:
        The page.

    Raises:
        FileNotFoundError: no view is complete.
        OSError: a file of one cannot be read.
    """
    root = Path(root)
    names = sorted(path.stem for path in (root / 'cameras').glob('*.yaml'))
    if not names:
        raise FileNotFoundError(f'no complete view in {root}: run `demt generate` first')
    out = root / 'quality'
    out.mkdir(exist_ok=True)
    for old in out.glob('sheet_*.jpg'):
        old.unlink()
    sheets = []
    shown = _evenly(names, SHOWN)
    for number, start in enumerate(range(0, len(shown), 6)):
        rows = [np.hstack(panels(root, name)) for name in shown[start:start + 6]]
        sheets.append(f'sheet_{number}.jpg')
        cv2.imwrite(str(out / sheets[-1]), np.vstack(rows)[..., ::-1],
                    [cv2.IMWRITE_JPEG_QUALITY, 85])
    page = out / 'index.html'
    page.write_text(_page(len(names), statistics(root, _evenly(names, COUNTED)), sheets))
    return page


def panels(root: Path, name: str, width: int = 320) -> list[np.ndarray]:
    """Return picture, classes of CamVid and of Cityscapes, depth, normals, edges; all RGB."""
    picture = read_picture(root, name)
    classes = read_map(root, 'semseg', name)
    table = np.zeros((256, 3), np.uint8)
    table[:len(CAMVID_COLOURS)] = CAMVID_COLOURS
    ids = read_map(root, 'cityscapes', name) if (
        root / 'cityscapes' / f'{name}.png').is_file() else np.full_like(classes, 255)
    depth = read_array(root, 'depth', name)
    near = np.clip(1 - np.log(np.clip(depth, 2, 120) / 2) / np.log(60), 0, 1)
    heat = cv2.applyColorMap((near * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    heat[~np.isfinite(depth)] = 0
    normals = read_array(root, 'normals', name, (3,)).astype(np.float32)
    arrows = ((normals * (1, -1, -1) + 1) * 127.5).astype(np.uint8)
    arrows[~normals.any(-1)] = 0
    edge = np.repeat(read_map(root, 'edge', name)[..., None], 3, -1)
    # A strip of one column would make panels of gigabytes.
    size = width, max(1, min(4 * width, round(width * depth.shape[0] / depth.shape[1])))
    return [cv2.resize(panel, size, interpolation=cv2.INTER_AREA)
            for panel in (picture, table[classes], colours(ids), heat, arrows, edge)]


def statistics(root: Path, names: list[str]) -> dict[str, Any]:
    """Count pixels and draws of some views.

    Returns:
        ``camvid`` and ``cityscapes``: {class: (share of pixels, share of views)}; ``depth``:
        {range in metres: share}; ``sky``; ``edge``: shares; ``tallies``: {what: {value: views}};
        ``ranges``: {what: least, median, most}; ``objects``: mean instances of things in a view.
    """
    camvid, city = np.zeros((2, 256)), np.zeros((2, 256))
    depths, sky, edge, objects = np.zeros(len(DEPTHS) - 1), 0., 0., 0
    cameras = []
    for name in names:
        for counts, folder in ((camvid, 'semseg'), (city, 'cityscapes')):
            if (root / folder / f'{name}.png').is_file():
                found = np.bincount(read_map(root, folder, name).ravel(), minlength=256)
                counts += found / found.sum(), found > 0
        depth = read_array(root, 'depth', name)
        hit = depth[np.isfinite(depth)]
        sky += 1 - hit.size / depth.size
        depths += np.histogram(hit, DEPTHS)[0] / depth.size
        edge += float((read_map(root, 'edge', name) > 0).mean())
        ids = np.unique(read_map(root, 'instance', name, deep=True))
        objects += int(np.isin(ids // 2048, (8, 9, 10)).sum())
        camera = read_camera(root, name, RANGES)
        cameras.append({**camera, 'focal / width': camera['fx'] / depth.shape[1]})
    n = len(names)
    share = {f'{a} to {b} m': float(v / n) for a, b, v in zip(DEPTHS, DEPTHS[1:], depths,
                                                               strict=False)}
    return {
        'views': n, 'camvid': _shares(CLASSES, camvid / n), 'cityscapes': _shares(NAMES, city / n),
        'depth': share, 'sky': sky / n, 'edge': edge / n, 'objects': objects / n,
        'tallies': {key: dict(Counter(str(c[key]) for c in cameras if key in c).most_common())
                    for key in TALLIED},
        'ranges': {key: np.percentile([c[key] for c in cameras if key in c], (0, 50, 100),
                                      method='nearest').tolist()
                   for key in RANGES if any(key in c for c in cameras)}}


def _shares(names: tuple[str, ...], counts: np.ndarray) -> dict[str, tuple[float, float]]:
    return {name: (float(counts[0, k]), float(counts[1, k]))
            for k, name in [*enumerate(names), (255, 'ignored')]}


def _evenly(names: list[str], most: int) -> list[str]:
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(most, len(names)))
                                        .astype(int))]


def _page(total: int, told: dict, sheets: list[str]) -> str:
    """Return the page; every number on it is of the views counted."""
    def table(title, head, rows):
        cells = ''.join('<tr>' + ''.join(f'<td>{escape(str(v))}</td>' for v in row) + '</tr>'
                        for row in rows)
        top = ''.join(f'<th>{escape(h)}</th>' for h in head)
        return f'<h2>{escape(title)}</h2><table><tr>{top}</tr>{cells}</table>'

    def percent(value):
        return f'{100 * value:.2f} %'

    parts = [table(f'Classes of {title}', ('class', 'pixels', 'views that show it'),
                   [(k, percent(a), percent(b)) for k, (a, b) in told[key].items()])
             for title, key in (('CamVid', 'camvid'), ('Cityscapes', 'cityscapes'))]
    parts.append(table('Depth along Z', ('metres', 'pixels'), [
        *((k, percent(v)) for k, v in told['depth'].items()), ('sky', percent(told['sky']))]))
    parts.append(table('Draws', ('what', 'views'), [
        (key, ', '.join(f'{value}: {count}' for value, count in values.items()))
        for key, values in told['tallies'].items()]))
    parts.append(table('Camera', ('what', 'least', 'median', 'most'), [
        (key, *(f'{v:.3g}' for v in values)) for key, values in told['ranges'].items()]))
    pictures = ''.join(f'<img src="{name}" alt="views">' for name in sheets)
    return (
        '<!doctype html><meta charset="utf-8"><title>Generated views</title><style>'
        'body{font:14px sans-serif;margin:1em}td,th{padding:1px 12px 1px 0;text-align:left}'
        'img{width:100%;display:block;margin-bottom:4px}</style>'
        f'<h1>{total} generated views</h1><p>Statistics of {told["views"]} of them. '
        f'Boundaries cover {percent(told["edge"])} of the pixels; a view shows '
        f'{told["objects"]:.1f} vehicles, riders and people.</p>'
        '<p>Left to right: picture, classes of CamVid, classes of Cityscapes, depth (2 to 120 m, '
        f'near is red, sky black), normals, boundaries.</p>{pictures}{"".join(parts)}')
