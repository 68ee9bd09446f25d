"""Picks frames whose views have all arrived, keeps them small, and makes the pictures."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from demt_perception.inference.resize import shrink
from demt_perception.inference.sheet import arrange, CAPTIONS
from demt_perception.model_card import ModelCard
from demt_perception.ros.outputs import OUTPUTS
from demt_perception.ros.serialized_image import image_array

# Topics of the views, by their names in the sheet.
VIEWS = {output.topic: output.attribute for output in OUTPUTS if output.attribute in CAPTIONS}

_WIDTH = 480
# Short: the panels are small.
_CAPTIONS = CAPTIONS | {'normals_color': 'surface normals'}
MOST = 300
"""Moments that are kept, of about 2 MB each; even, so that thinning keeps the newest."""
_CAMERA_FRAMES = 30  # a second: older frames have been answered or dropped


@dataclass
class Moment:
    """One frame: its stamp, when its first view came, and its small BGR views by name."""

    stamp_ns: int
    received: float
    views: dict[str, np.ndarray] = field(default_factory=dict)


class PanelSampler:
    """Collects a moment every `period` seconds, cheaply: the measurement must not suffer.

    Where there are more than ``MOST`` every second one is dropped, and the period is doubled.
    """

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

    def add_view(self, topic: str, stamp: int, data: bytes, now: float) -> None:
        """Take a serialised view, if its frame is one to be shown."""
        if not self.moments or stamp > self.moments[-1].stamp_ns:
            camera = self._camera.get(stamp)
            if now < self._next or camera is None:
                return
            self.moments.append(Moment(stamp, now, {'camera': _small(camera, False)}))
            if len(self.moments) > MOST:
                self.moments, self._period = self.moments[::2], 2 * self._period
            self._next = max(self._next + self._period, now)
        if stamp == self.moments[-1].stamp_ns:
            self.moments[-1].views[VIEWS[topic]] = _small(data, True)

    def complete(self) -> list[Moment]:
        """Return the moments that have as many views as the fullest one."""
        most = max((len(moment.views) for moment in self.moments), default=0)
        return [moment for moment in self.moments if len(moment.views) == most > 1]


def _small(data: bytes, is_rgb: bool) -> np.ndarray:
    """Return a serialised image as BGR of the panel's width."""
    image = image_array(data)
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    image = shrink(image, (height, _WIDTH))
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if is_rgb else image


def sheet(moments: Sequence[Moment], card: ModelCard, rows: int) -> np.ndarray:
    """Return a picture of some moments, one a row: camera | classes | depth | ..."""
    begin = moments[0].received
    lines = []
    for index in np.linspace(0, len(moments) - 1, min(rows, len(moments))):
        moment = moments[round(index)]
        captions = _CAPTIONS | {'camera': f'camera, {moment.received - begin:.1f} s'}
        lines.append(arrange(moment.views, card, captions, columns=len(moment.views)))
    return np.vstack(lines)


def write_video(path: str, moments: Sequence[Moment], card: ModelCard, caption: str) -> None:
    """Write the moments as an MP4 that plays as fast as it was recorded.

    Raises:
        OSError: OpenCV has no encoder for it, or the file cannot be written.
    """
    span = moments[-1].received - moments[0].received
    rate = (len(moments) - 1) / span if span > 0 else 1.0
    first = arrange(moments[0].views, card, _CAPTIONS, legend=caption)
    size = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2  # encoders want even sides
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*'mp4v'), rate, size)
    if not writer.isOpened():
        raise OSError(f'{path} cannot be written as MP4 by this OpenCV')
    for moment in moments:
        picture = arrange(moment.views, card, _CAPTIONS, legend=caption)
        writer.write(np.ascontiguousarray(picture[:size[1], :size[0]]))
    writer.release()
