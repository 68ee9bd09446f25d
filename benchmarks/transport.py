"""How large images get from one process to another, with and without config/fastdds.xml.

Run: ``python benchmarks/transport.py [--size 1080x1920] [--rate 30] [--seconds 5] [--rounds 3]``.
A sender and a receiver of best-effort bgr8 images, both in Python, for each setting in turn, so
that what else the machine does meets all alike. Prints a line a setting: images that arrived,
latency from before publishing to the callback (median and 95th percentile), and the processor
time of both processes for each image that was sent.
"""

import argparse
from array import array
import json
import os
import statistics
import subprocess
import sys
import time

from demt_perception.ros.transport import transport_environment
from demt_perception.share import share_file

OURS = transport_environment(share_file('config/fastdds.xml'), {})
MALLOC = {name: value for name, value in OURS.items() if name.startswith('MALLOC')}
SETTINGS = {
    'as Fast DDS comes': {},
    'LARGE_DATA': {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
    'fastdds.xml': {name: value for name, value in OURS.items() if name not in MALLOC},
    'fastdds.xml and malloc': OURS,
    'UDP only': {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'},
}
TOPIC = 'benchmark_image'


def main() -> int:
    """Measure every setting; or be one of the two processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--size', default='1080x1920')
    parser.add_argument('--rate', type=float, default=30)
    parser.add_argument('--seconds', type=float, default=5)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--be', choices=['sender', 'receiver'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    height, width = map(int, args.size.split('x'))
    count = round(args.rate * args.seconds)
    if args.be == 'sender':
        return send(height, width, args.rate, count)
    if args.be == 'receiver':
        return receive(count)
    found: dict[str, list[dict]] = {name: [] for name in SETTINGS}
    for number in range(args.rounds):
        for name, settings in SETTINGS.items():
            found[name].append(measure(settings, 60 + number, sys.argv[1:]))
    print(f'{args.size} bgr8 at {args.rate:g} Hz, {args.rounds} rounds of {count} images')
    print(f'{"":24}  arrived   median      p95    CPU an image')
    for name, rounds in found.items():
        seconds = [second for one in rounds for second in one['latency']]
        arrived = len(seconds) / (count * args.rounds)
        cpu = sum(one['cpu'] for one in rounds) / (count * args.rounds)
        middle = statistics.median(seconds) * 1e3 if seconds else float('nan')
        high = statistics.quantiles(seconds, n=20)[-1] * 1e3 if len(seconds) > 1 else float('nan')
        print(f'{name:24} {arrived:7.1%}  {middle:5.1f} ms  {high:6.1f} ms  {cpu * 1e3:6.1f} ms')
    return 0


def measure(settings: dict[str, str], domain: int, arguments: list[str]) -> dict:
    """Return latencies in seconds and processor seconds of one run."""
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(('FASTDDS', 'FASTRTPS', 'MALLOC', 'ROS_'))}
    environ |= settings | {'ROS_DOMAIN_ID': str(domain)}
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen([*command, '--be', 'receiver'], env=environ, stdout=subprocess.PIPE,
                          text=True) as receiver:
        sent = subprocess.run([*command, '--be', 'sender'], env=environ, check=True,
                              capture_output=True, text=True)
        out, _ = receiver.communicate()
    seen = json.loads(out.splitlines()[-1])
    return {'latency': seen['latency'],
            'cpu': seen['cpu'] + float(sent.stdout.splitlines()[-1])}


def send(height: int, width: int, rate: float, count: int) -> int:
    """Publish; print the processor seconds that it took."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node('sender')
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(1)
    image = Image(height=height, width=width, encoding='bgr8', step=width * 3)
    image.data = array('B', bytes(height * width * 3))
    cpu, begin = time.process_time(), time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, begin + index / rate - time.monotonic()))
        now = time.time_ns()
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(now, 10**9)
        publisher.publish(image)
    cpu = time.process_time() - cpu
    image.header.frame_id = 'end'
    image.data = array('B')
    ended = time.monotonic() + 2
    while time.monotonic() < ended:   # small: one of them gets there
        publisher.publish(image)
        time.sleep(0.1)
    print(cpu)
    rclpy.shutdown()
    return 0


def receive(count: int) -> int:
    """Print the latencies, in JSON."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    latency: list[float] = []
    done = False

    def on_image(message: Image) -> None:
        nonlocal done
        now = time.time_ns()
        done |= message.header.frame_id == 'end'
        if not done:
            stamp = message.header.stamp
            latency.append((now - stamp.sec * 10**9 - stamp.nanosec) / 1e9)

    rclpy.init()
    node = rclpy.create_node('receiver')
    node.create_subscription(Image, TOPIC, on_image, qos_profile_sensor_data)
    while not node.count_publishers(TOPIC):
        rclpy.spin_once(node, timeout_sec=0.1)
    cpu, end = time.process_time(), time.monotonic() + 120
    while not done and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(json.dumps({'latency': latency, 'cpu': time.process_time() - cpu}))
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
