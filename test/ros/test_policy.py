"""The SROS2 policy names what live nodes have in the graph: nothing less, and nothing more."""

import contextlib
from importlib.util import find_spec
import os
from pathlib import Path
import re
import subprocess
import sys
from urllib.request import urlopen
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import PATIENCE, ROOT
from six_task_model import make_model

from demt_perception.cli.main import main
from demt_perception.ros.optional_messages import vision_msgs
from demt_perception.ros.policy import enclaves, inputs, policy, published

ACTIONS = ('publish', 'subscribe', 'reply', 'request')


def granted(enclave):
    """What an enclave may do, by action, in absolute names."""
    home = f'{enclave.namespace.rstrip("/")}/{enclave.node}'
    return {action: {f'{home}{name[1:]}' if name.startswith('~') else name
                     for name in getattr(enclave, action)} for action in ACTIONS}


def live(tester, name, namespace='/'):
    """What a node has, by action, as another process sees it over DDS; nothing yet: empty."""
    node = tester.node
    try:
        return {action: {topic for topic, _ in ask(name, namespace)} for action, ask in zip(
            ACTIONS, (node.get_publisher_names_and_types_by_node,
                      node.get_subscriber_names_and_types_by_node,
                      node.get_service_names_and_types_by_node,
                      node.get_client_names_and_types_by_node), strict=True)}
    except Exception:   # rclpy's own for an unknown node; its module differs by distribution
        return {action: set() for action in ACTIONS}


def compare(tester, enclave, missing=()):
    """Wait until a live node has what its enclave grants, but for what is missing."""
    wanted = granted(enclave)
    for name in missing:
        wanted['publish'].remove(name)

    def found():
        seen = live(tester, enclave.node, enclave.namespace)
        for action in ACTIONS:   # never more, also not on the way
            assert seen[action] <= wanted[action], action
        return seen == wanted

    tester.spin_until(found, f'{enclave.node} with what its enclave grants')


def absent(home, *cameras):
    """Topics that the node has only where vision_msgs is installed."""
    return [] if vision_msgs else [
        f'{home}/{camera}semantic/label_info' for camera in cameras or ['']]


def tcp_sockets(process):
    """Rows of the kernel's tables of TCP for the sockets that a process has open."""
    inodes = set()
    for descriptor in Path(f'/proc/{process}/fd').iterdir():
        with contextlib.suppress(OSError):   # closed since
            if (target := os.readlink(descriptor)).startswith('socket:['):
                inodes.add(target[8:-1])
    assert inodes, 'a node of DDS has sockets'
    return [row for table in ('tcp', 'tcp6')
            for row in Path(f'/proc/{process}/net/{table}').read_text().splitlines()[1:]
            if row.split()[9] in inodes]


@pytest.fixture(scope='module')
def model(tiny_model, tmp_path_factory):
    pytest.importorskip('demt_msgs', reason='demt_msgs is not built')
    return make_model(tmp_path_factory.mktemp('policy') / 'six', tiny_model)


def test_the_node_has_what_it_is_granted(tester, start_node, model):
    node = start_node('-r', '__node:=guarded', '-r', 'image:=/a/picture', model=model,
                      engine='openvino' if find_spec('openvino') else 'onnxruntime')
    compare(tester, enclaves(node='guarded', remapped={'image': '/a/picture'})['/guarded'],
            absent('/guarded'))
    # And what DDS does not show: no engine, and nothing else, calls home or can be called.
    assert tcp_sockets(node.process.pid) == []


def test_a_node_of_two_cameras_in_a_namespace_on_simulated_time(tester, start_node, model):
    cameras = ['front', 'rear']
    start_node('-r', '__node:=eyes', '-r', '__ns:=/robot', '-r', 'front/image:=/f/raw',
               '-r', 'rear/camera_info:=calib/rear', '-p', f'cameras:=[{", ".join(cameras)}]',
               '-p', 'use_sim_time:=true', model=model, image_transport='compressed')
    remapped = {'front/image': '/f/raw', 'rear/camera_info': 'calib/rear'}
    compare(tester, enclaves(cameras, 'eyes', '/robot', remapped, True, True)[
        '/eyes'], absent('/robot/eyes', 'front/', 'rear/'))


@pytest.mark.parametrize('compressed', [False, True])
def test_the_camera_has_what_it_is_granted(tester, ros, compressed):
    transport = 'compressed' if compressed else 'raw'
    camera = subprocess.Popen(
        [sys.executable, '-m', 'demt_perception.ros.camera_source', '--ros-args', '-p',
         f'source:={ROOT / "docs/images/gallery"}', '-p', f'image_transport:={transport}',
         '-r', 'image:=/guarded_camera/image',
         '-r', 'image/compressed:=/guarded_camera/image/compressed',
         '-r', 'camera_info:=/guarded_camera/camera_info'],
        cwd=ROOT, env=ros.environ)
    try:
        compare(tester, enclaves(remapped={'image': '/guarded_camera/image'},
                                 compressed=compressed)['/camera'])
    finally:
        camera.terminate()
        camera.wait(PATIENCE)
    tester.spin_until(lambda: 'camera' not in tester.node.get_node_names(), 'its end')


def test_the_page_has_no_more_than_it_is_granted(tester, ros, start_node, model):
    start_node('-r', '__node:=watched', '-r', 'image:=/b/picture', model=model)
    wanted = granted(enclaves(node='watched', remapped={'image': '/b/picture'})['/demt_view'])
    view = subprocess.Popen(
        [sys.executable, '-m', 'demt_perception.cli', 'view', '--port', '0', '--node', '/watched'],
        cwd=ROOT, env=ros.environ, stdout=subprocess.PIPE, text=True)
    try:
        url = view.stdout.readline().split()[-1]
        shown = ('/watched/depth/color', '/b/picture')

        def watched():
            urlopen(f'{url}moment?viewer=aviewer1&version=0&number=0&width=320&probing=0'
                    + ''.join(f'&show={name}&have=0' for name in shown), timeout=PATIENCE).read()
            seen = live(tester, 'demt_view')
            for action in ACTIONS:
                assert seen[action] <= wanted[action], action
            return ({*shown, '/watched/stats', '/watched/semantic/label_table', '/diagnostics'}
                    == seen['subscribe'] and seen['reply'] == wanted['reply'])

        tester.spin_until(watched, 'the page to listen')
    finally:
        view.terminate()
        view.communicate()


def test_who_only_looks_commands_nothing():
    every = {path: granted(each) for path, each in enclaves().items()}
    for path in every.keys() - {'/demt_operator'}:
        assert not every[path]['request'], path
    node = every['/demt_perception']
    assert every['/demt_operator']['request'] == node['reply']
    for path in ('/camera', '/demt_view', '/demt_operator'):
        mine = {name for name in every[path]['publish'] if name.startswith('/demt_perception/')}
        assert not mine, path
    assert not every['/demt_view']['publish'] & node['subscribe']
    assert not every['/demt_operator']['publish'] & node['subscribe']


def read(text):
    """Enclaves of a policy: {path: {action: names}}; anything that sros2's schema lacks fails."""
    root = ElementTree.fromstring(text)
    assert (root.tag, root.attrib) == ('policy', {'version': '0.2.0'})
    (every,) = root
    found = {}
    for enclave in every:
        ((profile,),) = enclave
        assert [enclave.tag, enclave[0].tag, profile.tag] == ['enclave', 'profiles', 'profile']
        assert list(enclave.attrib) == ['path'] and sorted(profile.attrib) == ['node', 'ns']
        actions = found[enclave.attrib['path']] = {}
        for group in profile:
            ((action, rule),) = group.attrib.items()
            kind = 'topic' if action in ('publish', 'subscribe') else 'service'
            assert (group.tag, rule) == (f'{kind}s', 'ALLOW') and action in ACTIONS and len(group)
            assert all(each.tag == kind and not each.attrib for each in group)
            actions[action] = [each.text for each in group]
    return found


NAMES = st.from_regex('[a-z][a-z0-9_]{0,5}', fullmatch=True)


@given(st.lists(NAMES, max_size=4, unique=True), NAMES, st.booleans(), st.booleans())
def test_the_file_says_what_was_granted(cameras, node, compressed, sim_time):
    every = enclaves(cameras, node, compressed=compressed, sim_time=sim_time)
    assert read(policy(every)) == {
        path: {action: sorted(set(getattr(each, action))) for action in ACTIONS
               if getattr(each, action)} for path, each in every.items()}


def test_topics_of_cameras():
    assert published([]) == published(['']) and 'depth/image' in published([])
    assert set(published(['front'])) == {'stats', *(f'front/{name}' for name in published([]))}
    assert inputs([], '/', {}, False) == ['/camera_info', '/image']
    assert inputs(['a', 'b'], '/r', {'a/image': 'x/raw', 'b/image': '/y/raw'}, True) == [
        '/r/x/camera_info', '/r/x/raw/compressed', '/y/camera_info', '/y/raw/compressed']


def test_a_camera_info_that_is_remapped_is_granted_where_it_is():
    assert inputs(['a'], '/r', {'a/image': '/x/raw', 'a/camera_info': 'calib'}, False) == [
        '/r/calib', '/x/raw']


def test_the_verb(capsys):
    assert main(['policy', '--cameras', 'front', '--remap', 'front/image:=/f/raw',
                 '--remap', 'front/camera_info:=/f/calib',
                 '--namespace', '/robot', '--node', 'eyes', '--sim-time']) == 0
    found = read(capsys.readouterr().out)
    assert found['/eyes']['subscribe'] == ['/clock', '/f/calib', '/f/raw']
    assert '/robot/eyes/front/depth/image' in found['/demt_view']['subscribe']


@pytest.mark.parametrize(('wrong', 'said'), [
    (['--remap', 'picture:=/a'], 'want, say, image:='), (['--remap', 'image=/a'], 'want, say'),
    (['--namespace', 'robot'], 'want / or, say'), (['--node', 'a/b'], 'want letters'),
    (['--cameras', 'front', 'a<b'], 'want letters')])
def test_what_the_verb_refuses(wrong, said, capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['policy', *wrong])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(('given', 'said'), [
    (['--cameras', 'front'], 'image: no input of the node to remap, want some of front/image, '
     'front/camera_info'),
    (['--remap', 'rear/image:=/r'], 'rear/image: no input of the node to remap, want some of '
     'image, camera_info')])
def test_a_remapping_that_fits_no_camera_is_refused(given, said, capsys):
    """Else the policy would grant another topic than the node hears."""
    assert main(['policy', '--remap', 'image:=/robot/cam/image_raw', *given]) == 2
    told = capsys.readouterr()
    assert not told.out and said in told.err


def test_sros2_accepts_it(tmp_path):
    schema = pytest.importorskip('sros2.policy', reason='sros2 is not installed')
    file = tmp_path / 'policy.xml'
    file.write_text(policy(enclaves(['front', 'rear'])))
    schema.load_policy(file)   # raises where its schema does not hold


def test_no_wildcard_but_for_the_names_of_tools():
    wild = re.findall(r'>([^<]*[*?\[][^<]*)<', policy(enclaves(['front'])))
    assert wild == ['/_ros2cli_*/get_type_description']


def test_what_cannot_be_protected_does_not_run(ros, tmp_path, tiny_model):
    """No keys, or a ROS 2 without DDS security (the wheels): no node, instead of an open one."""
    result = subprocess.run(
        [sys.executable, '-m', 'demt_perception.ros.perception_node', '--ros-args', '--enclave',
         '/demt_perception', '-p', f'model:={tiny_model}'], cwd=ROOT, timeout=PATIENCE,
        env=ros.environ | {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
                           'ROS_SECURITY_KEYSTORE': str(tmp_path)}, capture_output=True, text=True)
    assert result.returncode > 0
    assert 'security' in result.stderr.lower()
