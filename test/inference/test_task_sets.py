"""Rates of tasks, and engines for the sets of tasks that are asked for."""

from dataclasses import replace
import shutil

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.inference.rates import due
from demt_perception.inference.task_sets import ASKS, MOST, PATIENCE, REST, TaskSets
from demt_perception.model_card import file_sha256, load_card, save_card

TASKS = ('semseg', 'depth', 'normals', 'edge')
PICTURE = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
FRAME = PATIENCE / ASKS
ATTRIBUTES = {'semseg': 'semantic', 'depth': 'depth', 'normals': 'normals', 'edge': 'boundary'}


class Asking:
    """Task sets whose clock goes on by one frame at each; checks every result."""

    def __init__(self, folder):
        self.time = 100.0
        self.said = []
        self.sets = TaskSets(Predictor(folder, 'onnxruntime', 1), self.said.append,
                             lambda: self.time)
        self.wanted = self.sets.whole.predict(PICTURE)
        self.runs = []
        self.count(self.sets.whole)

    def count(self, predictor):
        """Note the tasks of each engine that runs, from now on."""
        run = predictor.engine.run

        def noted(image):
            self.runs.append(predictor.card.tasks)
            return run(image)

        predictor.engine.run = noted

    def ask(self, *tasks, times=1, wait=True):
        for _ in range(times):
            self.time += FRAME
            before = self.sets.sets
            predictions = self.sets.predict(PICTURE, tasks=tasks)
            for new in set(self.sets.sets) - set(before):
                self.count(self.sets._ready[new])
            assert set(predictions.tasks) == set(tasks)
            for task, name in ATTRIBUTES.items():
                assert hasattr(predictions, name) == (task in tasks)
                if task in tasks:
                    np.testing.assert_array_equal(
                        getattr(predictions, name), getattr(self.wanted, name))
            if wait and self.sets.preparing is not None:
                self.sets.preparing.join()

    def prepare(self, *tasks):
        self.ask(*tasks, times=ASKS + 3)
        assert tasks in self.sets.sets


@pytest.fixture
def asking(tiny_model):
    asking = Asking(tiny_model)
    yield asking
    asking.sets.close()


def test_what_is_asked_for_steadily_gets_an_engine_of_its_own(asking):
    asking.ask('depth', times=ASKS)
    assert asking.sets.sets == []
    asking.ask('depth', times=3)
    assert asking.sets.sets == [('depth',)]
    assert 'tasks depth have an engine of their own' in asking.said[0]
    asking.runs.clear()
    asking.ask('depth', times=3)
    asking.ask(*TASKS)
    asking.ask('depth')
    assert asking.runs == [('depth',)] * 2 + [('depth',), TASKS, ('depth',)]


def test_coming_and_going_prepares_nothing(asking):
    for _ in range(6):
        asking.ask('depth', times=ASKS - 2)
        asking.time += PATIENCE
        asking.ask('depth', 'edge', times=ASKS - 2)
        asking.time += PATIENCE
    assert asking.sets.preparing is None
    asking.prepare('depth')
    thread = asking.sets.preparing
    for _ in range(5):  # nor does coming back
        asking.ask(*TASKS, times=3)
        asking.time += REST * 2
        asking.ask('depth', times=3)
    assert asking.sets.preparing is thread


def test_sets_that_alternate_by_rate_each_get_theirs(asking):
    for frame in range(6 * ASKS):
        asking.ask(*due(('semseg', 'depth', 'edge'), {'edge': 3}, frame))
    assert set(asking.sets.sets) == {('semseg', 'depth'), ('semseg', 'depth', 'edge')}


def test_the_smallest_that_covers_serves_meanwhile(asking):
    asking.prepare('semseg', 'depth')
    asking.prepare('semseg', 'depth', 'edge')
    asking.runs.clear()
    asking.ask('depth')
    asking.ask('edge')
    asking.ask('normals')
    assert asking.runs == [('semseg', 'depth'), ('semseg', 'depth', 'edge'), TASKS]


def test_there_are_few_engines_and_those_in_use_stay(asking):
    many = [('semseg',), ('depth',), ('normals',)]
    assert len(many) == MOST
    for tasks in many:
        asking.prepare(*tasks)
    for _ in range(2 * ASKS):
        for tasks in many:
            asking.ask(*tasks)
        asking.time -= 2 * FRAME  # as if they were asked for in one frame
        asking.ask('edge')
    assert asking.sets.sets == many
    oldest = asking.sets._ready['semseg',]
    asking.time += REST
    for _ in range(ASKS + 3):
        asking.ask('depth'), asking.ask('normals'), asking.ask('edge')
    assert asking.sets.sets == [('depth',), ('normals',), ('edge',)]
    with pytest.raises(RuntimeError, match='closed'):
        oldest.predict(PICTURE)


def test_where_it_fails_the_whole_model_goes_on_and_it_is_not_tried_again(asking):
    asking.sets.whole.folder = asking.sets.whole.folder / 'gone'
    asking.ask('depth', times=3 * ASKS)
    assert asking.sets.sets == []
    assert len(asking.said) == 1
    assert 'gone' in asking.said[0]
    assert 'the whole model serves' in asking.said[0]


@pytest.fixture
def closed(closes_of):
    """Return the list of the predictors that are closed."""
    return closes_of(Predictor)


def test_a_model_that_was_exchanged_on_disk_gives_no_engine_and_the_loaded_one_goes_on(
        tiny_model, tmp_path, closed):
    """Exported into the same folder while the node runs, trained at another scale of depth."""
    onnx = pytest.importorskip('onnx', reason='changes the graph')
    folder = shutil.copytree(tiny_model, tmp_path / 'model')
    asking = Asking(folder)
    asking.ask('depth')
    model = onnx.load(folder / 'model.onnx')
    metres = next(one for one in model.graph.initializer if one.name == 'metres')
    metres.CopyFrom(onnx.numpy_helper.from_array(np.float32(20), 'metres'))
    onnx.save(model, folder / 'model.onnx')
    save_card(replace(load_card(folder), onnx_sha256=file_sha256(folder / 'model.onnx')), folder)
    asking.ask('depth', times=3 * ASKS)
    assert asking.sets.sets == []
    assert asking.said == ['tasks depth get no engine of their own, the whole model serves: '
                           f'{folder} holds another model by now']
    assert len(closed) == 1
    assert closed[0].card.tasks == ('depth',)
    asking.sets.close()


def test_what_was_prepared_since_the_last_look_is_not_prepared_again(asking, closed):
    """The thread ends while a frame is between taking over and choosing."""
    card = asking.sets._card

    def late(tasks):
        if asking.sets.preparing is not None:
            asking.sets.preparing.join()
        return card(tasks)

    asking.sets._card = late
    asking.ask('depth', times=2 * ASKS, wait=False)
    assert asking.sets.sets == [('depth',)]
    assert len(asking.said) == 1
    assert not closed
    asking.sets.close()
    assert len(closed) == 2


def test_closed_while_an_engine_is_prepared(tiny_model):
    asking = Asking(tiny_model)
    asking.ask('depth', times=ASKS + 1, wait=False)
    asking.sets.close()
    asking.sets.preparing.join()
    with pytest.raises(RuntimeError, match='closed'):
        asking.sets.predict(PICTURE)


def test_wrong_tasks_are_refused(asking):
    for tasks in (['sal'], [], ['depth', 'depth']):
        with pytest.raises(ValueError, match='task'):
            asking.sets.predict(PICTURE, tasks=tasks)


EVERY = st.dictionaries(st.sampled_from(TASKS), st.integers(1, 9))


@given(EVERY, st.integers(1, 200))
def test_rates_are_exact_and_no_frame_is_later_than_it_must(every, frames):
    turns = [due(TASKS, every, frame) for frame in range(frames)]
    for task in TASKS:
        n = every.get(task, 1)
        assert [i for i, tasks in enumerate(turns) if task in tasks] == list(range(0, frames, n))


def test_rates_below_one_are_refused():
    with pytest.raises(ValueError, match='every 0th frame, want 1'):
        due(TASKS, {'edge': 0}, 5)
