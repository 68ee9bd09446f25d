"""What becomes of the arguments of the launch files, with stand-ins for launch."""

import os
from pathlib import Path
import re
import subprocess
import sys

from bag_writing import STRING, write_mcap, write_sqlite3
import pytest
import yaml

from demt_perception.bags import BagError
from demt_perception.bags.camera_topics import COMPRESSED_IMAGE, IMAGE

ROOT = Path(__file__).resolve().parents[2]
RAW, PACKED = {'/front/image_raw': IMAGE}, {'/front/image_raw/compressed': COMPRESSED_IMAGE}


@pytest.fixture
def bag(tmp_path):
    """Return a function that writes a bag with a message on each topic."""
    def write(kinds):
        write_sqlite3(tmp_path / 'bag.db3', [(name, 1, b'\0') for name in kinds], kinds)
        return str(tmp_path / 'bag.db3')
    return write


@pytest.fixture
def params(tmp_path):
    """Return a function that writes a parameter file."""
    def write(**values):
        path = tmp_path / 'params.yaml'
        path.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
        return str(path)
    return write


def node(actions, executable):
    """Return the arguments of the only node of an executable."""
    (found,) = [action.keywords for action in actions if type(action).__name__ == 'Node'
                and action.keywords['executable'] == executable]
    return found


def parameters(actions, executable):
    """Return the parameters of a node, without those of the file."""
    found = {}
    for part in node(actions, executable)['parameters']:
        found |= part if isinstance(part, dict) else {}
    return found


def listens(actions):
    """Return the remapping of the node's image, and its transport where one is set."""
    return (dict(node(actions, 'perception_node')['remappings']),
            parameters(actions, 'perception_node').get('image_transport'))


def command(actions):
    (player,) = [action for action in actions if type(action).__name__ == 'ExecuteProcess']
    return player.keywords['cmd']


@pytest.mark.parametrize(('kinds', 'given', 'transport'), [
    (RAW, '', 'raw'), (PACKED, '', 'compressed'), (RAW | PACKED, '', None),
    (RAW | PACKED, 'compressed', 'compressed'), (PACKED | RAW, 'raw', 'raw')])
def test_the_first_camera_of_a_bag_comes_as_it_was_recorded_or_as_the_user_says(
        run_launch, bag, kinds, given, transport):
    remappings, set_to = listens(run_launch(
        'rosbag.launch.py', bag=bag(kinds), image_transport=given, target='cpu'))
    assert remappings['image'] == '/front/image_raw'
    assert set_to == transport


def test_with_a_transport_the_first_camera_that_has_it_is_taken(run_launch, bag):
    path = bag(RAW | {'/rear/image_raw/compressed': COMPRESSED_IMAGE})
    remappings, _ = listens(run_launch(
        'rosbag.launch.py', bag=path, image_transport='compressed', target='cpu'))
    assert remappings['image'] == '/rear/image_raw'


def test_a_transport_by_which_nothing_was_recorded_is_refused(run_launch, bag):
    with pytest.raises(BagError, match=r"'compressed', and no camera .* /front/image_raw "
                                       r'\(sensor_msgs/msg/Image\): leave image_transport out'):
        run_launch('rosbag.launch.py', bag=bag(RAW), image_transport='compressed', target='cpu')


@pytest.mark.parametrize(('topic', 'given', 'transport'), [
    ('/front/image_raw', '', 'compressed'), ('front/image_raw', '', 'compressed'),
    ('/front/image_raw/compressed', '', 'compressed'), ('/front/image_raw', 'raw', 'raw')])
def test_a_named_topic_comes_as_it_was_recorded(run_launch, bag, topic, given, transport):
    remappings, set_to = listens(run_launch(
        'rosbag.launch.py', bag=bag(PACKED), image_topic=topic, image_transport=given,
        target='cpu'))
    assert remappings['image'] == topic.removesuffix('/compressed')
    assert set_to == transport


def test_a_topic_that_the_bag_has_not_is_left_as_it_is(run_launch, bag):
    """Another node may make it of the bag's: image_proc."""
    remappings, set_to = listens(run_launch(
        'rosbag.launch.py', bag=bag(PACKED), image_topic='/front/image_rect', target='cpu'))
    assert (remappings['image'], set_to) == ('/front/image_rect', None)


def test_a_named_topic_of_a_bag_that_cannot_be_read_is_left_as_it_is(run_launch, tmp_path):
    """The player may have a plugin for it."""
    actions = run_launch('rosbag.launch.py', bag=str(tmp_path / 'odd'), image_topic='/front/image',
                         target='cpu')
    assert listens(actions)[0]['image'] == '/front/image'
    assert any('odd is not a bag' in action.keywords.get('msg', '') for action in actions)


def test_cameras_of_a_bag_need_the_rest_of_their_topics(run_launch, bag):
    path = bag(PACKED)
    with pytest.raises(ValueError, match=r"cameras is 'front' and image_topic is not given.*"
                                         'image_topic:=image_raw'):
        run_launch('rosbag.launch.py', bag=path, cameras='front', target='cpu')
    remappings, set_to = listens(run_launch(
        'rosbag.launch.py', bag=path, cameras='front', image_topic='image_raw', namespace='/',
        target='cpu'))
    assert remappings['front/image'] == 'front/image_raw'
    assert set_to == 'compressed'


@pytest.mark.parametrize(('delay', 'arguments'), [
    ('5', ['--delay', '5']), ('0.5', ['--delay', '0.5']), ('0', []), ('0.0', []), ('-1', [])])
def test_the_player_gets_no_delay_that_it_refuses(run_launch, bag, delay, arguments):
    path = bag(RAW)
    actions = run_launch('rosbag.launch.py', bag=path, delay=delay, target='cpu')
    assert command(actions) == ['ros2', 'bag', 'play', path, '--clock', *arguments]


OUTPUTS = {'/robot/demt_perception/depth/image': IMAGE, '/robot/demt_perception/stats': STRING}


@pytest.mark.parametrize('where', [
    {'namespace': 'robot'}, {'namespace': '/robot'}, {'ros_namespace': '/robot'},
    {'ros_namespace': '/other', 'namespace': '/robot/'}])
def test_what_the_node_itself_recorded_is_played_elsewhere(run_launch, bag, where):
    path = bag(RAW | OUTPUTS)
    actions = run_launch('rosbag.launch.py', bag=path, target='cpu', delay='0', **where)
    assert command(actions) == ['ros2', 'bag', 'play', path, '--clock', '--remap', *(
        f'{name}:=/recorded{name}' for name in OUTPUTS)]
    assert any('2 topics of /robot/demt_perception in the bag are played below /recorded' in
               action.keywords.get('msg', '') for action in actions)


def test_what_another_node_recorded_is_played_as_it_is(run_launch, bag):
    path = bag(RAW | OUTPUTS)
    assert '--remap' not in command(run_launch('rosbag.launch.py', bag=path, target='cpu'))


def test_a_relative_topic_is_looked_for_where_the_node_will_be(run_launch, bag):
    _, set_to = listens(run_launch(
        'rosbag.launch.py', bag=bag({f'/robot{name}': kind for name, kind in PACKED.items()}),
        image_topic='front/image_raw', ros_namespace='/robot', target='cpu'))
    assert set_to == 'compressed'


def test_an_mcap_file_without_its_package_needs_its_topic(run_launch, tmp_path, monkeypatch):
    """Launch runs in the Python of ROS, which sees no virtual environment."""
    write_mcap(tmp_path / 'drive.mcap', [('/front/image_raw', 1, b'\0')], RAW)
    for name in [name for name in sys.modules if name.partition('.')[0] == 'mcap']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'mcap', None)
    path = str(tmp_path / 'drive.mcap')
    with pytest.raises(BagError, match=r'Python of ROS.*image_topic:=.*metadata\.yaml.*reindex'):
        run_launch('rosbag.launch.py', bag=path, target='cpu')
    actions = run_launch('rosbag.launch.py', bag=path, image_topic='/front/image_raw',
                         target='cpu')
    assert listens(actions)[0]['image'] == '/front/image_raw'
    with pytest.raises(BagError) as missing:
        run_launch('rosbag.launch.py', bag=f'{path}.no', target='cpu')
    assert 'reindex' not in str(missing.value)


def test_a_delay_that_is_no_number_is_named(run_launch, bag):
    with pytest.raises(ValueError, match="delay is 'soon', want seconds"):
        run_launch('rosbag.launch.py', bag=bag(RAW), delay='soon', target='cpu')


@pytest.fixture
def no_transport(monkeypatch):
    """Take away what a user may have set: then nothing is added."""
    for name in os.environ:
        if name.startswith(('MALLOC_', 'FASTDDS_', 'FASTRTPS_')):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures('no_transport')
def test_who_sends_images_gets_the_transport_and_nothing_else_does(run_launch, bag):
    """A robot that includes the file has other processes, with settings of their own."""
    actions = [*run_launch('rosbag.launch.py', bag=bag(RAW), target='cpu', rviz='true'),
               *run_launch('camera.launch.py', source='0', target='cpu')]
    assert 'SetEnvironmentVariable' not in {type(action).__name__ for action in actions}
    added = [(action.keywords.get('executable', 'player'), action.keywords['additional_env'])
             for action in actions if 'additional_env' in action.keywords]
    assert [who for who, _ in added] == [
        'perception_node', 'player', 'perception_node', 'camera_source']
    for _, environment in added:
        assert environment['MALLOC_ARENA_MAX'] == '1'
        assert [text for name, text in environment.items() if name.endswith('PROFILES_FILE')] == [
            str(ROOT / 'config' / 'fastdds.xml')]


SETTINGS = """
import os, sys
from stand_ins import load, stand_ins
sys.modules |= stand_ins()
for name in 'rosbag.launch.py', 'camera.launch.py':
    load(name)
    print(sorted(name for name in os.environ if name.startswith(('ORT_', 'OPENCV_'))))
"""


@pytest.mark.parametrize('own', [[], ['OPENCV_IO_MAX_IMAGE_WIDTH', 'ORT_DISABLE_TELEMETRY']])
def test_loading_a_launch_file_sets_nothing_for_what_is_launched_after_it(own):
    environ = {name: text for name, text in os.environ.items()
               if not name.startswith(('ORT_', 'OPENCV_'))} | dict.fromkeys(own, '7')
    environ['PYTHONPATH'] = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run([sys.executable, '-c', SETTINGS], env=environ, capture_output=True,
                          text=True, timeout=100, check=True)
    assert done.stdout.splitlines() == [str(own)] * 2


@pytest.mark.parametrize(('text', 'meant'), [
    ('True', True), ('TRUE', True), ('1', True), ('yes', True), (' true ', True),
    ('False', False), ('0', False), ('No', False)])
def test_switches_are_read_as_other_packages_write_them(run_launch, text, meant):
    actions = run_launch('camera.launch.py', target='cpu', use_sim_time=text, autostart=text,
                         respawn=text, rviz=text)
    assert parameters(actions, 'perception_node') == {'use_sim_time': meant, 'autostart': meant}
    assert node(actions, 'perception_node')['respawn'] is meant
    rviz = [one for one in actions if one.keywords.get('executable') == 'rviz2']
    assert len(rviz) == meant


@pytest.mark.parametrize(('name', 'text'), [
    ('use_sim_time', 'maybe'), ('autostart', 'on'), ('respawn', ''), ('rviz', '2')])
def test_a_switch_that_is_neither_is_named_with_what_is_wanted(run_launch, name, text):
    with pytest.raises(ValueError, match=f"{name} is '{text}', want true, 1 or yes, or false"):
        run_launch('camera.launch.py', target='cpu', **{name: text})


def test_a_bag_takes_a_switch_as_other_packages_write_it(run_launch, bag):
    actions = run_launch('rosbag.launch.py', bag=bag(RAW), target='cpu', use_sim_time='False')
    assert parameters(actions, 'perception_node')['use_sim_time'] is False


def test_the_bags_own_time_is_taken_whatever_the_file_says(run_launch, bag, params):
    actions = run_launch('rosbag.launch.py', bag=bag(RAW), params_file=params(use_sim_time=False))
    assert parameters(actions, 'perception_node')['use_sim_time'] is True


def test_what_is_not_given_is_left_to_the_parameter_file(run_launch, params):
    actions = run_launch('camera.launch.py', source='drive.mp4', rviz='true',
                         params_file=params(image_transport='compressed', use_sim_time=True))
    assert parameters(actions, 'perception_node') == {}
    source = parameters(actions, 'camera_source')
    assert (source['image_transport'], source['use_sim_time']) == ('compressed', True)
    assert parameters(actions, 'rviz2') == {'use_sim_time': True}


def test_what_is_given_goes_before_the_parameter_file(run_launch, params):
    actions = run_launch('desktop.launch.py', source='0', rviz='true', image_transport='raw',
                         use_sim_time='false',
                         params_file=params(image_transport='compressed', use_sim_time=True))
    for executable in 'perception_node', 'camera_source':
        values = parameters(actions, executable)
        assert (values['image_transport'], values['use_sim_time']) == ('raw', False)
    assert parameters(actions, 'rviz2') == {'use_sim_time': False}


def test_rviz_is_told_nothing_of_the_clock_where_nothing_is_said(run_launch):
    """SetParameter of a bringup says it to all of its nodes: an own word would go before it."""
    actions = run_launch('camera.launch.py', target='cpu', rviz='true')
    assert parameters(actions, 'rviz2') == {}


@pytest.mark.parametrize('where', [
    {'ros_namespace': '/fleet', 'namespace': 'robot'}, {'namespace': '/fleet/robot'}])
def test_an_entry_for_a_namespace_around_reaches_all_nodes(run_launch, tmp_path, where):
    path = tmp_path / 'params.yaml'
    path.write_text(yaml.safe_dump({'/fleet/robot/demt_perception': {'ros__parameters': {
        'image_transport': 'compressed', 'use_sim_time': True}}}))
    actions = run_launch('camera.launch.py', source='0', rviz='true', params_file=str(path),
                         **where)
    assert parameters(actions, 'camera_source')['image_transport'] == 'compressed'
    assert parameters(actions, 'rviz2') == {'use_sim_time': True}


def test_rviz_shows_the_first_of_several_cameras(run_launch):
    actions = run_launch('camera.launch.py', target='cpu', rviz='true', cameras='front,left',
                         image_topic='image_raw')
    shown = dict(node(actions, 'rviz2')['remappings'])
    layout = (ROOT / 'config' / 'perception.rviz').read_text()
    assert set(shown) == set(re.findall(r'demt_perception/\S+', layout))
    assert shown['demt_perception/depth/color'] == 'demt_perception/front/depth/color'
    assert any('RViz shows front' in action.keywords.get('msg', '') for action in actions)
    one = run_launch('camera.launch.py', target='cpu', rviz='true')
    assert not node(one, 'rviz2')['remappings']


@pytest.mark.parametrize(('given', 'wanted'), [('', None), ('demt_driving_open',) * 2])
def test_the_model_is_the_users_or_that_of_the_parameter_file(run_launch, given, wanted):
    actions = run_launch('camera.launch.py', target='cpu', model=given)
    assert parameters(actions, 'perception_node').get('model') == wanted


def test_rviz_is_started_where_it_is_asked_for(run_launch):
    actions = run_launch('camera.launch.py', target='cpu')
    assert not [one for one in actions if one.keywords.get('executable') == 'rviz2']


def test_a_parameter_file_that_is_not_there_is_named(run_launch, tmp_path):
    with pytest.raises(ValueError, match=r'params_file .*/no\.yaml cannot be read'):
        run_launch('camera.launch.py', params_file=str(tmp_path / 'no.yaml'))
