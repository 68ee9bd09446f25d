"""What the node publishes of a frame: topics, encodings, and where they come from. No rclpy."""

from collections.abc import Collection
from dataclasses import dataclass

from demt_perception.tasks import TASKS


@dataclass(frozen=True)
class Output:
    """One image topic.

    Attributes:
        topic: below the node's name, ``~/<topic>``.
        attribute: of ``inference.Predictions``.
        encoding: of sensor_msgs/Image.
        task: name of the task that it belongs to.
        in_dense: field of demt_msgs/DensePrediction that holds it, or ''.
        optional: only some models give it: it is in ``ModelCard.outputs`` as its attribute.
        sureness: says how good another one is; the parameter ``confidence`` switches it.
    """

    topic: str
    attribute: str
    encoding: str
    task: str
    in_dense: str = ''
    optional: bool = False
    sureness: bool = False


# In the order of publication: what machines use first, what eyes look at last.
OUTPUTS = (
    *(Output(f'{task.topic}/image', task.topic, task.encoding, task.name, task.topic)
      for task in TASKS.values()),
    Output('semantic/confidence', 'confidence', 'mono8', 'semseg', 'confidence', sureness=True),
    Output('depth/uncertainty', 'depth_uncertainty', '32FC1', 'depth', 'depth_uncertainty',
           optional=True, sureness=True),
    Output('semantic/color', 'semantic_color', 'rgb8', 'semseg'),
    Output('semantic/overlay', 'overlay', 'rgb8', 'semseg'),
    Output('depth/color', 'depth_color', 'rgb8', 'depth'),
    Output('normals/color', 'normals_color', 'rgb8', 'normals'),
    Output('human_parts/color', 'human_parts_color', 'rgb8', 'human_parts'),
)

# Of the pixels that belong to the points: what Nav2's semantic segmentation layer takes.
ALIGNED = (
    Output('points/semantic', 'semantic', 'mono8', 'semseg'),
    Output('points/confidence', 'confidence', 'mono8', 'semseg', sureness=True),
)

# Beside each task's images, where RViz and image_transport look for it: task by topic.
CAMERA_INFOS = {f'{task.topic}/camera_info': task.name for task in TASKS.values()}


def outputs_of(tasks: Collection[str], given: Collection[str] = (),
               sureness: bool = True) -> tuple[Output, ...]:
    """Return the outputs that belong to any of the tasks.

    Args:
        tasks: names.
        given: of optional outputs, those that the model gives: ``ModelCard.outputs``.
        sureness: also those that say how good others are.
    """
    return tuple(output for output in OUTPUTS if output.task in tasks
                 and (not output.optional or output.attribute in given)
                 and (sureness or not output.sureness))
