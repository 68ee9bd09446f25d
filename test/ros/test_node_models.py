"""The models of a node are exchanged while it works, over real DDS."""

import os
import shutil

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from changed_node import NAME, publishing, running, scene
from node_testing import make_image, reliable
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import Image
import yaml

# More of them where there is time: DEMT_LONG_TESTS=1.
SWAPS = 50 if os.environ.get('DEMT_LONG_TESTS') else 4


@pytest.fixture(scope='module')
def node(ros, tester, tiny_model):
    with running(ros, tester, tiny_model) as node:
        yield node


@pytest.fixture(scope='module')
def camera(tester, node):
    with publishing(tester) as camera:
        yield camera


@pytest.fixture
def fewer(tiny_model, tmp_path):
    """Return a model that has only depth and boundaries."""
    folder = tmp_path / 'fewer'
    shutil.copytree(tiny_model, folder)
    card = yaml.safe_load((folder / 'card.yaml').read_text())
    (folder / 'card.yaml').write_text(yaml.safe_dump({**card, 'tasks': ['depth', 'edge']}))
    return folder


def test_no_frame_is_lost_while_models_are_changed(
        tester, node, camera, tiny_model, fewer, tmp_path):
    """A frame is sent as soon as the last one is through; models come and go meanwhile."""
    services = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
    client = tester.node.create_client(services.LoadModel, f'{NAME}/load_model')
    tester.spin_until(client.service_is_ready)
    good = (fewer, 'openvino'), (tiny_model, 'onnxruntime')
    damaged = shutil.copytree(tiny_model, tmp_path / 'damaged')
    (damaged / 'model.onnx').write_bytes(b'no graph')
    bad = ('no_such_model', ''), ('', 'no_such_engine'), (damaged, '')
    futures, sent = [], []
    with tester.listening(f'{NAME}/depth/image', Image, reliable(50)) as depth, \
            tester.listening(f'{NAME}/semantic/overlay', Image):   # this one comes and goes
        def through():
            answered = futures and futures[-1].done()
            if answered and len(futures) == 2 * SWAPS:
                return len(depth) == len(sent)
            if len(depth) == len(sent):   # or a frame is lost, and this waits in vain
                message = make_image(scene(), stamp=tester.now())
                sent.append((message.header.stamp.sec, message.header.stamp.nanosec))
                camera[0].publish(message)
            if answered or not futures:
                turn, odd = divmod(len(futures), 2)
                model, engine = bad[turn % 3] if odd else good[turn % 2]
                futures.append(client.call_async(services.LoadModel.Request(
                    model=str(model), engine=engine)))
            return False

        shot = make_image(scene(), stamp=tester.now())
        tester.pump(camera[0], lambda: shot, lambda: depth, 'a first frame')
        tester.spin_for(0.3)
        depth.clear()
        tester.spin_until(through, 'changes of models, and a result of every frame', 400)
        assert [(m.header.stamp.sec, m.header.stamp.nanosec) for m in depth] == sent
    answers = [future.result() for future in futures]
    assert len(sent) > len(answers)
    assert [answer.success for answer in answers] == [True, False] * SWAPS
    assert all('the old model stays' in answer.message for answer in answers[1::2])
    tester.node.destroy_client(client)
    with tester.diagnosing('changed') as report:
        now = report().values['engine']
    parameter, = tester.call(GetParameters, f'{NAME}/get_parameters', GetParameters.Request(
        names=['engine'])).values
    assert parameter.string_value == now, 'the parameter tells what runs'
