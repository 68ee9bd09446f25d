"""One labelled picture of a frame: camera | semantic overlay | depth | normals | boundaries.

Used by ``demt predict``, the demo and the documentation.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demt_perception.inference import colors
from demt_perception.inference.resize import shrink
from demt_perception.model_card import ModelCard

if TYPE_CHECKING:
    from demt_perception.inference.predictions import Predictions

PANEL_WIDTH = 640
COLUMNS = 3
GAP = 6
CAPTION = 30
SCALE = 40
LEGEND_LINE = 24
LEGEND_COLUMN = 200
BACKGROUND = (24, 24, 24)
TEXT = (235, 235, 235)


CAPTIONS = {
    'camera': 'camera', 'overlay': 'semantic classes', 'depth_color': 'depth along Z',
    'normals_color': 'surface normals: red right, green down, blue away',
    'boundary': 'boundaries',
    'human_parts_color': 'human parts', 'saliency': 'saliency',
}
SURENESS = {
    'confidence': 'confidence of the class: white is certain',
    'depth_uncertainty_color': 'uncertainty of depth: white is half of it',
}
"""What says how good the others are: in the sheet of a frame only."""


def make_sheet(predictions: 'Predictions') -> np.ndarray:
    """Return the sheet, uint8 HxWx3 BGR, about 1940 pixels wide whatever the image size.

    Shows only what the model predicts.
    """
    height, width = predictions.size
    size = (max(1, round(PANEL_WIDTH * height / width)), PANEL_WIDTH)
    views = {'camera': shrink(predictions.image, size)}
    captions = CAPTIONS | SURENESS
    for name in captions:
        picture = getattr(predictions, name, None)
        if picture is not None:
            views[name] = shrink(_bgr(picture), size)
    if predictions.focal_assumed:
        captions['depth_color'] += (
            f', assuming {predictions.card.assumed_hfov:g} degrees of view')
    return arrange(views, predictions.card, captions,
                   legend=f'classes of {predictions.card.name}')


def arrange(views: Mapping[str, np.ndarray], card: ModelCard,
            captions: Mapping[str, str] = CAPTIONS, columns: int = COLUMNS,
            legend: str = '') -> np.ndarray:
    """Return views of one frame beside each other, uint8 HxWx3 BGR.

    Args:
        views: BGR uint8 pictures of one size, by the keys of CAPTIONS.
        card: of the model, for the depth scale and the classes.
        captions: text above each view; views without one are left out.
        columns: views in a row; the legend of classes fills a place that is left.
        legend: text above the legend, which then is there in any case.
    """
    panels = []
    for name, caption in captions.items():
        if name in views:
            panel = views[name]
            if name == 'depth_color':
                panel = _with_depth_scale(panel.copy(), card.depth_range)
            panels.append(_captioned(panel, caption))
    if 'overlay' in views and (legend or len(panels) % columns):
        panels.append(_captioned(_legend(card, views['overlay'].shape[:2]),
                                 legend or f'classes of {card.name}'))
    return _grid(panels, columns)


def _bgr(picture: np.ndarray) -> np.ndarray:
    code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
    return cv2.cvtColor(picture, code)


def _captioned(panel: np.ndarray, caption: str) -> np.ndarray:
    """Put a bar with the caption above a panel."""
    bar = np.full((CAPTION, panel.shape[1], 3), BACKGROUND, np.uint8)
    _text(bar, caption, (8, CAPTION - 9), 0.6)
    return np.vstack([bar, panel])


def _with_depth_scale(panel: np.ndarray, depth_range: tuple[float, float]) -> np.ndarray:
    """Draw the colour scale over the upper edge of the depth panel, where mostly sky is."""
    near, far = colors.color_range(depth_range)
    left, right = 24, panel.shape[1] - 24
    if panel.shape[0] < SCALE:
        return panel
    panel[:SCALE] //= 4
    ramp = np.geomspace(near, far, right - left)[None]
    bar = colors.colorize(colors.depth_index(ramp, depth_range), colors.depth_table())
    panel[4:16, left:right] = cv2.cvtColor(bar, cv2.COLOR_RGB2BGR)
    for metres in (0.5, 1, 2, 5, 10, 20, 50, 100, 200):
        if near <= metres <= far:
            x = left + round(np.log(metres / near) / np.log(far / near) * (right - left - 1))
            cv2.line(panel, (x, 2), (x, 18), TEXT, 1)
            _text(panel, f'{metres:g} m', (max(0, x - 18), 34), 0.45)
    return panel


def _legend(card: ModelCard, size: tuple[int, int]) -> np.ndarray:
    """Return a panel with the colour and name of every class that fits."""
    panel = np.full((*size, 3), BACKGROUND, np.uint8)
    lines = max(1, (size[0] - 8) // LEGEND_LINE)
    for index, (name, color) in enumerate(zip(card.classes, card.palette, strict=True)):
        x = 12 + index // lines * LEGEND_COLUMN
        y = 8 + index % lines * LEGEND_LINE
        cv2.rectangle(panel, (x, y), (x + 28, y + LEGEND_LINE - 8), color[::-1], cv2.FILLED)
        cv2.rectangle(panel, (x, y), (x + 28, y + LEGEND_LINE - 8), TEXT, 1)
        _text(panel, f'{index} {name}', (x + 38, y + LEGEND_LINE - 11), 0.5)
    return panel


def _grid(panels: list[np.ndarray], columns: int) -> np.ndarray:
    height, width = panels[0].shape[:2]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sheet = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), BACKGROUND, np.uint8)
    for index, panel in enumerate(panels):
        y = GAP + index // columns * (height + GAP)
        x = GAP + index % columns * (width + GAP)
        sheet[y:y + height, x:x + width] = panel
    return sheet


def _text(image: np.ndarray, text: str, origin: tuple[int, int], scale: float) -> None:
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT, 1, cv2.LINE_AA)
