"""`demt play` over real DDS: another process plays, the tester listens."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')
from bag_samples import cdr, image, info, kinds, rows, SECOND, START, write_ros1
from bag_writing import message, STRING, write_mcap
from node_testing import PATIENCE, reliable, ROOT
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from demt_perception.cli.main import main


@contextlib.contextmanager
def playing(ros, *arguments):
    process = subprocess.Popen(
        [sys.executable, '-m', 'demt_perception.cli', 'play', *map(str, arguments)], cwd=ROOT,
        env=ros.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def hearing(tester, **topics):
    """Yield lists of what comes; the subscriptions are there before any publisher."""
    lists = {name: [] for name in topics}
    subscriptions = [tester.node.create_subscription(kind, topic, lists[name].append, qos)
                     for name, (kind, topic, qos) in topics.items()]
    yield lists
    for subscription in subscriptions:
        tester.node.destroy_subscription(subscription)


def seconds(clock) -> float:
    return clock.clock.sec + clock.clock.nanosec / 1e9 - START / SECOND


@pytest.mark.parametrize('kind', ['mcap', 'ros1'])
def test_messages_come_as_they_were_recorded(ros, tester, tmp_path, kind):
    if kind == 'ros1':
        bag = write_ros1(tmp_path / 'in.bag', 8)
    else:
        some = [*rows(8), ('/unknown', START, b'\0\1\0\0')]
        bag = tmp_path / 'in.mcap'
        write_mcap(bag, some, {**kinds(rows(1)), '/unknown': 'no_such_msgs/msg/Nothing'})
    with hearing(tester, images=(Image, '/cam/image_raw', reliable()),
                 infos=(CameraInfo, '/cam/camera_info', reliable()),
                 clocks=(Clock, '/clock', reliable(500))) as heard, playing(
                     ros, bag, '--rate', '2') as process:
        tester.spin_until(lambda: process.poll() is not None, 'the end of the bag')
        output = process.stdout.read()
        assert process.returncode == 0, output
        tester.spin_for(0.2)
    assert heard['images'] == [deserialize_message(cdr(image(i)), Image) for i in range(8)]
    assert heard['infos'] == [deserialize_message(cdr(info(i)), CameraInfo) for i in range(8)]
    times = [seconds(clock) for clock in heard['clocks']]
    assert times == sorted(times)
    assert len(times) > 16 and times[0] == 0 and abs(times[-1] - 0.7) < 1e-6
    assert '16 messages played' in output
    assert ('/marks' if kind == 'ros1' else '/unknown (no_such_msgs/msg/Nothing)') in output


def test_start_and_latched_messages(ros, tester, tmp_path):
    """What is latched before the start comes all the same, and to those who come late."""
    some = [('/latched', START - SECOND // 10, message('map')), *rows(10)]
    bag = tmp_path / 'in.mcap'
    write_mcap(bag, some, {**kinds(rows(1)), '/latched': STRING}, latched=('/latched',))
    late = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with hearing(tester, images=(Image, '/cam/image_raw', reliable())) as heard, playing(
            ros, bag, '--start', '0.75', '--rate', '0.2') as process:
        tester.spin_until(lambda: heard['images'], 'the first image')
        with hearing(tester, latched=(String, '/latched', late)) as more:
            tester.spin_until(lambda: more['latched'], 'the latched message')
        assert process.poll() is None
        assert more['latched'][0].data == 'map'
    assert heard['images'][0] == deserialize_message(cdr(image(7)), Image)


def test_it_loops_until_it_is_stopped(ros, tester, tmp_path):
    bag = tmp_path / 'in.mcap'
    write_mcap(bag, rows(3), kinds(rows(1)))
    with hearing(tester, images=(Image, '/cam/image_raw', reliable())) as heard, playing(
            ros, bag, '--loop', '--topics', '/cam/image_raw') as process:
        tester.spin_until(lambda: len(heard['images']) > 7, 'the third pass')
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode in (0, 130), output
    assert 'Traceback' not in output
    assert [m.header.stamp.nanosec for m in heard['images'][:7]] == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(('arguments', 'text'), [
    (('--topics', '/nothing'), 'has no /nothing'),
    (('--topics', '/unknown'), 'no message type for /unknown'),
])
def test_what_cannot_be_played_is_told(tmp_path, capsys, monkeypatch, arguments, text):
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    bag = tmp_path / 'in.mcap'
    write_mcap(bag, [('/unknown', 1, b'')], {'/unknown': 'no_such_msgs/msg/Nothing'})
    assert main(['play', str(bag), *arguments]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize('where', ['here', 'linked', 'elsewhere'])
def test_a_bag_does_not_choose_what_is_imported(tmp_path, monkeypatch, where):
    """A package that lies beside the bag, where Python is told to look in the current folder."""
    from demt_perception.bags import Topic
    from demt_perception.ros.player import _kind
    evil = tmp_path / f'evil_{where}'
    folder = evil if where == 'elsewhere' else evil / 'msg'
    folder.mkdir(parents=True)
    for place in {evil, folder}:
        (place / '__init__.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')
    monkeypatch.syspath_prepend(tmp_path)
    if where == 'elsewhere':
        (evil / 'msg.py').write_text('')
    else:
        monkeypatch.chdir(tmp_path)
    if where == 'linked':
        (tmp_path / 'inner').mkdir()
        evil.symlink_to(evil.rename(tmp_path / 'inner' / 'evil'))
    for kind in f'{evil.name}/msg/Image', 'antigravity/msg/Image', 'sensor_msgs/msg/__name__':
        assert _kind(Topic('/a', kind, 1)) is None
    assert not (tmp_path / 'ran').exists()
    assert _kind(Topic('/a', 'sensor_msgs/msg/Image', 1)) is Image
