"""Which labels are published with which results, and what a publication that was given up sends.

All on an outlet whose publishers only note what they are given.
"""

from dataclasses import replace
import threading
import time

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from exchanging import exchanging
from node_testing import free_domain, make_image, node_in_this_process
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from test_pipeline import Camera, IMAGE

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card
from demt_perception.ros import outlet as outlet_module
from demt_perception.ros import pipeline as pipeline_module
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.frame import Frame, Result
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.outlet import Outlet

TABLE = 'semantic/label_table'


@pytest.fixture
def labels(monkeypatch):
    """Let the label topic be there without demt_msgs: the message is an image."""
    from sensor_msgs.msg import Image
    monkeypatch.setattr(outlet_module, '_LABELS', {
        TABLE: (Image, lambda card, stamp: make_image(IMAGE, frame_id=card.classes[0]))})


@pytest.fixture
def node():
    context = Context()
    context.init(domain_id=free_domain())
    node = LifecycleNode('labelled', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def sent(labels, monkeypatch):
    """Return the list of what is published: topic, and frame_id."""
    sent = []

    def send(outlet, topic, message):
        if outlet._publishers.get(topic) is not None:
            sent.append((topic, message.header.frame_id))

    monkeypatch.setattr(Outlet, '_send', send)
    return sent


def make_result(model, card, frame_id='lens'):
    """Return a result of a model that has another card."""
    predictor = Predictor(model, 'onnxruntime', 1)
    predictions = predictor.predict(IMAGE)
    predictor.close()
    predictions.card = card
    camera = Camera(Statistics())
    return Result(camera, Frame(make_image(IMAGE, frame_id=frame_id), camera.time, 0.0),
                  predictions, None, frozenset({'semantic/image'}), {}, 0.0)


def other_card(model):
    card = load_card(model)
    return replace(card, classes=('turned', *card.classes[1:]))


def test_labels_come_right_before_the_first_result_that_they_are_of(node, sent, tiny_model):
    old, new = load_card(tiny_model), other_card(tiny_model)
    outlet = Outlet(node, '', old, True)
    assert sent == [(TABLE, old.classes[0])], 'when it is configured: at once'
    sent.clear()
    outlet.offer(new, True)
    for card in (old, new, new):   # a frame of the old model was still on its way
        outlet.publish(make_result(tiny_model, card), ('semseg',), 1)
    image = 'semantic/image', 'lens'
    assert sent == [image, (TABLE, 'turned'), image, image]


def test_a_last_result_of_a_model_without_classes_leaves_the_labels_alone(node, sent, tiny_model):
    new = other_card(tiny_model)
    old = replace(load_card(tiny_model), name='old', tasks=('depth', 'normals'))
    outlet = Outlet(node, '', old, True)
    outlet.offer(new, True)
    outlet.publish(make_result(tiny_model, old), ('depth',), 1)
    assert sent == [(TABLE, 'turned')]


def test_tasks_that_run_alone_have_the_labels_of_the_whole_model(node, sent, tiny_model):
    card = load_card(tiny_model)
    outlet = Outlet(node, '', card, True)
    outlet.publish(make_result(tiny_model, card.only(['semseg'])), ('semseg',), 1)
    assert [topic for topic, _ in sent] == [TABLE, 'semantic/image']


def test_a_label_topic_that_is_new_has_its_labels_at_once(node, sent, tiny_model):
    new = other_card(tiny_model)
    outlet = Outlet(node, '', replace(new, tasks=('depth', 'normals', 'edge')), True)
    assert not sent
    outlet.offer(new, True)
    assert sent == [(TABLE, 'turned')]


@pytest.mark.parametrize('active', [False, True])
def test_a_model_that_comes_while_nothing_works_has_its_labels_at_once(
        tiny_model, tmp_path, monkeypatch, sent, active):
    with exchanging(tiny_model, tmp_path, monkeypatch) as bench:
        perception = bench.perception
        if active:
            perception.activate(False)
        sent.clear()
        predictor = Predictor(bench.folder, 'onnxruntime', 1)
        predictor.card = other_card(tiny_model)
        perception.replace(predictor, perception.settings)
        assert sent == ([] if active else [(TABLE, 'turned')])


def test_a_publication_that_was_given_up_sends_neither_images_nor_labels(
        node, sent, tiny_model, monkeypatch):
    outlet = Outlet(node, '', load_card(tiny_model), True)
    result = make_result(tiny_model, other_card(tiny_model))
    sent.clear()
    fill = outlet._fill
    monkeypatch.setattr(outlet, '_fill', lambda *arguments: (
        fill(*arguments), result.given_up.set())[0])   # while it is being filled
    with pytest.raises(BadImageError) as caught:
        outlet.publish(result, ('semseg',), 1)
    assert (caught.value.reason, sent) == ('given_up', [(TABLE, 'turned')])
    sent.clear()
    with pytest.raises(BadImageError, match='deactivated'):
        outlet.publish(make_given_up(result), ('semseg',), 1)
    assert not sent


def make_given_up(result):
    """Return the result with labels that were not published before."""
    result.predictions.card = replace(result.predictions.card, name='yet another')
    return result


def test_while_a_publication_is_lost_the_node_does_not_become_active(tiny_model, monkeypatch):
    monkeypatch.setattr(pipeline_module, 'PATIENCE', 0.2)
    inside, go_on = threading.Event(), threading.Event()
    with node_in_this_process(tiny_model) as node:
        assert node.on_configure(None) == TransitionCallbackReturn.SUCCESS
        perception = node._perception
        perception.activate(False)
        pipeline, camera = perception._pipeline, perception.cameras[0]
        sent = []

        def publish(result):
            inside.set()
            assert go_on.wait(30)
            sent.append(result.given_up.is_set())
            return {}

        monkeypatch.setattr(camera, 'publish', publish)
        pipeline.publication.results.put(make_lost_result(camera, pipeline, tiny_model))
        assert inside.wait(20)
        perception.deactivate()
        assert pipeline.publication.lost
        assert node.on_activate(None) == TransitionCallbackReturn.FAILURE
        assert 'a publication has not come back' in node._failure
        assert node._state == 'inactive'
        go_on.set()
        pipeline.publication.thread.join(20)
        assert sent == [True]
        perception.activate(False)   # it has come back
        assert perception._pipeline is not pipeline


def make_lost_result(camera, pipeline, model):
    result = make_result(model, load_card(model))
    return replace(result, camera=camera, given_up=pipeline.publication.given_up,
                   frame=Frame(result.frame.message, 0, time.monotonic()))
