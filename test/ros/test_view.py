"""`demt view` over real DDS: a node, the page's server in a process of its own, and a viewer."""

import json
from pathlib import Path
import signal
import struct
import subprocess
import sys
import threading
import time
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
sys.path.append(str(Path(__file__).resolve().parents[1] / 'view'))
from node_testing import gradient_scene, make_image, PATIENCE, ROOT
import webdriver

from demt_perception.inference import Predictor

SHOWN = [f'/shared/{topic}' for topic in (
    'semantic/overlay', 'depth/color', 'normals/color', 'boundary/image')] + ['/cam/image']
HEIGHT, WIDTH = 96, 160


class View:
    """`demt view` as a process."""

    def __init__(self, environ, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'demt_perception.cli', 'view', '--port', '0', *arguments],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def get(self, path):
        with urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def moment(self, show, probing=False, version=0, number=0):
        body = self.get(
            f'moment?viewer=aviewer1&version={version}&number={number}&width=320'
            f'&probing={int(probing)}' + ''.join(f'&show={name}&have=0' for name in show))
        (length,) = struct.unpack_from('<I', body)
        head, at = json.loads(body[4:4 + length]), 4 + length
        pictures = {}
        for picture in head['pictures']:
            pictures[picture['topic']] = cv2.imdecode(np.frombuffer(
                body[at:at + picture['size']], np.uint8), cv2.IMREAD_COLOR)
            at += picture['size']
        return head, pictures

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE), self.process.communicate()[1]


@pytest.fixture(scope='module')
def view(ros, shared_node):
    view = View(ros.environ, '--node', 'shared')
    yield view
    assert view.stop() == (0, '')   # quietly


@pytest.fixture(scope='module')
def scene():
    return gradient_scene(HEIGHT, WIDTH)


def watch(tester, publisher, scene, look):
    """Publish the scene until ``look``, called again and again in a thread, returns something."""
    found, error = [], []

    def ask():
        try:
            while not over.is_set() and not found:
                if value := look():
                    found.append(value)
        except Exception as trouble:
            error.append(trouble)

    over = threading.Event()
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        tester.pump(publisher, lambda: make_image(scene, stamp=tester.now()),
                    lambda: found or error, 'what the viewer waits for')
    finally:
        over.set()
        thread.join()
    assert not error, error
    return found[0]


def test_a_viewer_sees_what_the_node_predicts(tester, view, scene, tiny_model):
    expected = Predictor(tiny_model, 'onnxruntime', 1).predict(scene)
    views = {'semantic/overlay': 'overlay', 'depth/color': 'depth_color',
             'normals/color': 'normals_color', 'boundary/image': 'boundary'}
    states, reports = [], []

    def look():
        head, pictures = view.moment(SHOWN, probing=True)
        states.append(head['state'])
        reports.extend(head['reports'])
        return head['complete'] and reports and set(SHOWN) == pictures.keys() and (
            states[-1]['labels'] and states[-1]['health'] and pictures)

    with tester.publishing('/cam/image') as publisher:
        assert tester.node.count_subscribers('/shared/semantic/overlay') == 0
        pictures = watch(tester, publisher, scene, look)
    for topic, attribute in views.items():
        wanted = getattr(expected, attribute)
        wanted = cv2.cvtColor(wanted, cv2.COLOR_RGB2BGR if wanted.ndim == 3
                              else cv2.COLOR_GRAY2BGR)
        seen = pictures[f'/shared/{topic}']
        assert np.abs(seen.astype(int) - wanted).mean() < 6, topic   # JPEG
    assert np.abs(pictures['/cam/image'].astype(int) - scene).mean() < 6
    values = {value['title']: value for value in json.loads(view.get(
        'values?viewer=aviewer1&camera=&u=0.3&v=0.6'))}
    row, column = int(0.6 * HEIGHT), int(0.3 * WIDTH)
    assert values['Class']['id'] == expected.semantic[row, column]
    assert values['Class']['text'] == expected.card.classes[expected.semantic[row, column]]
    assert values['Depth']['text'] == f'{expected.depth[row, column]:.2f} m'
    assert {'Normals', 'Boundary', 'Confidence', 'Depth ±'} <= values.keys()
    state = states[-1]
    assert [entry['name'] for entry in state['labels']['']] == ['red', 'green', 'blue']
    assert state['labels'][''][0]['color'] == [200, 30, 30]
    assert state['health'][0]['name'] == 'shared: inference'
    assert state['hint'] == ''
    assert [topic['default'] for topic in state['topics'] if topic['default']]
    assert reports[-1]['model'] == 'tiny_model'


def test_who_does_not_look_costs_nothing(tester, view):
    tester.spin_until(lambda: not tester.node.count_subscribers('/shared/semantic/overlay'),
                      'that the page unsubscribes')
    assert not tester.node.count_subscribers('/shared/depth/image')


@pytest.mark.skipif(bool(webdriver.missing()), reason=webdriver.missing() or 'here')
def test_the_page_in_a_browser(tester, view, scene, tmp_path):
    browser = webdriver.Browser(tmp_path / 'profile')
    try:
        browser.open(view.url)
        with tester.publishing('/cam/image') as publisher:
            watch(tester, publisher, scene, lambda: browser.run(
                "return [...document.querySelectorAll('.screen p')]"
                '.filter((p) => p.hidden).length === 4'))
            browser.point('.screen', 0.3, 0.6)
            watch(tester, publisher, scene, lambda: browser.run(
                "return document.querySelectorAll('#probe dd').length >= 6"))
        assert 'red' in browser.run("return document.querySelector('#legend').innerText")
        assert browser.log() == []
        picture = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        # Four pictures of many colours on a plain page.
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2000
    finally:
        browser.close()


def test_a_node_that_is_not_there_is_waited_for(ros, view):
    other = View(ros.environ, '--node', '/nowhere/node')
    hint, version = '', 0
    for _ in range(40):
        if '/shared' in hint:
            break
        head, _ = other.moment([], version=version)
        version = head['version']
        hint = head['state']['hint'] if head['state'] else hint
    stopped = other.stop(signal.SIGTERM)
    assert 'waiting for the node /nowhere/node' in hint
    assert '/shared' in hint
    assert stopped == (0, '')


def test_a_signal_while_it_starts_ends_it_quietly(ros):
    starting = subprocess.Popen(
        [sys.executable, '-m', 'demt_perception.cli', 'view', '--port', '0'], cwd=ROOT,
        env=ros.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(0.6)
    starting.send_signal(signal.SIGTERM)
    # On a busy machine Python itself may still be starting.
    assert starting.wait(PATIENCE) in (0, -signal.SIGTERM)
    assert starting.communicate()[1] == ''


def test_a_taken_port_is_said(ros, view):
    port = view.url.rstrip('/').rpartition(':')[2]
    done = subprocess.run([sys.executable, '-m', 'demt_perception.cli', 'view', '--port', port],
                          cwd=ROOT, env=ros.environ, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert '--port' in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_page_is_opened_again_after_the_node_has_gone(
        ros, tester, start_node, scene, tiny_model):
    node = start_node('-r', '__node:=leaving', '-r', 'image:=/leaving/image', model=tiny_model)
    topic = '/leaving/depth/color'
    view = View(ros.environ, '--node', 'leaving')
    try:
        with tester.publishing('/leaving/image') as publisher:
            # Seen here, too: else 'nobody' below would only be what is not yet known.
            watch(tester, publisher, scene, lambda: view.moment([topic])[1].get(topic) is not None
                  and tester.node.count_subscribers(topic))
        tester.spin_until(lambda: not tester.node.count_subscribers(topic), 'nobody looks')
        node.stop()
        tester.spin_until(lambda: not tester.node.count_publishers(topic), 'the node has gone')
        end = time.monotonic() + 3
        while time.monotonic() < end:
            _, pictures = view.moment([topic])
            assert not pictures
            assert view.process.poll() is None, 'the server has ended'
    finally:
        code, said = view.stop()
    assert (code, said) == (0, '')
