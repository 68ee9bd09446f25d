"""Picks frames whose views have all arrived, keeps them small, and makes the pictures."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from demt_perception.ros.demo.serialized_image import image_array

CAMERA = 'camera'
VIEWS = ('semantic/overlay', 'depth/color', 'normals/color', 'boundary/image')
CAPTIONS = dict(zip((CAMERA, *VIEWS), (
    'camera', 'semantic classes', 'depth', 'surface normals', 'boundaries'), strict=True))

_WIDTH = 480
_BAR = 24
_CAMERA_FRAMES = 30  # a second: older frames have been answered or dropped


@dataclass
class Moment:
    """One frame: its stamp, when its first view came, and its small BGR views by name."""

    stamp_ns: int
    received: float
    views: dict[str, np.ndarray] = field(default_factory=dict)


class PanelSampler:
    """Collects a moment every `period` seconds, cheaply: the measurement must not suffer."""

    def __init__(self, period: float) -> None:
        """Collect from now on."""
        self.moments: list[Moment] = []
        self._period = period
        self._next = 0.0
        self._camera: OrderedDict[int, bytes] = OrderedDict()

    def add_camera(self, stamp: int, data: bytes) -> None:
        """Remember a serialised camera image."""
        self._camera[stamp] = data
        if len(self._camera) > _CAMERA_FRAMES:
            self._camera.popitem(last=False)

    def add_view(self, name: str, stamp: int, data: bytes, now: float) -> None:
        """Take a serialised view, if its frame is one to be shown."""
        if not self.moments or stamp > self.moments[-1].stamp_ns:
            camera = self._camera.get(stamp)
            if now < self._next or camera is None:
                return
            self._next = max(self._next + self._period, now)
            self.moments.append(Moment(stamp, now, {CAMERA: _small(camera, False)}))
        if stamp == self.moments[-1].stamp_ns:
            self.moments[-1].views[name] = _small(data, True)

    def complete(self) -> list[Moment]:
        """Return the moments that have as many views as the fullest one."""
        most = max((len(moment.views) for moment in self.moments), default=0)
        return [moment for moment in self.moments if len(moment.views) == most > 1]


def _small(data: bytes, is_rgb: bool) -> np.ndarray:
    """Return a serialised image as BGR of the panel's width."""
    image = image_array(data)
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    image = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if is_rgb else image


def panel(moment: Moment, lines: Sequence[str]) -> np.ndarray:
    """Return one picture of a moment, three views a row, with lines of text in a free cell."""
    cells = [_captioned(view, CAPTIONS[name]) for name, view in _ordered(moment)]
    text = np.zeros_like(cells[0])
    for index, line in enumerate(lines):
        _write(text, line, (12, 48 + 24 * index))
    cells.append(text)
    cells += [np.zeros_like(text)] * (-len(cells) % 3)
    return np.vstack([np.hstack(cells[i:i + 3]) for i in range(0, len(cells), 3)])


def sheet(moments: Sequence[Moment], rows: int) -> np.ndarray:
    """Return a picture of some moments, one a row: camera | classes | depth | ..."""
    chosen = [moments[round(i)] for i in
              np.linspace(0, len(moments) - 1, min(rows, len(moments)))]
    begin = moments[0].received
    lines = []
    for moment in chosen:
        cells = []
        for name, view in _ordered(moment):
            caption = CAPTIONS[name]
            if name == CAMERA:
                caption += f', {moment.received - begin:.1f} s'
            cells.append(_captioned(view, caption))
        lines.append(np.hstack(cells))
    return np.vstack(lines)


def write_video(path: str, moments: Sequence[Moment], lines: Sequence[str]) -> None:
    """Write the panels as an MP4 that plays as fast as it was recorded.

    Raises:
        OSError: OpenCV has no encoder for it, or the file cannot be written.
    """
    span = moments[-1].received - moments[0].received
    rate = (len(moments) - 1) / span if span > 0 else 1.0
    first = panel(moments[0], lines)
    size = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2  # encoders want even sides
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*'mp4v'), rate, size)
    if not writer.isOpened():
        raise OSError(f'{path} cannot be written as MP4 by this OpenCV')
    for moment in moments:
        writer.write(np.ascontiguousarray(panel(moment, lines)[:size[1], :size[0]]))
    writer.release()


def _ordered(moment: Moment) -> list[tuple[str, np.ndarray]]:
    return [(name, moment.views[name]) for name in CAPTIONS if name in moment.views]


def _captioned(view: np.ndarray, caption: str) -> np.ndarray:
    bar = np.zeros((_BAR, view.shape[1], 3), np.uint8)
    _write(bar, caption, (6, _BAR - 8))
    return np.vstack([bar, view])


def _write(image: np.ndarray, text: str, origin: tuple[int, int]) -> None:
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1,
                cv2.LINE_AA)
