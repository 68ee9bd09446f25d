"""Our transport profile and Fast DDS as it comes understand each other."""

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


def test_processes_with_and_without_the_profile_hear_each_other():
    ours, domain = environment()
    theirs = {name: value for name, value in environment(transport=False)[0].items()
              if name != 'ROS_DOMAIN_ID'} | {'ROS_DOMAIN_ID': str(domain)}
    assert profile_variable(ours) in ours.keys() - theirs.keys()
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


def test_the_profile_sends_no_descriptions_of_types():
    root = ElementTree.parse(ROOT / 'config' / 'fastdds.xml').getroot()
    texts = [element.text for element in root.iter() if element.tag.rpartition('}')[2] in (
        'name', 'value')]
    assert texts[-2:] == ['fastdds.type_propagation', 'disabled']
