"""What can be told of the launch files without launch: they are read, not run."""

import ast
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from demt_perception.ros.transport import choose_transport, transport_environment
from demt_perception.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
CONVENTIONAL = {'params_file', 'namespace', 'use_sim_time', 'autostart', 'log_level',
                'image_transport', 'rviz'}


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / 'launch' / name).read_text())


def calls(module: ast.Module, function: str) -> list[ast.Call]:
    return [node for node in ast.walk(module)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id == function]


def arguments(module: ast.Module) -> dict[str, ast.Call]:
    return {call.args[0].value: call for call in calls(module, 'DeclareLaunchArgument')}


def texts(module: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(module)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_four_launch_files_are_there():
    assert {path.name for path in FILES} == {
        f'{name}.launch.py' for name in ('camera', 'desktop', 'jetson', 'rosbag')}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_a_launch_file_compiles_and_has_the_entry(path):
    compile(path.read_text(), path.name, 'exec')
    assert 'generate_launch_description' in {
        node.name for node in tree(path.name).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_nothing_is_evaluated_installed_or_downloaded(path):
    module = tree(path.name)
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    assert not names & {'eval', 'exec', '__import__', 'PythonExpression'}
    imports = {alias.name for node in ast.walk(module) if isinstance(node, ast.Import)
               for alias in node.names}
    assert not imports & {'subprocess', 'urllib', 'requests', 'pip', 'socket'}
    assert not {text for text in texts(module) if re.search(r'https?://|\bpip\b|apt', text)}


def test_the_camera_launch_file_has_the_conventional_arguments():
    declared = arguments(tree('camera.launch.py'))
    assert declared.keys() >= CONVENTIONAL | {'source', 'image_topic', 'target'}
    for name, call in declared.items():
        keywords = {keyword.arg for keyword in call.keywords}
        assert {'description', 'default_value'} <= keywords, name


def test_every_argument_is_used():
    used = texts(tree('camera.launch.py'))
    source = (ROOT / 'launch' / 'camera.launch.py').read_text()
    for name in arguments(tree('camera.launch.py')):
        assert name in used
        assert re.search(rf"(value|LaunchConfiguration)\('{name}'\)", source), name


@pytest.mark.parametrize('name', ['desktop', 'jetson', 'rosbag'])
def test_the_others_include_the_camera_launch_file(name):
    module = tree(f'{name}.launch.py')
    assert calls(module, 'IncludeLaunchDescription')
    assert 'camera.launch.py' in texts(module)


def test_the_targets_have_parameter_files():
    for target in TARGETS:
        values = yaml.safe_load((ROOT / 'config' / f'{target}.yaml').read_text())
        assert list(values) == ['/**']
        assert list(values['/**']) == ['ros__parameters']


def test_the_parameter_files_hold_parameters_of_the_node():
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from rclpy.context import Context

    from demt_perception.ros.parameters import declare_parameters
    context = Context()
    context.init()
    try:
        for name in (*TARGETS, 'perception'):
            path = ROOT / 'config' / f'{name}.yaml'
            # Declaring fails where a value has the wrong type or is out of its range.
            node = rclpy.create_node(
                'any', context=context, cli_args=['--ros-args', '--params-file', str(path)])
            declare_parameters(node)
            written = yaml.safe_load(path.read_text())['/**']['ros__parameters']
            for key, value in written.items():
                assert node.has_parameter(key), f'{path.name}: {key}'
                seen = node.get_parameter(key).value
                assert (list(seen) if isinstance(value, list) else seen) == value
            node.destroy_node()
    finally:
        context.try_shutdown()


def test_the_files_that_are_named_exist():
    for path in FILES:
        for text in texts(tree(path.name)):
            if re.fullmatch(r'[\w./]+\.(xml|rviz|launch\.py)', text):
                assert (ROOT / 'config' / text).is_file() or (ROOT / 'launch' / text).is_file()


def test_the_group_of_the_tutorial_keeps_what_is_around_it():
    """With forwarding=False PushRosNamespace, SetParameter and SetRemap of outside are lost."""
    page = (ROOT / 'docs' / 'tutorials' / 'nav2.md').read_text()
    (block,) = [text for text in re.findall(r'```python\n(.*?)```', page, re.DOTALL)
                if 'GroupAction' in text]
    (group,) = calls(ast.parse(block), 'GroupAction')
    assert {keyword.arg for keyword in group.keywords} == {'actions'}
    (given,) = [node for node in ast.walk(group) if isinstance(node, ast.Dict)]
    names = {key.value for key in given.keys}
    assert names <= arguments(tree('camera.launch.py')).keys()
    assert names >= {'params_file', 'namespace', 'use_sim_time', 'autostart', 'log_level'}


def test_without_a_gpus_engine_a_desktop_calculates_as_any_pc():
    values = [yaml.safe_load((ROOT / 'config' / f'{target}.yaml').read_text())['/**'][
        'ros__parameters'] for target in ('cpu', 'desktop')]
    assert values[0] == values[1]


def test_the_executables_are_installed():
    setup = (ROOT / 'setup.py').read_text()
    for call in calls(tree('camera.launch.py'), 'Node'):
        values = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
        if values['package'] == 'demt_perception':
            assert f"'{values['executable']} = " in setup


def test_the_transport_profile_is_large_enough_for_a_camera_image():
    root = ElementTree.parse(ROOT / 'config' / 'fastdds.xml').getroot()
    sizes = {element.tag.rpartition('}')[2]: int(element.text) for element in root.iter()
             if element.tag.endswith(('maxMessageSize', 'segment_size'))}
    full_hd_rgb = 1920 * 1080 * 3
    assert sizes['maxMessageSize'] >= full_hd_rgb
    assert sizes['segment_size'] >= 4 * sizes['maxMessageSize']


@pytest.mark.parametrize(('distro', 'name'), [
    ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'), ('', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_the_transport_environment_names_the_profile(distro, name):
    added = transport_environment('/x.xml', {'ROS_DISTRO': distro})
    assert added.pop(name) == '/x.xml'
    assert all(key.startswith('MALLOC_') or key == 'GLIBC_TUNABLES' for key in added)


@pytest.mark.parametrize(('distro', 'only', 'name'), [
    ('humble', '1', 'fastdds_localhost.xml'), ('humble', '0', 'fastdds.xml'),
    ('jazzy', '1', 'fastdds.xml')])
def test_humble_is_kept_on_this_machine_where_it_has_to_be(distro, only, name):
    """From Iron on it listens everywhere with the profile and without."""
    environ = {'ROS_DISTRO': distro, 'ROS_LOCALHOST_ONLY': only}
    added = transport_environment(ROOT / 'config' / 'fastdds.xml', environ)
    assert added['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(ROOT / 'config' / name)


@pytest.mark.parametrize('own', [
    {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, {'FASTRTPS_DEFAULT_PROFILES_FILE': '/own.xml'},
    {'MALLOC_TOP_PAD_': '1'}])
def test_the_transport_environment_leaves_the_users_own(own):
    added = transport_environment('/x.xml', own)
    assert not added.keys() & own.keys()
    if 'MALLOC_TOP_PAD_' not in own:
        assert '/x.xml' not in added.values()


def test_a_node_by_itself_takes_the_profile_unless_the_user_has_one():
    environ = {'ROS_DISTRO': 'kilted'}
    choose_transport(environ)
    assert environ.pop('FASTDDS_DEFAULT_PROFILES_FILE') == str(ROOT / 'config' / 'fastdds.xml')
    assert environ == {'ROS_DISTRO': 'kilted'}   # glibc's would come too late
    own = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
    choose_transport(own)
    assert own == {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
