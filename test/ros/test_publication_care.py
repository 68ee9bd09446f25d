"""A publication that hangs, is held up, or takes too long: told, and when it ends the process."""

import time

from hanging_work import hold_up, looks, working
import pytest
from test_pipeline import Camera, IMAGE, SECOND, wait_for

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card
from demt_perception.ros import pipeline as pipeline_module
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.engine_care import EngineCare, HungError, PERIOD, STUCK
from demt_perception.ros.frame import check_age, Frame, Result
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.publication import HANGS_AFTER


@pytest.fixture
def work(tiny_model):
    with working(tiny_model) as work:
        yield work


def test_a_subscriber_that_holds_up_a_publication_is_told_and_ends_nothing(work):
    hold_up(work, '/node/depth/image')
    care = EngineCare()
    wanted, now = looks(care, work.pipeline, HANGS_AFTER - 1)
    assert not wanted
    assert care.trouble == care.name == ''
    news = []
    for _ in range(round(600 / PERIOD)):
        now += PERIOD
        assert not care.look(work.pipeline, now), 'another engine would not help'
        news += [care.news] if care.news else []
    assert len(news) == 1 and news[0].startswith('a message on /node/depth/image'), 'once'
    assert care.name == 'publication_hung'
    assert care.trouble.startswith('a message on /node/depth/image has not been sent for 60')
    work.camera.may_publish.set()
    wait_for(lambda: work.camera.published)
    assert not care.look(work.pipeline, now)
    assert care.trouble == care.name == ''


def test_a_publication_that_hangs_in_something_else_is_told_and_ends_the_process(work):
    hold_up(work, '')
    care = EngineCare()
    _, now = looks(care, work.pipeline, HANGS_AFTER + STUCK - 2)
    assert care.name == 'publication_hung'
    assert care.trouble.startswith('a publication has not come back for 6')
    with pytest.raises(HungError, match='publication'):
        looks(care, work.pipeline, 4, now)


def test_a_publication_that_stop_does_not_wait_for_is_told_to_send_nothing_more(
        work, monkeypatch):
    monkeypatch.setattr(pipeline_module, 'PATIENCE', 0.2)
    told, publish = [], work.camera.publish

    def look(result):
        told.append(result.given_up.is_set())
        publish(result)
        told.append(result.given_up.is_set())
        return {}

    work.camera.publish = look
    hold_up(work, '')
    wait_for(lambda: told)
    work.pipeline.stop()
    assert work.pipeline.publication.lost
    work.camera.may_publish.set()
    wait_for(lambda: not work.pipeline.publication.lost)
    assert told == [False, True]


@pytest.fixture
def node():
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from node_testing import free_domain
    from rclpy.context import Context
    from rclpy.lifecycle import LifecycleNode

    context = Context()
    context.init(domain_id=free_domain())
    node = LifecycleNode('late', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_of_a_frame_that_becomes_too_old_while_it_is_published_the_rest_is_withheld(
        node, tiny_model):
    from node_testing import make_image

    from demt_perception.ros.outlet import Outlet

    outlet = Outlet(node, '', load_card(tiny_model), True)
    camera, sent = Camera(Statistics()), []
    result = Result(camera, Frame(make_image(IMAGE), camera.time, 0.0),
                    Predictor(tiny_model, 'onnxruntime', 1).predict(IMAGE), None,
                    frozenset({'semantic/image', 'depth/image'}), {}, 0.0)

    def send(publisher, publish):
        def slow(message):
            publish(message)
            sent.append(publisher.topic_name)
            camera.time += SECOND   # max_age is 0.5 s
        publisher.publish = slow

    for publisher in outlet._publishers.values():
        send(publisher, publisher.publish)
    with pytest.raises(BadImageError) as caught:
        outlet.publish(result, ('semseg', 'depth'), 1)
    assert (caught.value.reason, sent) == ('too_old', ['/late/semantic/image'])


def test_nor_is_the_health_of_such_a_frame_sent(node, tiny_model):
    from node_testing import make_image

    from demt_perception.ros.self_check import CameraCheck

    check, camera, sent = CameraCheck(node, ''), Camera(Statistics()), []
    check._publisher.publish = sent.append
    predictions = Predictor(tiny_model, 'onnxruntime', 1).predict(IMAGE)

    def look(received):
        check.look(Result(camera, Frame(make_image(IMAGE), camera.time - SECOND, received),
                          predictions, None, frozenset(), {}, 0.0), False)

    camera.max_age = 2.0
    look(0.0)
    camera.max_age = 0.5
    with pytest.raises(BadImageError, match='max_age'):
        look(1.0)
    assert len(sent) == 1


@pytest.mark.parametrize('simulated', [False, True])
def test_a_camera_knows_whether_the_clock_is_simulated(tiny_model, simulated):
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from node_testing import node_in_this_process
    with node_in_this_process(tiny_model, f'use_sim_time:={str(simulated).lower()}') as node:
        node.trigger_configure()
        (camera,) = node._perception.cameras
        assert camera.is_simulated is simulated


@pytest.mark.parametrize('stamp', [0, 110 * SECOND], ids=['none', 'ahead'])
def test_a_frame_whose_stamp_does_not_tell_is_as_old_as_it_has_been_here(stamp):
    camera, now = Camera(Statistics()), time.monotonic()
    old = Frame(None, stamp, now - 5)
    check_age(camera, old)   # a simulated clock may stand still
    camera.is_simulated = False
    check_age(camera, Frame(None, stamp, now))
    with pytest.raises(BadImageError, match=r'in the node for 5.* max_age is 0\.5') as caught:
        check_age(camera, old)
    assert caught.value.reason == 'too_old'
    camera.max_age = 0
    check_age(camera, old)
