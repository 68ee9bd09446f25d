"""Models and engines that come while something else happens: in one process, without images."""

from dataclasses import replace
import shutil
import threading

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('onnxruntime')

from exchanging import exchanging, SECONDS
from sensor_msgs.msg import Image

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card, save_card
from demt_perception.ros import exchange
from demt_perception.ros.perception import Perception


@pytest.fixture
def bench(tiny_model, tmp_path, monkeypatch):
    with exchanging(tiny_model, tmp_path, monkeypatch) as bench:
        yield bench


def test_another_model_takes_over_with_all_its_tasks(bench, tmp_path):
    bench.perception.set_tasks(['depth'])
    other = shutil.copytree(bench.folder, tmp_path / 'other')
    done, said = bench.do(bench.exchange.load_model, bench.perception, str(other), '')
    assert done and said.startswith('model tiny_model at ') and 'onnxruntime' in said
    assert bench.perception.settings.model == str(other)
    assert len(bench.perception.tasks) == 4


def test_tasks_may_be_called_as_their_topics_or_as_in_papers(bench):
    perception = bench.perception
    perception.set_tasks(['boundary', 'semseg'])
    assert perception.tasks == ('semseg', 'edge')
    perception.set_tasks(['semantic', 'depth'])
    assert perception.tasks == ('semseg', 'depth')
    for wrong in (['colour'], ['semantic', 'semseg'], ['saliency']):
        with pytest.raises(ValueError, match='cannot be chosen') as caught:
            perception.set_tasks(wrong)
        assert str(wrong) in str(caught.value)
        assert 'semseg (or semantic), depth, normals, edge (or boundary)' in str(caught.value)
    assert perception.tasks == ('semseg', 'depth')


def test_a_model_that_is_none_changes_nothing(bench, tmp_path):
    done, said = bench.do(bench.exchange.load_model, bench.perception, str(tmp_path), '')
    assert not done and said.startswith('the old model stays: ')
    assert bench.perception.settings.model == str(bench.folder)
    assert not bench.exchange.is_loading()


def test_a_node_that_is_cleaned_up_meanwhile_stays_so(bench):
    done, said = bench.do(bench.exchange.load_model, bench.perception, '', 'onnxruntime',
                          meanwhile=bench.perception.close)
    assert (done, said) == (False, 'the node was cleaned up meanwhile: nothing was changed')


def test_a_model_without_the_classes_that_are_asked_for_stays_out(bench):
    def choose():
        bench.perception.settings = replace(bench.perception.settings, classes=('lamp',))

    done, said = bench.do(bench.exchange.load_model, bench.perception, '', 'onnxruntime',
                          meanwhile=choose)
    assert not done and "classes ['lamp'] are not those of model tiny_model" in said


def test_the_engine_that_was_built_takes_over(bench):
    pytest.importorskip('openvino')
    bench.perception.settings = replace(bench.perception.settings, engine='openvino',
                                        precision='f32')
    bench.do(bench.exchange.finish_building, bench.perception)
    assert (bench.engine.engine, bench.engine.precision) == ('openvino', 'f32')
    assert bench.perception.building == bench.perception.failure == ''


def want_int8(bench):
    """Ask for an engine that cannot be built of this model."""
    bench.perception.settings = replace(bench.perception.settings, precision='int8')


def test_an_engine_that_cannot_be_built_is_told_and_the_other_serves_on(bench):
    want_int8(bench)
    bench.do(bench.exchange.finish_building, bench.perception)
    assert bench.perception.failure.startswith('engine onnxruntime cannot be built: precision')
    assert bench.perception.building == ''
    assert bench.engine.engine == 'onnxruntime'


def test_of_a_model_that_was_replaced_meanwhile_nothing_is_told(bench):
    """Its engine failed, but nobody waits for it any more."""
    want_int8(bench)

    def take_another():
        another = Predictor(bench.folder, 'onnxruntime', 1)
        bench.perception.replace(another, replace(bench.perception.settings, precision='auto'))

    bench.do(bench.exchange.finish_building, bench.perception, meanwhile=take_another)
    assert bench.perception.failure == ''


def test_an_engine_that_comes_too_late_is_freed(bench):
    another = Predictor(bench.folder, 'onnxruntime', 1)
    bench.do(bench.exchange.finish_building, bench.perception, meanwhile=lambda: (
        bench.perception.replace(another, bench.perception.settings)))
    assert bench.perception.loads == 1
    assert bench.perception.runs(another.card)


def test_the_shape_of_the_images_is_taken_over(bench):
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48))
    wanted = Predictor(bench.folder, 'onnxruntime', 1, image_size=(96, 48)).input_size
    assert bench.perception._predictors.whole.input_size == wanted
    assert bench.perception.settings.image_size == (96, 48)


def test_where_the_shape_cannot_be_had_it_is_not_tried_again(bench):
    bench.perception.settings = replace(bench.perception.settings, match_aspect=True)
    (bench.folder / 'model.onnx').unlink()
    before = bench.perception._predictors
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48))
    assert bench.perception._predictors is before
    assert bench.perception.size_to_match() is None


def choose_lamps(bench):
    bench.perception.settings = replace(bench.perception.settings, classes=('lamp',))


def test_what_was_built_and_cannot_be_gone_on_with_is_freed_and_told(bench, freed):
    before = bench.perception._predictors.whole
    bench.do(bench.exchange.finish_building, bench.perception,
             meanwhile=lambda: choose_lamps(bench))
    assert bench.perception._predictors.whole is before
    assert len(freed) == 1 and freed[0] is not before
    assert "built in vain: classes ['lamp'] are not" in bench.perception.failure


def test_another_shape_that_cannot_be_gone_on_with_is_freed_and_not_tried_again(bench, freed):
    bench.perception.settings = replace(bench.perception.settings, match_aspect=True)
    before = bench.perception._predictors.whole
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48),
             meanwhile=lambda: choose_lamps(bench))
    assert bench.perception._predictors.whole is before
    assert len(freed) == 1 and freed[0] is not before
    assert bench.perception.settings.image_size is None
    assert bench.perception.size_to_match() is None


def test_an_error_without_words_is_no_success(bench, freed, monkeypatch):
    def without_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(exchange, 'load_or_build', without_memory)
    bench.perception.settings = replace(bench.perception.settings, match_aspect=True)
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48))
    assert bench.perception.size_to_match() is None, 'not again'
    monkeypatch.undo()
    monkeypatch.setattr(Perception, 'go_on_with', without_memory)
    bench.do(bench.exchange.finish_building, bench.perception)
    assert bench.perception.failure.endswith('built in vain: MemoryError')


def test_another_shape_of_another_model_in_the_folder_is_not_taken_over(bench, freed):
    card = load_card(bench.folder)
    save_card(replace(card, name='other'), bench.folder)
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48))
    assert bench.perception.loads == 0 and len(freed) == 1


def test_a_model_that_comes_while_the_shape_is_matched_stays(bench):
    another = Predictor(bench.folder, 'onnxruntime', 1)
    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48), meanwhile=lambda: (
        bench.perception.replace(another, bench.perception.settings)))
    assert bench.perception.loads == 1 and bench.perception._predictors.whole is another
    assert bench.perception.settings.image_size is None


def test_two_at_once_are_one(bench):
    second = []

    def again():
        second.append(bench.executor.create_task(
            bench.exchange.match_aspect, bench.perception, (50, 99)))
        bench.executor.spin_until_future_complete(second[0], SECONDS)

    bench.do(bench.exchange.match_aspect, bench.perception, (96, 48), meanwhile=again)
    assert second[0].done()
    assert (bench.perception.loads, bench.perception.settings.image_size) == (1, (96, 48))


def test_the_topic_that_a_message_is_being_sent_on_is_known(bench):
    """A subscriber may hold the sending up: see ``EngineCare``."""
    camera, sent = bench.perception.cameras[0], []
    publisher = camera._outlet._publishers['depth/image']
    publish = publisher.publish
    publisher.publish = lambda message: (sent.append(camera.sending), publish(message))
    camera._outlet._send('depth/image', Image())
    with pytest.raises(TypeError):
        camera._outlet._send('depth/image', 'no image')
    assert sent == ['/exchanged/depth/image'] * 2
    assert camera.sending == ''


@pytest.fixture
def hung(bench):
    """An engine that was given up: another one is wanted."""
    bench.perception.care._hung = 'the engine hangs'
    bench.perception.care.begin()
    return bench


def test_an_engine_that_was_given_up_is_loaded_anew(hung):
    before = hung.perception._predictors
    hung.do(hung.exchange.restart_engine, hung.perception)
    assert hung.perception._predictors is not before
    assert (hung.perception.loads, hung.perception.care.restarts) == (1, 1)
    assert hung.perception.care.trouble == ''


def test_meanwhile_it_is_said_and_where_it_cannot_be_loaded_why(hung):
    assert hung.perception.care.trouble == 'the engine hangs; another one is being loaded'
    (hung.folder / 'model.onnx').unlink()
    hung.do(hung.exchange.restart_engine, hung.perception)
    assert hung.perception.care.restarts == 0
    assert 'the engine hangs; another one cannot be loaded: ' in hung.perception.care.trouble
    assert 'the next try is in 2 s' in hung.perception.care.trouble


def test_it_does_not_stand_in_the_way_of_another_model(hung):
    another = Predictor(hung.folder, 'onnxruntime', 1)
    hung.do(hung.exchange.restart_engine, hung.perception, meanwhile=lambda: (
        hung.perception.replace(another, hung.perception.settings)))
    assert hung.perception._predictors.whole is another
    assert (hung.perception.loads, hung.perception.care.restarts) == (1, 0)


def test_an_engine_that_cannot_be_gone_on_with_is_freed_and_that_is_told(hung, freed):
    before = hung.perception._predictors.whole
    hung.do(hung.exchange.restart_engine, hung.perception, meanwhile=lambda: choose_lamps(hung))
    assert hung.perception._predictors.whole is before
    assert len(freed) == 1
    assert freed[0] is not before
    assert "cannot be loaded: classes ['lamp'] are not those" in hung.perception.care.trouble
    assert 'the next try is in 2 s' in hung.perception.care.trouble


@pytest.fixture
def slow(monkeypatch):
    """Return what lets the building of engines go on."""
    go_on, load = threading.Event(), exchange.load_or_build

    def late(*arguments):
        assert go_on.wait(SECONDS)
        return load(*arguments)

    monkeypatch.setattr(exchange, 'load_or_build', late)
    yield go_on
    go_on.set()


def test_an_engine_that_is_loaded_anew_does_not_have_another_one_built_a_second_time(hung, slow):
    pytest.importorskip('openvino')
    perception = hung.perception
    perception.settings = replace(perception.settings, engine='openvino', precision='f32')
    building = hung.executor.create_task(hung.exchange.finish_building, perception)
    while not hung.exchange.is_loading():
        hung.executor.spin_once(1)
    restart = hung.executor.create_task(hung.exchange.restart_engine, perception)
    hung.executor.spin_until_future_complete(restart, SECONDS)
    assert restart.done(), 'it does not wait for the building'
    assert (perception.care.restarts, hung.engine.engine) == (1, 'onnxruntime')
    slow.set()
    hung.executor.spin_until_future_complete(building, SECONDS)
    assert hung.engine.engine == 'openvino', 'what was built for it, takes over'
    assert perception.loads == 2
    assert not hung.exchange.is_loading()


def test_what_the_folder_holds_by_now_is_no_restart(hung):
    """Its topics, classes or scale may be others: only load_model brings another model."""
    card = load_card(hung.folder)
    save_card(replace(card, name='retrained'), hung.folder)
    hung.do(hung.exchange.restart_engine, hung.perception)
    assert hung.engine.model == 'tiny_model'
    assert 'holds another model by now, which ~/load_model' in hung.perception.care.trouble
