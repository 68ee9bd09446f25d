"""The faults of the soak: each is injected, waited for until the node has noticed it, and undone.

A fault takes the world, a random generator and a stack of what undoes it; it returns what was
seen, and fails where what had to be seen was not.
"""

from array import array
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cv2
from demt_msgs.srv import LoadModel, SetTasks
from node_testing import best_effort, reliable
import numpy as np
from soak_camera import WIDTH
from soak_figures import HEAVY as HEAVY_NAMES
from soak_world import NODE
from std_srvs.srv import SetBool

from demt_perception.model_card import load_card
from demt_perception.ros.conversions import ENCODINGS

MALFORMED = {
    'zero height': ('zero_size', {'height': 0}),
    'zero width': ('zero_size', {'width': 0, 'step': 0, 'data': array('B')}),
    'wrong step': ('wrong_step', {'step': WIDTH * 3 - 1}),
    'short data': ('short_data', {'data': array('B', bytes(1000))}),
    'unknown encoding': ('unknown_encoding', {'encoding': 'foo8'}),
    'odd width of yuyv': ('bad_size', {'encoding': 'yuyv', 'width': 641}),
}
SIZES = ((320, 180), (1280, 720), (97, 61), (640, 480), (480, 640), (1920, 1080))
PARAMETERS = {
    'output_scale': (0.25, 0.5, 1.5), 'classes': (['road', 'car'], ['sky']),
    'confidence': (False,), 'points.decimation': (2, 8), 'depth.every': (2, 5),
    'normals.every': (3,), 'depth_scale': (0.5, 2.0), 'max_age': (0.0, 5.0),
    'roi': ([0, 100, 640, 200], [160, 90, 320, 180]), 'diagnostics_period': (0.3, 2.0),
}
REFUSED = {
    'output_scale': -1.0, 'classes': ['unicorn'], 'roi': [600, 0, 640, 360], 'threads': 3,
    'points.decimation': 0, 'image_transport': 'pigeon', 'max_age': float('nan'),
}


def malformed(world, rng, undo):
    """Send images of one malformed kind among good ones, or alone."""
    kind = rng.choice(sorted(MALFORMED))
    reason, changes = MALFORMED[kind]
    world.camera.paused = rng.random() < 0.5
    before, sent = world.dropped(reason), 0
    until = time.monotonic() + 30
    while world.dropped(reason) <= before:
        assert time.monotonic() < until, f'{kind}: {reason} is not counted'
        world.camera.send_bad(**changes)
        sent += 1
        world.spin(0.02)
    return f'{kind}: dropped_{reason} grew'


def size(world, rng, undo):
    """Change the size of the images in mid-stream."""
    width, height = rng.choice(SIZES)
    before = world.noted('resolution_changed')
    world.camera.show(lambda frame: (cv2.resize(frame, (width, height)), 'bgr8'))
    world.outputs_go_on()
    world.wait(lambda: world.noted('resolution_changed') > before, 'resolution_changed')
    return 'outputs of the new size, resolution_changed grew'


def encoding(world, rng, undo):
    """Change the encoding of the images in mid-stream."""
    name = rng.choice(sorted(ENCODINGS))
    channels, values = ENCODINGS[name].channels, ENCODINGS[name].bytes
    gray = [np.uint8, np.uint16][values - 1]

    def change(frame):
        one = frame[..., 1].astype(gray) * (257 if values == 2 else 1)
        return np.ascontiguousarray(np.stack([one] * channels, -1)), name

    world.camera.show(change)
    world.outputs_go_on()
    return 'outputs of the new encoding'


def stamps_ahead(world, rng, undo):
    """Let the stamps jump ahead, and back to now at the end."""
    world.camera.shift = int(rng.uniform(0.1, 3600) * 1e9)
    world.outputs_go_on()
    return 'outputs go on'


def stamps_old(world, rng, undo):
    """Let the stamps jump back: frames that are too old to be published."""
    before = world.dropped('too_old')
    world.camera.shift = -int(rng.uniform(3, 3600) * 1e9)
    world.wait(lambda: world.dropped('too_old') > before, 'too_old')
    return 'dropped_too_old grew'


def stamps_mixed(world, rng, undo):
    """Let every frame come once more with an older stamp: out of order."""
    before = world.dropped('stamp_backwards')
    world.camera.late = True
    world.wait(lambda: world.dropped('stamp_backwards') > before, 'stamp_backwards')
    return 'dropped_stamp_backwards grew'


def pause(world, rng, undo):
    """Let the camera stop."""
    seconds = rng.uniform(0.5, 7.0)
    world.camera.paused = True
    world.spin(seconds)
    if seconds < 4.5:
        return 'shorter than no_frame_timeout: nothing'
    assert world.diagnosis[0] == 1, f'the report is {world.diagnosis[:2]}, want a warning'
    return 'a warning'


def camera_restarts(world, rng, undo):
    """End the camera's publisher and make another, some times."""
    for _ in range(rng.randint(1, 5)):
        world.camera.reconnect()
        world.spin(rng.uniform(0, 0.5))
    world.outputs_go_on()
    return 'outputs go on'


def flood(world, rng, undo):
    """Send frames at ten times the rate."""
    before = world.stats.received + world.noted('lost_in_transport') if world.stats else 0
    world.camera.burst = 10
    begin = time.monotonic()
    world.spin(rng.uniform(1.5, 4))
    world.camera.burst = 1
    world.outputs_go_on()
    world.spin(1.1)
    came = (world.stats.received + world.noted('lost_in_transport') - before) / (
        time.monotonic() - begin)
    assert came > 0
    return 'outputs go on'


def bad_camera_info(world, rng, undo):
    """Send camera_infos that cannot be."""
    before = world.noted('bad_camera_info')
    world.camera.info = rng.choice([
        {'k': [float('nan')] * 9}, {'k': [0.0] * 9}, {'width': 64, 'height': 48}])
    world.wait(lambda: world.noted('bad_camera_info') > before, 'bad_camera_info')
    return 'bad_camera_info grew'


def parameter(world, rng, undo):
    """Change a parameter, and back at the end."""
    name = rng.choice(sorted(PARAMETERS))
    defaults = {'output_scale': 1.0, 'classes': [''], 'confidence': True, 'depth_scale': 1.0,
                'roi': [0, 0, 0, 0], 'max_age': 2.0, 'diagnostics_period': 1.0}
    undo.callback(lambda: _accepted(world.set_parameter(name, defaults.get(name, 1))))
    _accepted(world.set_parameter(name, rng.choice(PARAMETERS[name])))
    world.outputs_go_on()
    return 'accepted, outputs go on'


def bad_parameter(world, rng, undo):
    """Set a parameter to what cannot be."""
    name = rng.choice(sorted(REFUSED))
    result = world.set_parameter(name, REFUSED[name])
    assert not result.successful, f'{name}: {REFUSED[name]} was accepted'
    assert result.reason
    return 'refused with a reason'


def compressed(world, rng, undo):
    """Go over to JPEG, with damaged ones among them, and back."""
    undo.callback(lambda: _accepted(world.set_parameter('image_transport', 'raw')))
    _accepted(world.set_parameter('image_transport', 'compressed'))
    world.camera.compressed = True
    world.outputs_go_on(what='outputs of JPEG')
    before, until = world.dropped('decode_failed'), time.monotonic() + 30
    while world.dropped('decode_failed') <= before:
        assert time.monotonic() < until, 'decode_failed is not counted'
        world.camera.send_jpeg(rng.randbytes(500), good=False)
        world.spin(0.02)
    return 'outputs of JPEG, dropped_decode_failed grew'


def set_tasks(world, rng, undo):
    """Choose some tasks, for less or more than the 5 s after which they get an engine."""
    tasks = load_card(world.model).tasks
    others = [task for task in tasks if task != 'semseg']
    chosen = ['semseg', *rng.sample(others, rng.randint(0, len(others) - 1))]
    undo.callback(lambda: _succeeded(world.call(SetTasks, 'set_tasks', tasks=[])))
    _succeeded(world.call(SetTasks, 'set_tasks', tasks=chosen))
    world.spin(rng.uniform(0.5, 9))
    world.outputs_go_on()
    response = world.call(SetTasks, 'set_tasks', tasks=['levitation'])
    assert not response.success and 'levitation' in response.message
    return 'outputs of those chosen go on; an unknown task is refused'


def enable(world, rng, undo):
    """Switch the node off, and on."""
    undo.callback(lambda: _succeeded(world.call(SetBool, 'enable', data=True)))
    _succeeded(world.call(SetBool, 'enable', data=False))
    answered = time.monotonic()
    world.spin(rng.uniform(0.5, 3))
    assert world.newest[0] <= answered, 'an output of a frame that was sent while disabled'
    return 'no outputs while disabled'


def load_model(world, rng, undo):
    """Load the model on another engine while frames go on, and then as it was."""
    undo.callback(lambda: _succeeded(
        world.call(LoadModel, 'load_model', model='', engine=world.engine)))
    _succeeded(world.call(
        LoadModel, 'load_model', model='', engine=rng.choice(['onnxruntime', 'openvino'])))
    world.outputs_go_on()
    return 'loaded, outputs go on'


def load_bad_model(world, rng, undo):
    """Ask for a model that is not there, or is damaged."""
    model = 'no_such_model'
    if rng.random() < 0.7:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory())) / 'damaged'
        shutil.copytree(world.model, folder)
        graph = folder / 'model.onnx'
        data = bytearray(graph.read_bytes())
        place = rng.randrange(len(data))
        if rng.random() < 0.5:
            del data[place:]
        else:
            data[place] ^= 255
        graph.write_bytes(data)
        model = str(folder)
    response = world.call(LoadModel, 'load_model', model=model, engine='')
    assert not response.success and response.message
    world.outputs_go_on()
    return 'refused with a reason, the old model goes on'


def deactivate(world, rng, undo):
    """Deactivate the node, and activate it."""
    undo.callback(world.change_state, 'activate')
    world.change_state('deactivate')
    answered = time.monotonic()
    world.spin(rng.uniform(0, 2))
    assert world.newest[0] <= answered, 'an output of a frame that was sent while inactive'
    return 'no outputs while inactive'


def clean_up(world, rng, undo):
    """Take the node down to unconfigured, and up."""
    undo.callback(world.change_state, 'configure', 'activate')
    world.change_state('deactivate', 'cleanup')
    world.spin(rng.uniform(0.5, 2))
    assert world.tester.state(NODE) == 'unconfigured'
    world.sample('unconfigured')
    return 'unconfigured, and configured again'


def subscribers(world, rng, undo):
    """Let subscribers come and go."""
    topics = world.topics()
    for _ in range(rng.randint(20, 60)):
        topic = rng.choice(sorted(topics))
        subscription = world.tester.node.create_subscription(
            topics[topic], f'{NODE}/{topic}', lambda data: None,
            rng.choice([best_effort, reliable])(), raw=True)
        world.spin(rng.uniform(0, 0.1))
        world.tester.node.destroy_subscription(subscription)
    world.outputs_go_on()
    return 'outputs go on'


def no_subscriber(world, rng, undo):
    """Let all who listen go away, and come back."""
    undo.callback(world.listen)
    before = world.stats.idle if world.stats else 0
    world.ignore()
    world.wait(lambda: world.stats.idle > before, 'frames that nobody wants an output of')
    return 'at rest: idle grew'


def stuck_subscriber(world, rng, undo):
    """Stop a process that subscribes reliably to the large topics, and kill it later."""
    topics = [f'{NODE}/{name}' for name in (
        'semantic/overlay', 'depth/image', 'normals/image', 'semantic/image')]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name('stuck_subscriber.py')), *topics],
        env=world.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    undo.callback(process.stdout.close)
    undo.callback(process.wait)
    undo.callback(process.kill)
    before = world.tester.node.count_subscribers(topics[0])
    world.wait(lambda: world.tester.node.count_subscribers(topics[0]) > before or
               process.poll() is not None, 'the subscriber')
    world.spin(0.5)
    assert process.poll() is None, 'the subscriber ended'
    process.send_signal(signal.SIGSTOP)
    world.spin(rng.uniform(1, 5))
    world.outputs_go_on()
    return 'outputs go on'


def restart(world, rng, undo):
    """End the node by a signal, or kill it, and start another."""
    if rng.random() < 0.5:
        world.node.process.kill()
        world.node.process.wait()
    else:
        code = world.node.stop(rng.choice([signal.SIGINT, signal.SIGTERM]))
        assert code == 0, f'it ended with {code}'
    world.start()
    return 'started again'


_ALL = {fault.__name__.replace('_', ' '): fault for fault in (
    malformed, size, encoding, stamps_ahead, stamps_old, stamps_mixed, pause, camera_restarts,
    flood, bad_camera_info, parameter, bad_parameter, compressed, set_tasks, enable, load_model,
    load_bad_model, deactivate, clean_up, subscribers, no_subscriber, stuck_subscriber)}
HEAVY = {name: _ALL.pop(name) for name in HEAVY_NAMES}
LIGHT = _ALL


def _accepted(result):
    assert result.successful, result.reason


def _succeeded(response):
    assert response.success, response.message
