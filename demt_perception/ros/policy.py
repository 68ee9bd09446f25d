"""The SROS2 policy: which enclave may publish, hear, offer and call what, and nothing else.

Made of the tables that the nodes publish by, for one configuration of cameras and names; that it
is exactly what live nodes have is a test's business (``test/ros/test_policy.py``). The format is
version 0.2.0 of sros2: https://design.ros2.org/articles/ros2_access_control_policies.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from demt_perception.ros.composites import COMPOSITES
from demt_perception.ros.outputs import OUTPUTS

# Of each camera, and of the node as a whole.
_BESIDE = ('health', 'semantic/label_info', 'semantic/label_table')
_WHOLE = ('stats',)
_EVERY_NODE = ('/rosout', '/parameter_events')
_CONTROL = ('enable', 'load_model', 'set_tasks')
_LIFECYCLE = ('change_state', 'get_available_states', 'get_available_transitions', 'get_state',
              'get_transition_graph')
_PARAMETERS = ('describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
               'set_parameters', 'set_parameters_atomically')
_TYPES = ('get_type_description',)


@dataclass(frozen=True)
class Enclave:
    """What the processes with one key may do; names are absolute, or begin with ``~``."""

    node: str
    namespace: str = '/'
    publish: Iterable[str] = ()
    subscribe: Iterable[str] = ()
    reply: Iterable[str] = ()
    request: Iterable[str] = field(default=())


def published(cameras: Iterable[str]) -> list[str]:
    """Return every topic below its name that the node has with some model.

    Args:
        cameras: the parameter ``cameras``; empty: one camera without a name.
    """
    cameras = list(cameras)
    topics = [output.topic for output in OUTPUTS] + [each.topic for each in COMPOSITES]
    names = {f'{camera}{"/" if camera else ""}{topic}' for camera in cameras or ['']
             for topic in (*topics, *_BESIDE, *_WHOLE)} | set(_WHOLE)
    return sorted(names)


def inputs(cameras: Iterable[str], namespace: str, remapped: Mapping[str, str],
           compressed: bool) -> list[str]:
    """Return the topics that the node hears: images, and the camera_info beside each.

    Args:
        cameras: as above.
        namespace: of the node; begins with ``/``.
        remapped: where ``image`` and ``camera_info``, or those of ``CAMERA/``, are remapped to.
        compressed: as the parameter ``image_transport``.

    Raises:
        ValueError: what is remapped is no input of these cameras.
    """
    cameras = list(cameras) or ['']
    known = [f'{camera}{"/" if camera else ""}{name}' for camera in cameras
             for name in ('image', 'camera_info')]
    if strange := [name for name in remapped if name not in known]:
        raise ValueError(f'{", ".join(strange)}: no input of the node to remap, want some of '
                         f'{", ".join(known)}')
    found = set()
    for camera in cameras:
        prefix = f'{camera}{"/" if camera else ""}'
        base = _absolute(remapped.get(f'{prefix}image', f'{prefix}image'), namespace)
        beside = f'{base.rpartition("/")[0]}/camera_info'
        found |= {f'{base}/compressed' if compressed else base,
                  _absolute(remapped.get(f'{prefix}camera_info', beside), namespace)}
    return sorted(found)


def enclaves(cameras: Iterable[str] = (), node: str = 'demt_perception', namespace: str = '/',
             remapped: Mapping[str, str] | None = None, compressed: bool = False,
             sim_time: bool = False) -> dict[str, Enclave]:
    """Return the enclaves by path: the node, its camera, who looks, and who commands.

    Args:
        cameras: as of ``inputs``.
        node: name of the node.
        namespace: as of ``inputs``.
        remapped: as of ``inputs``.
        compressed: as of ``inputs``.
        sim_time: the node hears /clock.

    Raises:
        ValueError: as of ``inputs``.
    """
    home = _absolute(node, namespace)
    pictures = inputs(cameras, namespace, remapped or {}, compressed)
    outputs = published(cameras)
    results = [f'{home}/{topic}' for topic in outputs]
    own = [f'~/{name}' for name in (*_PARAMETERS, *_TYPES)]
    commands = (*_CONTROL, *_LIFECYCLE, *_PARAMETERS, *_TYPES)
    clock = ['/clock'] if sim_time else []
    return {
        f'/{node}': Enclave(
            node, namespace, [*_EVERY_NODE, '/diagnostics', '~/transition_event',
                              *(f'~/{topic}' for topic in outputs)],
            [*clock, *pictures], [f'~/{name}' for name in commands]),
        '/camera': Enclave('camera', namespace, [*_EVERY_NODE, *pictures], clock, own),
        '/demt_view': Enclave(
            'demt_view', '/', _EVERY_NODE,
            [*clock, *pictures, '/diagnostics', *results], own),
        # `ros2 lifecycle`, `ros2 param`, `ros2 service`: nodes of changing names.
        '/demt_operator': Enclave(
            'operator', '/', _EVERY_NODE,
            [*clock, *_EVERY_NODE, '/diagnostics', f'{home}/transition_event', *results],
            ['/_ros2cli_*/get_type_description', *own],
            [f'{home}/{name}' for name in commands]),
    }


def policy(granted: Mapping[str, Enclave]) -> str:
    """Return the policy of enclaves by path, as XML."""
    root = ElementTree.Element('policy', version='0.2.0')
    every = ElementTree.SubElement(root, 'enclaves')
    for path, enclave in granted.items():
        profiles = ElementTree.SubElement(
            ElementTree.SubElement(every, 'enclave', path=path), 'profiles')
        profile = ElementTree.SubElement(profiles, 'profile', ns=enclave.namespace,
                                         node=enclave.node)
        for kind, action in (('topic', 'publish'), ('topic', 'subscribe'), ('service', 'reply'),
                             ('service', 'request')):
            names = sorted(set(getattr(enclave, action)))
            if names:
                group = ElementTree.SubElement(profile, f'{kind}s', {action: 'ALLOW'})
                for name in names:
                    ElementTree.SubElement(group, kind).text = name
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(
        root, encoding='unicode') + '\n'


def _absolute(name: str, namespace: str) -> str:
    return name if name.startswith('/') else f'{namespace.rstrip("/")}/{name}'
