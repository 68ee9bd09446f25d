"""Writes docs/reference/: what the code itself says of its interfaces.

    python docs/site/reference.py            # writes
    python docs/site/reference.py --check    # exit code 1, and what differs

Parameters, topics and services are those that real nodes declare and advertise: so this needs
rclpy and demt_msgs (``make setup``), but no other process of ROS. Message definitions, launch
arguments and the options of ``demt`` are read from their sources.
"""

import argparse
import ast
from collections.abc import Iterable
import difflib
import importlib
import os
from pathlib import Path
from queue import SimpleQueue
import sys

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / 'docs' / 'reference'
NOTE = '<!-- Written by docs/site/reference.py from the code: change that, not this. -->\n\n'
# A ROS installation that has vision_msgs advertises this one, too.
ELSEWHERE = {'~/semantic/label_info':
             ('vision_msgs/msg/LabelInfo', 'reliable', 'transient local', 1)}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; cells may hold anything but line ends."""
    def line(cells: Iterable[str]) -> str:
        return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |\n'

    head = list(head)
    return line(head) + line('---' for _ in head) + ''.join(map(line, rows)) + '\n'


def code(value: object) -> str:
    """Return a value as Markdown code, nothing for an empty one."""
    return f'`{value}`' if str(value) else ''


def parameters(node: object, blank: Iterable[str] = ()) -> str:
    """Return the table of a node's parameters.

    Args:
        node: an rclpy node.
        blank: parameters that were given a value to start it; their default is empty.
    """
    rows = []
    own = ('use_sim_time', 'start_type_description_service', 'qos_overrides')
    for name in sorted(name for name in node._parameters if not name.startswith(own)):
        descriptor = node.describe_parameter(name)
        value = '' if name in blank else node.get_parameter(name).value
        if isinstance(value, bool):
            value = str(value).lower()
        elif hasattr(value, '__len__') and not isinstance(value, str):
            value = list(value)
        ranges = [f'{each.from_value:g} to {each.to_value:g}' for each in
                  (*descriptor.integer_range, *descriptor.floating_point_range)]
        rows.append((code(name), code(value), *(ranges or ['']),
                     'at start' if descriptor.read_only else '', descriptor.description))
    return table(('parameter', 'default', 'range', 'fixed', 'meaning'), rows)


def endpoints(node: object, home: str) -> dict[str, tuple[str, str, str, int]]:
    """Return type, reliability, durability and depth of the topics that a node publishes."""
    found = {}
    for publisher in node.publishers:
        topic = publisher.topic_name.replace(home, '~')
        if topic not in ('/rosout', '/parameter_events', '~/transition_event'):
            qos = publisher.qos_profile
            found[topic] = (_kind(publisher.msg_type), qos.reliability.name.lower(),
                            qos.durability.name.lower().replace('_', ' '), qos.depth)
    return found


def _kind(message: type) -> str:
    """Return a message type as ROS names it, e.g. ``sensor_msgs/msg/Image``."""
    return f'{message.__module__.partition(".")[0]}/msg/{message.__name__}'


def services(node: object, home: str) -> list[tuple[str, str]]:
    """Return the node's own services and their types."""
    usual = ('rcl_interfaces', 'lifecycle_msgs', 'type_description_interfaces')
    kinds = {service.srv_name.replace(home, '~'): service.srv_type for service in node.services}
    return sorted((code(name), f'{kind.__module__.partition(".")[0]}/srv/{kind.__name__}')
                  for name, kind in kinds.items() if not kind.__module__.startswith(usual))


def nodes() -> dict[str, str]:
    """Return the pages about what running nodes say of themselves."""
    import rclpy
    from sensor_msgs.msg import Image

    from demt_perception.ros.camera_node import CameraSource
    from demt_perception.ros.composites import COMPOSITES
    from demt_perception.ros.managed_node import PerceptionNode
    from demt_perception.ros.outputs import ALIGNED, OUTPUTS

    os.environ['DEMT_CACHE'] = 'off'
    rclpy.init(args=['--ros-args', '--log-level', 'warn',
                     '-p', f'demt_perception:model:={ROOT / "models/demt_driving_fast"}',
                     '-p', 'demt_perception:engine:=onnxruntime',
                     '-p', 'demt_perception:autostart:=false',
                     '-p', f'camera:source:={ROOT / "docs/images"}'])
    node, camera = PerceptionNode(), CameraSource(SimpleQueue())
    try:
        # Loaded by parameters; the page shows the defaults.
        given = {'model': 'demt_driving_fast', 'engine': 'auto', 'autostart': True}
        assert node.trigger_configure().name == 'SUCCESS', 'the node cannot be configured'
        perception, camera_table = parameters(node), parameters(camera, ['source'])
        for name, default in given.items():
            perception = _with_default(perception, name, str(default).lower())
        topics = {**ELSEWHERE, **endpoints(node, '/demt_perception')}
        own_services = services(node, '/demt_perception')
    finally:
        node.close()
        camera.close()
        node.destroy_node()
        camera.destroy_node()
        rclpy.try_shutdown()
    encodings = {f'~/{output.topic}': output.encoding for output in (*OUTPUTS, *ALIGNED)}
    # Those that only other models than the shipped one have, too.
    kinds = {**dict.fromkeys(encodings, Image),
             **{f'~/{composite.topic}': composite.kind for composite in COMPOSITES}}
    for topic, kind in kinds.items():
        topics.setdefault(topic, (_kind(kind), 'reliable', 'volatile', 1))
    rows = [(code(topic), kind, encodings.get(topic, ''), f'{reliability}, {durability}, {depth}')
            for topic, (kind, reliability, durability, depth) in sorted(topics.items())]
    return {
        'parameters.md': (
            '# Parameters of the nodes\n\n' + NOTE
            + 'With examples and reasons: [Parameters](../parameters.md). "At start": read once, '
            'and refused afterwards.\n\n## perception_node\n\n' + perception
            + '## camera_source\n\n' + camera_table),
        'topics.md': (
            '# Topics, services and messages\n\n' + NOTE
            + "With meaning and use: [Topics](../topics.md). `~` is the node's name, "
            '`/demt_perception` by default.\n\n## Published\n\n'
            + table(('topic', 'type', 'encoding', 'quality of service'), rows)
            + '## Services\n\nBeside those of every lifecycle node.\n\n'
            + table(('service', 'type'), own_services) + interfaces()),
    }


def _with_default(text: str, name: str, default: str) -> str:
    """Put another default into the row of a parameter."""
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.startswith(f'| `{name}` |'):
            cells = line.split(' | ')
            cells[1] = code(default)
            lines[index] = ' | '.join(cells)
    return ''.join(lines)


def interfaces() -> str:
    """Return the definitions of demt_msgs, as they are."""
    text = '## Definitions\n\n'
    for path in sorted([*(ROOT / 'demt_msgs/msg').glob('*.msg'),
                        *(ROOT / 'demt_msgs/srv').glob('*.srv')]):
        text += f'### demt_msgs/{path.stem}\n\n```\n{path.read_text().strip()}\n```\n\n'
    return text


def launch() -> str:
    """Return the page of launch arguments, read without `launch`."""
    text = '# Launch arguments\n\n' + NOTE + '`ros2 launch demt_perception FILE NAME:=VALUE`.\n\n'
    for path in sorted((ROOT / 'launch').glob('*.launch.py')):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        rows = []
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == 'DeclareLaunchArgument':
                more = {word.arg: ast.unparse(word.value) if word.arg == 'choices'
                        else _literal(word.value) for word in call.keywords}
                rows.append((code(_literal(call.args[0])), code(more.get('default_value', '')),
                             more.get('description', '')))
        text += f'## {path.name}\n\n{(ast.get_docstring(tree) or "").partition(chr(10))[0]}\n\n'
        text += table(('argument', 'default', 'meaning'), rows) if rows else ''
    return text


def _literal(node: ast.expr) -> str:
    try:
        return str(ast.literal_eval(node))
    except ValueError:
        return ast.unparse(node)


def commands() -> str:
    """Return the page of `demt`: every verb with its arguments."""
    from demt_perception.cli.main import VERBS

    text = '# Commands\n\n' + NOTE + '`demt VERB --help` says the same.\n\n'
    for verb, what in VERBS:
        module = importlib.import_module(f'demt_perception.cli.{verb.replace("-", "_")}')
        parser = argparse.ArgumentParser(f'demt {verb}')
        module.add_arguments(parser)
        stop = '' if what.endswith('.') else '.'
        text += f'## demt {verb}\n\n{what[0].upper()}{what[1:]}{stop}\n\n' + _arguments(parser)
    return text


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows, below = [], ''
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                what = ' '.join((sub.description or '').split())
                below += f'`{parser.prog} {name}`: {what}\n\n{_arguments(sub)}'
        elif not isinstance(action, argparse._HelpAction):
            meaning = (action.help or '') % {**vars(action), 'prog': parser.prog}
            if action.choices and action.metavar:   # else they stand in its place
                meaning += f'; one of {", ".join(map(str, action.choices))}'
            if action.required and action.option_strings:
                meaning += ' (required)'
            rows.append((code(_usage(action)), ' '.join(meaning.split())))
    return (table(('argument', 'meaning'), rows) if rows else '') + below


def _usage(action: argparse.Action) -> str:
    """Return how an argument is typed, e.g. ``--size H W`` or ``[images ...]``."""
    name = action.dest.upper() if action.option_strings else action.dest
    values = '' if action.nargs == 0 else argparse.HelpFormatter('')._format_args(action, name)
    return f'{", ".join(action.option_strings)} {values}'.strip()


def differences(pages: dict[str, str], folder: Path) -> list[str]:
    """Return the lines in which the files of a folder differ from the pages."""
    lines: list[str] = []
    for name, text in pages.items():
        path = folder / name
        now = path.read_text(encoding='utf-8') if path.exists() else ''
        lines += difflib.unified_diff(now.splitlines(), text.splitlines(), name, 'the code',
                                      lineterm='', n=0)
    return lines


def main(check: bool) -> int:
    """Write the pages, or compare them; return the exit code."""
    pages = {name: text.rstrip() + '\n' for name, text in {
        **nodes(), 'launch.md': launch(), 'commands.md': commands()}.items()}
    if not check:
        PAGES.mkdir(exist_ok=True)
        for name, text in pages.items():
            (PAGES / name).write_text(text, encoding='utf-8')
        return 0
    found = differences(pages, PAGES)
    if found:
        print(*found, '', 'docs and code differ: .venv/bin/python docs/site/reference.py writes '
              'docs/reference anew', sep='\n')
    return 1 if found else 0


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    sys.exit(main('--check' in sys.argv[1:]))
