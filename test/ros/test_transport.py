"""Our transport profiles and Fast DDS as it comes understand each other."""

import ctypes
import subprocess
import sys
from xml.etree import ElementTree

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import environment, ROOT

from demt_perception.ros.transport import profile_variable

TALK = """
import sys, time, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
name, other = sys.argv[1:]
rclpy.init()
node = rclpy.create_node(name)
heard = []
node.create_subscription(Image, other, heard.append, qos_profile_sensor_data)
node.create_subscription(Image, f'{other}_reliable', heard.append, 10)
publishers = [node.create_publisher(Image, name, qos_profile_sensor_data),
              node.create_publisher(Image, f'{name}_reliable', 10)]
end = time.monotonic() + 40
while time.monotonic() < end and not {'fast', 'sure'} <= {m.encoding for m in heard}:
    for publisher, encoding in zip(publishers, ('fast', 'sure')):
        publisher.publish(Image(encoding=encoding, height=4, width=8, step=8, data=bytes(32)))
    rclpy.spin_once(node, timeout_sec=0.1)
print(sorted({m.encoding for m in heard}))
for _ in range(20):   # for the other one, which may have heard less
    for publisher, encoding in zip(publishers, ('fast', 'sure')):
        publisher.publish(Image(encoding=encoding, height=4, width=8, step=8, data=bytes(32)))
    time.sleep(0.1)
"""


SOCKETS = """
import os, rclpy
rclpy.init()
node = rclpy.create_node('quiet')
own = set()
for name in os.listdir('/proc/self/fd'):
    try:
        own.add(os.readlink(f'/proc/self/fd/{name}'))
    except OSError:   # the listing's own
        pass
for line in open('/proc/self/net/udp').readlines()[1:]:
    _, local, *rest = line.split()
    if f'socket:[{rest[7]}]' in own:
        print('.'.join(map(str, bytes.fromhex(local.partition(':')[0])[::-1])))
"""


@pytest.mark.parametrize('profile', ['fastdds.xml', 'fastdds_localhost.xml'])
def test_processes_with_and_without_the_profile_hear_each_other(profile):
    ours, domain = environment()
    theirs = {name: value for name, value in environment(transport=False)[0].items()
              if name != 'ROS_DOMAIN_ID'} | {'ROS_DOMAIN_ID': str(domain)}
    assert profile_variable(ours) in ours.keys() - theirs.keys()
    ours[profile_variable(ours)] = str(ROOT / 'config' / profile)
    processes = [subprocess.Popen([sys.executable, '-c', TALK, *names], env=environ, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for names, environ in ((('a', 'b'), ours), (('b', 'a'), theirs))]
    try:
        said = [process.communicate(timeout=100) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [out for out, _ in said] == ["['fast', 'sure']\n"] * 2
    assert not any('XML' in error for _, error in said), said   # what Fast DDS cannot read it says


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_the_profile_of_this_machine_alone_has_no_socket_for_others():
    environ, _ = environment()
    said = {}
    for profile in 'fastdds.xml', 'fastdds_localhost.xml':
        environ[profile_variable(environ)] = str(ROOT / 'config' / profile)
        said[profile] = set(subprocess.run(
            [sys.executable, '-c', SOCKETS], env=environ, text=True, capture_output=True,
            timeout=100, check=True).stdout.split())
    assert '0.0.0.0' in said['fastdds.xml']   # or the sockets were not found
    # A socket for multicast has the group's address: it is asked for on 127.0.0.1 alone.
    assert said['fastdds_localhost.xml'] == {'127.0.0.1', '239.255.0.1'}


def test_the_profiles_differ_in_the_interface_alone():
    trees = [ElementTree.parse(ROOT / 'config' / name).getroot()
             for name in ('fastdds.xml', 'fastdds_localhost.xml')]
    space = trees[0].tag.partition('}')[0] + '}'
    udp, = (one for one in trees[1].iter(f'{space}transport_descriptor')
            if one.findtext(f'{space}type') == 'UDPv4')
    only, = udp.iter(f'{space}interfaceWhiteList')
    assert [address.text for address in only] == ['127.0.0.1']
    udp.remove(only)
    said = [[(one.tag, (one.text or '').strip()) for one in tree.iter()] for tree in trees]
    assert said[0] == said[1]


def test_the_profile_sends_no_descriptions_of_types():
    root = ElementTree.parse(ROOT / 'config' / 'fastdds.xml').getroot()
    texts = [element.text for element in root.iter() if element.tag.rpartition('}')[2] in (
        'name', 'value')]
    assert texts[-2:] == ['fastdds.type_propagation', 'disabled']


def test_a_process_says_that_it_is_there_until_the_next_time_fast_dds_would():
    """The lease's comes 3 s after the start: who missed the first ones waits for that."""
    root = ElementTree.parse(ROOT / 'config' / 'fastdds.xml').getroot()
    space = root.tag.partition('}')[0] + '}'
    first, = root.iter(f'{space}initialAnnouncements')
    seconds = (int(first.findtext(f'{space}period/{space}sec'))
               + int(first.findtext(f'{space}period/{space}nanosec')) * 1e-9)
    assert seconds <= 0.1
    assert int(first.findtext(f'{space}count')) * seconds > 3.0


KEPT = """
import ctypes, sys
sys.path[:0] = sys.argv[1:]
from sitecustomize import Mallinfo2
c = ctypes.CDLL(None)
c.mallinfo2.restype, c.malloc.restype = Mallinfo2, ctypes.c_void_p
c.free.argtypes = [ctypes.c_void_p]
before = c.mallinfo2().uordblks
for piece in [c.malloc(1000) for _ in range(7)]:
    c.free(piece)
print(c.mallinfo2().uordblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallinfo2'), reason='wants glibc 2.33')
def test_threads_keep_nothing_of_what_they_free():
    environ, _ = environment()
    kept = [int(subprocess.run(
        [sys.executable, '-c', KEPT, str(ROOT / 'test' / 'soak' / 'kept_site')], text=True,
        env=one, check=True, capture_output=True).stdout)
        for one in (environ, environment(transport=False)[0])]
    assert kept[0] < 1000 < 5000 < kept[1], kept
