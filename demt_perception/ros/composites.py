"""Messages that are made of more than one output: one table, and how each is made.

Another one is another entry of ``COMPOSITES``: the outlet advertises it, has it made only while
somebody subscribes, and lets only the tasks run that it needs.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from demt_perception.inference import Predictions
from demt_perception.inference.point_cloud import decimate
from demt_perception.ros.camera_model import scaled_camera_info
from demt_perception.ros.conversions import ImageFiller
from demt_perception.ros.optional_messages import demt_msgs
from demt_perception.ros.outputs import ALIGNED, CAMERA_INFOS, Output, OUTPUTS
from demt_perception.ros.point_cloud import CloudFiller
from demt_perception.ros.rectification import camera_of


class View:
    """All that is known of one frame, for who makes a message of it.

    Attributes:
        header: std_msgs/Header of the camera image, for every message.
        predictions: what the model gave; made as it is asked for, and kept.
        outputs: image topics that this frame can have.
        kept: what makers keep from frame to frame of one camera, by topic: buffers, say.
        decimation: every how many pixels and rows there is a point of the cloud.
    """

    def __init__(self, header: Any, predictions: Predictions, camera_info: Any,
                 outputs: tuple[Output, ...], image: Callable[[Output, Predictions, Any], Any],
                 kept: dict[str, Any], decimation: int) -> None:
        """Take the parts; ``image`` fills an output's message."""
        self.header = header
        self.predictions = predictions
        self.outputs = outputs
        self.kept = kept
        self.decimation = decimation
        self._camera_info = camera_info
        self._fill = image
        self._images: dict[str, Any] = {}

    def image(self, output: Output) -> Any:
        """Return the sensor_msgs/Image of an output, filled once; valid until the next frame."""
        if output.topic not in self._images:
            self._images[output.topic] = self._fill(output, self.predictions, self.header)
        return self._images[output.topic]

    @cached_property
    def camera_info(self) -> Any:
        """CameraInfo that fits the outputs' pixels, region and scale; None where there is none."""
        if self._camera_info is None:
            return None
        height, width = self.predictions.size
        info = scaled_camera_info(self._camera_info, width, height)
        info.header = self.header
        return info


@dataclass(frozen=True)
class Composite:
    """One topic.

    Attributes:
        topic: below the node's name and the camera's.
        kind: message type; None: its package is not installed, and the topic is not there.
        make: returns the message, or None for none of this frame.
        needs: tasks that it cannot be without; none: it is made of whichever there are.
        uses: tasks that it is made of, too, where they run.
        sureness: says how good something is, see ``outputs.Output``.
    """

    topic: str
    kind: Any
    make: Callable[[View], Any]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    sureness: bool = False


def composites_of(tasks: Collection[str], sureness: bool) -> tuple[Composite, ...]:
    """Return those that can be made of these tasks; ``sureness`` as for ``outputs_of``."""
    return tuple(composite for composite in COMPOSITES
                 if composite.kind is not None and tasks and set(composite.needs) <= set(tasks)
                 and (sureness or not composite.sureness))


def topics_with_depth(tasks: Collection[str]) -> tuple[str, ...]:
    """Return the topics that rest on metric depth, and so on the camera's focal length."""
    if 'depth' not in tasks:
        return ()
    return (*(output.topic for output in OUTPUTS if output.task == 'depth'),
            *(one.topic for one in composites_of(tasks, True)
              if 'depth' in one.needs or not one.needs + one.uses))


def _make_dense(view: View) -> Any:
    # The images are the messages just published: nothing is copied for this one.
    # A demt_msgs that was built before this package has not all of the fields.
    fields = demt_msgs.DensePrediction.get_fields_and_field_types()
    images = {output.in_dense: view.image(output) for output in view.outputs
              if output.in_dense in fields}
    return demt_msgs.DensePrediction(
        header=view.header, model=view.predictions.card.name,
        camera_info=view.camera_info or CameraInfo(), **images)


def _make_points(view: View) -> Any:
    camera = None if view.camera_info is None else camera_of(view.camera_info)
    if camera is None:   # a guess would put obstacles where there are none
        return None
    if 'points' not in view.kept:
        view.kept['points'] = CloudFiller()
    return view.kept['points'].fill(
        view.predictions, camera, view.header, view.decimation,
        {output.attribute for output in view.outputs})


def _make_decimated(output: Output, view: View) -> Any:
    """Return an image of the pixels that the cloud has points of."""
    if output.topic not in view.kept:
        view.kept[output.topic] = ImageFiller(Image(), output.encoding)
    return view.kept[output.topic].fill(
        decimate(getattr(view.predictions, output.attribute), view.decimation), view.header)


# In the order of publication, after the images.
COMPOSITES = (
    *(Composite(topic, CameraInfo, lambda view: view.camera_info, (task,))
      for topic, task in CAMERA_INFOS.items()),
    Composite('dense', demt_msgs and demt_msgs.DensePrediction, _make_dense),
    *(Composite(output.topic, Image, partial(_make_decimated, output), (output.task,),
                sureness=output.sureness) for output in ALIGNED),
    Composite('points', PointCloud2, _make_points, ('depth',), ('semseg',)),
)
