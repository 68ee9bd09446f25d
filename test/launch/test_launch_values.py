"""What becomes of the arguments of the launch files, with stand-ins for launch."""

import os
from pathlib import Path

from bag_writing import write_sqlite3
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
