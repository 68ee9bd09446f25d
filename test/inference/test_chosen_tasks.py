"""A predictor of some of a model's tasks: equal to the whole model's, and nothing else."""

from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.inference.predictions import MissingOutputError
from demt_perception.model_card import load_card
from demt_perception.tasks import get_tasks

TASKS = ('semseg', 'depth', 'normals', 'edge')
OF_TASK = {'semseg': ('semantic', 'confidence', 'semantic_color', 'overlay'),
           'depth': ('depth', 'depth_color', 'depth_uncertainty'),
           'normals': ('normals', 'normals_color'), 'edge': ('boundary',)}
PICTURE = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
PICTURE[:40] = 255  # beyond the range of depth: no surface


@pytest.fixture(scope='module')
def whole(tiny_model):
    return Predictor(tiny_model, 'onnxruntime', 1).predict(PICTURE)


@pytest.mark.parametrize('tasks', list(chain.from_iterable(
    combinations(TASKS, n) for n in (1, 2, 3, 4))))
def test_every_set_of_tasks_gives_the_same_and_nothing_else(tiny_model, whole, tasks):
    predictor = Predictor(tiny_model, 'onnxruntime', 1, tasks=reversed(tasks))
    assert predictor.card.tasks == tasks
    predictions = predictor.predict(PICTURE)
    assert predictions.tasks == tasks
    assert predictions.sheet().size
    for task, names in OF_TASK.items():
        for name in names:
            if task in tasks:
                np.testing.assert_array_equal(getattr(predictions, name), getattr(whole, name))
            else:
                with pytest.raises(MissingOutputError, match='ask for it'):
                    getattr(predictions, name)


def test_normals_are_cut_out_where_depth_is_sky_though_depth_was_not_asked_for(tiny_model):
    predictions = Predictor(tiny_model, 'onnxruntime', 1, tasks=['normals']).predict(PICTURE)
    assert not predictions.normals[:30].any()
    assert predictions.normals[60:].any()
    assert not hasattr(predictions, 'depth')


def test_engines_of_less_work_run_less(tiny_model):
    engine = Predictor(tiny_model, 'onnxruntime', 1, tasks=['edge']).engine
    assert set(engine.run(np.zeros((1, 3, 96, 160), np.float32))) == {'boundary'}


@pytest.mark.parametrize(('tasks', 'said'), [
    (['sal'], 'model tiny_model has no task sal; it has semseg'), ([], 'want one or more'),
    (['depth', 'depth'], 'at most once'), (['colour'], 'colour')])
def test_wrong_tasks_are_refused(tiny_model, tasks, said):
    with pytest.raises(ValueError, match=said):
        Predictor(tiny_model, 'onnxruntime', 1, tasks=tasks)


def test_a_card_cut_to_tasks_is_a_valid_card(tiny_model):
    card = replace(load_card(tiny_model), limits={'depth': 0.01, 'boundary': 0.02,
                                                  'depth_uncertainty': 0.1})
    assert card.uncertainty_factor
    assert card.only(['edge']) == replace(
        card, tasks=('edge',), limits={'boundary': 0.02}, uncertainty_factor=0.0)
    assert card.only(['depth']).limits == {'depth': 0.01, 'depth_uncertainty': 0.1}
    assert card.only(card.tasks) == card
    assert all(task.masked_by in ('', *card.tasks) for task in get_tasks(card.tasks))
