"""The node's parameters: declared with description and range, checked, read into one dataclass."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
import re
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from demt_perception.inference import DEFAULT_MODEL, ENGINES, PRECISIONS
from demt_perception.inference.preprocess import SHORTEST_SIDE
from demt_perception.ros.camera_values import DEPTH_SCALES, RECTIFIED
from demt_perception.ros.compressed import TRANSPORTS
from demt_perception.ros.number_parameter import declare_number, number_trouble
from demt_perception.tasks import TASKS

_OWN = ('roi', 'depth_scale', 'rectified')   # of each named camera
NUMBERS = {'output_scale': (0.01, 4.0), 'max_age': (0.0, 1e9), 'no_frame_timeout': (0.1, 3600.0),
           'diagnostics_period': (0.05, 3600.0), 'depth_scale': DEPTH_SCALES}
# Taken over when the node is configured, and how else; every other one changes at once.
_CONFIGURE = 'is taken over by configure: deactivate and clean up first'
_LOAD = 'is loaded by configure: call ~/load_model, or deactivate and clean up first'
FIXED = {'cameras': _CONFIGURE, 'model': _LOAD, 'engine': _LOAD, 'precision': _CONFIGURE,
         'threads': _CONFIGURE, 'input_size': _CONFIGURE, 'match_aspect': _CONFIGURE}

Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class Settings:
    """Values of the parameters; ``config/perception.yaml`` explains them.

    And ``image_size``: (height, width) of the images that the model is loaded for, where
    ``match_aspect`` wants that and they have come. ``regions``, ``depth_scales`` and ``rectified``
    are by name of camera ('' for the only one), ``every`` of task; who is not in ``regions`` has
    the whole picture.
    """

    cameras: tuple[str, ...]
    model: str
    engine: str
    threads: int
    input_size: tuple[int, int] | None
    image_transport: str
    output_scale: float
    max_age: float
    no_frame_timeout: float
    confidence: bool
    match_aspect: bool
    precision: str
    classes: tuple[str, ...]
    regions: Mapping[str, Region]
    depth_scales: Mapping[str, float]
    every: Mapping[str, int]
    decimation: int
    rectified: Mapping[str, str]
    image_size: tuple[int, int] | None = None

    def live(self, other: 'Settings') -> 'Settings':
        """Return these with what can change at any time taken from others."""
        kept = {name: getattr(self, name) for name in (*FIXED, 'image_size')}
        return replace(other, **kept)


def declare_parameters(node: Node) -> None:
    """Declare every parameter of the node but those of named cameras."""
    def declare(name: str, default: Any, description: str, **more: Any) -> None:
        if name != 'autostart':
            description += f'; {FIXED.get(name, "changes at once")}'
        descriptor = ParameterDescriptor(
            description=description, read_only=name == 'autostart', **more)
        if name in NUMBERS:
            declare_number(node, name, default, *NUMBERS[name], descriptor)
        elif node.declare_parameter(name, default, descriptor).value is None:
            # An empty list in YAML or on the command line has no type, and arrives as nothing.
            node.set_parameters([Parameter(name, value=default)])

    declare('autostart', True, 'configure and activate without being asked')
    declare('cameras', [''], "names of several cameras, each with topics of its own; ['']: one "
            'camera without a name')
    declare('model', DEFAULT_MODEL, 'name of an installed model, or a model folder')
    declare('engine', 'auto', f'auto, or one of {", ".join(ENGINES)}')
    declare('precision', 'auto', 'type that the engine calculates in: auto, or one of '
            f'{", ".join(PRECISIONS)}')
    declare('threads', 0, 'CPU threads of the engine; 0 = chosen by the node',
            integer_range=[IntegerRange(from_value=0, to_value=1024, step=1)])
    declare('input_size', [0, 0], 'height and width that images are resized to for the network; '
            "[0, 0] = the model card's")
    declare('match_aspect', False, 'where input_size is [0, 0]: load the model anew, in the shape '
            'of the first images')
    declare('image_transport', 'raw', 'raw: Image on image; compressed: CompressedImage on '
            'image/compressed')
    declare('output_scale', 1.0, 'size of the outputs relative to the image')
    declare('roi', [0, 0, 0, 0], _roi_text(''))
    declare('depth_scale', 1.0, _scale_text(''))
    # YAML makes truth values of true and false, whoever writes them.
    declare('rectified', 'auto', _rectified_text(''), dynamic_typing=True)
    declare('classes', [''], "names of the classes to publish, the others become 255; ['']: all")
    declare('confidence', True, 'offer semantic/confidence and, where the model has it, '
            'depth/uncertainty')
    declare('points.decimation', 1, '4: points, points/semantic and points/confidence have every '
            'fourth pixel of every fourth row',
            integer_range=[IntegerRange(from_value=1, to_value=64, step=1)])
    declare('max_age', 0.5, 'seconds; older frames are dropped; 0 = no limit')
    declare('no_frame_timeout', 5.0, 'seconds without a frame after which the node says why')
    declare('diagnostics_period', 1.0, 'seconds between reports on /diagnostics')
    for task in TASKS.values():
        declare(_every(task.topic), 1, f'1: {task.topic} is computed and published of every '
                'frame; 3: of every third, and the work for it is skipped otherwise',
                integer_range=[IntegerRange(from_value=1, to_value=10_000, step=1)])


def declare_cameras(node: Node, cameras: Iterable[str]) -> None:
    """Declare the parameters of named cameras, as far as they are not."""
    for camera in cameras:
        if camera and not node.has_parameter(_own(camera, 'roi')):
            node.declare_parameter(_own(camera, 'roi'), [0, 0, 0, 0], ParameterDescriptor(
                description=f'{_roi_text(f" of {camera}")}; changes at once'))
            scale = ParameterDescriptor(
                description=f'{_scale_text(f" of {camera}")}; changes at once')
            declare_number(node, _own(camera, 'depth_scale'), 1.0, *NUMBERS['depth_scale'], scale)
            node.declare_parameter(_own(camera, 'rectified'), 'auto', ParameterDescriptor(
                description=f'{_rectified_text(f" of {camera}")}; changes at once',
                dynamic_typing=True))


def cameras_of(values: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the cameras; ('',) for one without a name."""
    return tuple(name for name in values if name) or ('',)


def read_settings(get: Callable[[str], Any]) -> Settings:
    """Return the values of the parameters.

    Args:
        get: returns the value of a declared parameter by its name.

    Raises:
        ValueError: a value is not valid; the text says what is wanted.
    """
    def checked(name: str) -> Any:
        value = get(name)
        if trouble := value_trouble(name, value):
            raise ValueError(trouble)
        return value

    cameras = cameras_of(checked('cameras'))
    size = tuple(checked('input_size'))
    regions = {camera: tuple(checked(_own(camera, 'roi'))) for camera in cameras}
    return Settings(
        cameras, get('model'), get('engine'), get('threads'), size if any(size) else None,
        checked('image_transport'), float(checked('output_scale')), float(checked('max_age')),
        float(checked('no_frame_timeout')), get('confidence'), get('match_aspect'),
        get('precision'), tuple(name for name in get('classes') if name),
        {camera: region for camera, region in regions.items() if any(region)},
        {camera: float(checked(_own(camera, 'depth_scale'))) for camera in cameras},
        {task.name: get(_every(task.topic)) for task in TASKS.values()},
        get('points.decimation'),
        {camera: _word(checked(_own(camera, 'rectified'))) for camera in cameras})


def value_trouble(name: str, value: Any) -> str:
    """Return why a value of a parameter cannot be taken, or ''; types are rclpy's business."""
    kind = 'depth_scale' if name.endswith('.depth_scale') else name
    if kind in NUMBERS:
        return number_trouble(name, value, *NUMBERS[kind])
    if name == 'image_transport' and value not in TRANSPORTS:
        return f'image_transport is {value!r}, want one of {", ".join(TRANSPORTS)}'
    if (name == 'rectified' or name.endswith('.rectified')) and _word(value) not in RECTIFIED:
        return f'{name} is {value!r}, want one of {", ".join(RECTIFIED)}'
    if name == 'input_size' and (len(value) != 2 or min(value) < 0):
        return (f'input_size is {list(value)}, want [height, width], or [0, 0] for the '
                "model card's")
    if name == 'roi' or name.endswith('.roi'):
        return _roi_trouble(name, list(value))
    if name == 'cameras':
        names = [camera for camera in value if camera]
        wrong = [camera for camera in names if not re.fullmatch('[A-Za-z][A-Za-z0-9_]*', camera)]
        if wrong or len(set(names)) != len(names):
            return (f'cameras is {list(value)}, want names of letters, digits and underscores '
                    'that begin with a letter, each once')
    return ''


def strange_camera(name: str, cameras: tuple[str, ...]) -> str:
    """Return why a parameter of one camera has no effect with these cameras, or ''."""
    owned = name.rpartition('.')
    if owned[2] not in _OWN or owned[0] in cameras:
        return ''
    own = ', '.join(f'{camera}{"." if camera else ""}{owned[2]}' for camera in cameras)
    return f'{name} has no effect with the cameras of now: set {own}'


def _roi_trouble(name: str, value: list[int]) -> str:
    whole = not any(value)
    if len(value) != 4 or min(value) < 0 or (
            not whole and min(value[2:]) < SHORTEST_SIDE):
        return (f'{name} is {value}, want [x, y, width, height] in pixels of the image, width '
                f'and height at least {SHORTEST_SIDE}, or [0, 0, 0, 0] for all of it')
    return ''


def _roi_text(of: str) -> str:
    return (f'x, y, width and height in pixels of the part of the image{of} that is analysed; '
            '[0, 0, 0, 0]: all of it')


def _own(camera: str, name: str) -> str:
    """Return the name of a camera's own parameter."""
    return f'{camera}.{name}' if camera else name


def _scale_text(of: str) -> str:
    return f'depth{of} is multiplied by it: demt calibrate-depth finds it'


def _rectified_text(of: str) -> str:
    return (f'whether the image{of} is rectified, so that P of camera_info holds, and not K and '
            'D: true, false, or auto: by the name of its topic')


def _word(value: Any) -> Any:
    """Return true and false as words."""
    return str(value).lower() if isinstance(value, bool) else value


def _every(topic: str) -> str:
    return f'{topic}.every'
