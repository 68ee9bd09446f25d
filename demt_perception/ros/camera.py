"""One camera of a node: what comes from it, what is published of it, and what happened."""

import math
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode

from demt_perception.inference.rates import due
from demt_perception.model_card import ModelCard
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import cropped_camera_info, focal_lengths
from demt_perception.ros.frame import check_given_up, Picture, Result, Wanted
from demt_perception.ros.frame_statistics import NOT_DUE, NOT_WANTED, Snapshot, Statistics
from demt_perception.ros.namesakes import namesake_text
from demt_perception.ros.outlet import Outlet
from demt_perception.ros.parameters import Settings
from demt_perception.ros.pipeline import Pipeline
from demt_perception.ros.pixels import pixels_of
from demt_perception.ros.reception import Reception
from demt_perception.ros.rectification import unknown_lens
from demt_perception.ros.self_check import CameraCheck, HEALTH
from demt_perception.ros.stamps import since_stamp


class Camera:
    """Exists while the node is configured.

    Its methods up to ``frame_age`` are for the executor's thread; the rest is what the pipeline's
    threads call (``frame.Source``).

    Attributes:
        name: of the parameter ``cameras``; '' where there is only one, without a name.
        settings: as they are now; replaced as a whole.
        chosen: tasks that are published of those that the model has; None: all.
        statistics: counts since configuration.
        reception: the subscriptions, while the node listens; else None.
        self_check: whether what it sees can be trusted.
    """

    def __init__(self, node: LifecycleNode, name: str, settings: Settings, card: ModelCard,
                 ) -> None:
        """Advertise the topics of a model."""
        self._node = node
        self.name = name
        self.settings = settings
        self.chosen: tuple[str, ...] | None = None
        self.statistics = Statistics()
        self.reception: Reception | None = None
        self._before: Reception | None = None   # the last that ended
        self._prefix = f'{name}/' if name else ''
        self._frame = 0
        self._trouble = ''
        self._outlet = Outlet(node, self._prefix, card, settings.confidence)
        self.self_check = CameraCheck(node, self._prefix)

    def listen(self, pipeline: Pipeline) -> None:
        """Begin to hand frames to a pipeline."""
        self.statistics.restart_silence()
        self.reception = Reception(
            self._node, self._prefix, self.settings.image_transport == 'compressed',
            self.statistics, lambda message, stamp: pipeline.submit(self, message, stamp),
            self.report_drop, self.settings.rectified[self.name], self._before)

    def ignore(self) -> None:
        """End the subscriptions; frames in hand, and later ones, still have their camera_info."""
        if self.reception is not None:
            self.reception.destroy()
            self._before, self.reception = self.reception, None

    def close(self) -> None:
        """Take back the topics, once no pipeline is at work."""
        self.ignore()
        self._outlet.destroy()
        self.self_check.destroy()

    def offer(self, card: ModelCard, at_once: bool = False) -> None:
        """Advertise the topics of a model with the present settings; see ``Outlet.offer``."""
        self._outlet.offer(card, self.settings.confidence, at_once)

    def check(self, settings: Settings) -> None:
        """Raise ValueError where a new region does not suit the images that come."""
        region, reception = settings.regions.get(self.name), self.reception
        if region in (None, self.settings.regions.get(self.name)):
            return   # one that images have left since must not keep all else from being changed
        if reception is not None and reception.size is not None:
            width, height = reception.size
            if trouble := _region_trouble(self.name, region, width, height):
                raise ValueError(trouble)

    def size_analysed(self) -> tuple[int, int] | None:
        """Return (height, width) of what is analysed of the images; None before the first."""
        reception, region = self.reception, self.settings.regions.get(self.name)
        if reception is None or reception.size is None:
            return None
        width, height = reception.size if region is None else region[2:]
        return height, width

    def judge(self) -> tuple[Snapshot, str]:
        """Return what happened to the frames, and what is wrong with the input: once a report.

        A trouble is logged when it begins.
        """
        if (text := namesake_text(self._node)) and self.statistics.note('namesake', text):
            self._node.get_logger().warning(text)
        snapshot, trouble = self.statistics.snapshot(), ''
        if self.reception is not None:
            watch = self.reception.watch
            silent = snapshot.silence > self.settings.no_frame_timeout
            trouble = watch.silence(snapshot) if silent else watch.loss(snapshot)
        if trouble and not self._trouble:
            self._node.get_logger().warning(trouble)
        self._trouble = trouble
        return snapshot, trouble

    def frame_age(self) -> float | None:
        """Return the node's time minus the newest stamp, see ``since_stamp``; None before it."""
        if self.reception is None or self.reception.newest is None:
            return None
        return since_stamp(self.now(), self.reception.newest)

    @property
    def max_age(self) -> float:
        """Return the seconds beyond which a frame is dropped; 0 = no limit."""
        return self.settings.max_age

    @property
    def sending(self) -> str:
        """Return the topic that a message is being sent on; '' for none."""
        return self._outlet.sending or self.self_check.sending

    def look(self, message: Any, card: ModelCard) -> Picture:
        """Return the pixels of a message that are to be analysed; raises BadImageError."""
        bgr = pixels_of(message)
        if not bgr.flags.writeable:   # bgr8 as it came: of bytes, which libraries may warn of
            bgr = bgr.copy()
        height, width = bgr.shape[:2]
        reception = self.reception or self._before
        region, info = self.settings.regions.get(self.name), None
        if reception is not None:
            reception.note_size(width, height)
            info = reception.camera_info(message.header, width, height)
        if region is None:
            return Picture(bgr, info, None if info is None else focal_lengths(info))
        if trouble := _region_trouble(self.name, region, width, height):
            raise BadImageError('roi_outside', trouble)
        x, y, across, down = region
        part = np.ascontiguousarray(bgr[y:y + down, x:x + across])
        if info is None:   # the card's field of view is that of the whole picture
            focal = width / 2 / math.tan(math.radians(card.assumed_hfov) / 2)
            return Picture(part, None, (focal, focal))
        return Picture(part, cropped_camera_info(info, *region), focal_lengths(info))

    def now(self) -> int:
        """Return the node's clock in nanoseconds."""
        return int(self._node.get_clock().now().nanoseconds)

    @property
    def is_simulated(self) -> bool:
        """Tell whether that clock is simulated: use_sim_time."""
        return bool(self._node.get_clock().ros_time_is_active)

    def wanted(self, card: ModelCard) -> Wanted | None:
        """Return what is to be published of the next frame, of a model; None for nothing."""
        chosen = self.chosen
        published = tuple(name for name in card.tasks if chosen is None or name in chosen)
        tasks = due(published, self.settings.every, self._frame)
        self._frame += 1
        topics, needed = self._outlet.wanted(card, tasks)
        if tasks and not topics and self.self_check.wants_frame():
            topics, needed = frozenset({HEALTH}), tasks
        if topics:
            return Wanted(topics, needed, self.settings.output_scale)
        waits = tasks != published and self._outlet.wanted(card, published)[0]
        self.statistics.note(NOT_DUE if waits else NOT_WANTED)
        return None

    def publish(self, result: Result) -> dict[str, float]:
        """Publish everything wanted; return the seconds of filling and sending by topic."""
        predictions, chosen, classes = result.predictions, self.chosen, self.settings.classes
        if classes:
            names = predictions.card.classes
            predictions.show_only(names.index(name) for name in classes if name in names)
        predictions.correct_depth(self.settings.depth_scales[self.name])
        tasks = tuple(name for name in predictions.tasks if chosen is None or name in chosen)
        if 'points' in result.wanted and not result.frame.message.header.frame_id:
            text = ('images have no frame_id, so nobody can place the points: set it in the '
                    'camera driver, to an optical frame that TF knows')
            if self.statistics.note('no_frame_id', text) and self._node.context.ok():
                self._node.get_logger().warning(text)
        if 'points' in result.wanted and result.camera_info is not None and (
                text := unknown_lens(result.camera_info)):
            # The log said it when it came.
            self.statistics.note('unknown_lens', f'{text}; use image_rect of image_proc')
        sending = self._outlet.publish(result, tasks, self.settings.decimation)
        check_given_up(result)
        return sending | self.self_check.look(result, self.name in self.settings.regions)

    def report_drop(self, reason: str, text: str) -> None:
        """Count a dropped frame; log the first of its reason."""
        if self._node.context.ok() and self.statistics.drop(reason, text):
            of = f' of {self.name}' if self.name else ''
            self._node.get_logger().warning(
                f'frame{of} dropped ({reason}): {text}; more of these are only counted, see '
                '/diagnostics')


def _region_trouble(camera: str, region: tuple[int, ...], width: int, height: int) -> str:
    x, y, across, down = region
    if x + across <= width and y + down <= height:
        return ''
    return (f'{camera}{"." if camera else ""}roi {list(region)} reaches beyond the images, which '
            f'are {width}x{height}: want x + width and y + height within them')
