"""Accumulation, classes, figures and Delta_m, without a model."""

from itertools import pairwise
import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.training.config import Source, TrainConfig
from demt_perception.training.datasets import Sample
from demt_perception.training.evaluation.accumulate import empty_tally, evaluate
from demt_perception.training.evaluation.classes import class_map
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.gain import gain, read_single
from demt_perception.training.evaluation.histogram import BIN_WIDTH, BINS
from demt_perception.training.evaluation.protocol import metric_makers, protocol_of
from demt_perception.training.evaluation.report import figures_of, plain, table
from demt_perception.training.evaluation.shards import choose
from demt_perception.training.validation import create_metrics

TASKS = ('semseg', 'depth', 'normals', 'edge', 'sal')
MAKERS = metric_makers(TASKS, 3, protocol_of('folder'), (0.5, 50))


def sample(seed, size=(12, 16)):
    """Return a sample; one without depth and edges for odd seeds."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(*size, 3)).astype(np.float32)
    odd = seed % 2
    return Sample(
        np.full((*size, 3), seed, np.uint8), rng.choice(np.uint8([0, 1, 2, 255]), size),
        None if odd else rng.uniform(0.2, 60, size).astype(np.float32), normals,
        None if odd else (rng.random(size) < 0.2).astype(np.uint8),
        sal=rng.choice(np.uint8([0, 1, 255]), size), name=f'picture {seed}')


def predict(given_sample):
    rng = np.random.default_rng([7, int(given_sample.image[0, 0, 0])])
    size = given_sample.image.shape[:2]
    return {'semseg': rng.integers(0, 3, size).astype(np.uint8),
            'depth': rng.uniform(-1, 60, size).astype(np.float32),
            'normals': rng.normal(size=(*size, 3)).astype(np.float32),
            'edge': rng.random(size).astype(np.float32),
            'sal': rng.random(size).astype(np.float32)}


SAMPLES = [sample(seed) for seed in range(6)]
WHOLE = evaluate(predict, SAMPLES, MAKERS)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.lists(st.integers(0, 6), max_size=3))
def test_parts_merge_in_any_order_to_the_whole(order, cuts):
    tally, edges = empty_tally(MAKERS), [0, *sorted(cuts), 6]
    for start, end in pairwise(edges):
        tally.merge(evaluate(predict, SAMPLES, MAKERS, order[start:end]))
    for task in TASKS:
        for name, array in WHOLE.metrics[task].sums.items():
            np.testing.assert_array_equal(tally.metrics[task].sums[name], array)
    assert (tally.images, tally.labelled, tally.scores) == (
        WHOLE.images, WHOLE.labelled, WHOLE.scores)
    assert figures_of(tally) == figures_of(WHOLE)


def test_images_are_counted_by_the_labels_that_they_have():
    assert WHOLE.images == 6
    assert WHOLE.labelled == {'semseg': 6, 'depth': 3, 'normals': 6, 'edge': 3, 'sal': 6}
    assert [score.name for score in WHOLE.scores['depth']] == ['picture 0', 'picture 2',
                                                               'picture 4']


def test_the_worst_come_first_whichever_way_is_better():
    depth = [score.value for score in WHOLE.worst('depth', 9, False)]
    semseg = [score.value for score in WHOLE.worst('semseg', 2, True)]
    assert depth == sorted(depth, reverse=True) and len(depth) == 3
    assert semseg == sorted(score.value for score in WHOLE.scores['semseg'])[:2]


def test_a_picture_without_anything_to_find_is_not_among_the_worst():
    empty = Sample(np.zeros((12, 16, 3), np.uint8), sal=np.zeros((12, 16), np.uint8))
    tally = evaluate(predict, [empty], MAKERS)
    assert tally.labelled['sal'] == 1 and tally.scores['sal'] == []


class Cracked:
    """Samples of which the second cannot be read and the third has an impossible label."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 1:
            raise OSError('b.png is cut off')
        if index == 2:
            bad = sample(2)
            bad.semseg = bad.semseg[:5]
            return bad
        return sample(index)


def test_broken_samples_are_noted_and_count_nowhere():
    tally = evaluate(predict, Cracked(), MAKERS)
    assert [broken.place for broken in tally.broken] == [1, 2]
    assert tally.broken[0].reason == 'b.png is cut off'
    alone = evaluate(predict, [sample(0), sample(3)], MAKERS)
    assert figures_of(tally) == figures_of(alone) and tally.images == 2


def test_the_histogram_of_depth_holds_every_measured_pixel():
    metric = MAKERS['depth']()
    label = np.float32([[10, 10, 10, 10, 0, np.inf, np.nan, 60]])
    metric.add(np.float32([[10, 10.52, 4.88, 900, 5, 5, 5, 5]]), label)
    where = np.flatnonzero(metric.sums['histogram'])
    assert where.tolist() == [0, int(0.052 / BIN_WIDTH), int(0.512 / BIN_WIDTH), BINS - 1]
    assert metric.sums['histogram'].sum() == 4


def test_depth_below_zero_is_raised_to_it():
    metric = MAKERS['depth']()
    metric.add(np.full((2, 2), -3, np.float32), np.full((2, 2), 4, np.float32))
    assert metric.summary()['rmse_m'] == 4


def test_published_settings():
    assert protocol_of('nyud').tolerance == 0.011
    assert protocol_of('pascal').tolerance == protocol_of('camvid').tolerance == 0.0075
    assert protocol_of('nyud').depth_range == (1e-3, np.inf)


@given(st.permutations(['sky', 'road', 'car', 'tree']))
def test_classes_in_another_order_are_mapped_by_name(order):
    known = ['sky', 'road', 'car', 'tree']
    ids = class_map(order, known)
    assert [known[i] for i in ids[:4]] == order


def test_other_classes_are_refused_and_both_lists_named():
    with pytest.raises(EvaluationError) as error:
        class_map(('sky', 'road'), ('sky', 'street'))
    for text in ("only the model has ['road']", "only the dataset has ['street']", 'sky, road',
                 'sky, street', '--tasks'):
        assert text in str(error.value)
    with pytest.raises(EvaluationError, match=r'dataset\.yaml'):
        class_map(('sky',), ())


@given(st.integers(0, 500), st.none() | st.integers(1, 600))
def test_a_limit_takes_pictures_from_all_over_the_set(total, limit):
    chosen = choose(total, limit)
    assert len(chosen) == len(set(chosen)) == min(total, limit or total)
    assert all(0 <= index < total for index in chosen)
    if len(chosen) > 1:
        steps = np.diff(chosen)
        assert steps.min() >= 1 and steps.max() - steps.min() <= 1


def test_the_table_has_a_line_for_each_figure():
    text = table({'semseg': {'miou': 0.5, 'pixel_accuracy': 0.75, 'images': 3},
                  'edge': {'f': float('nan')}})
    assert text.splitlines() == [
        'task    metric           value  images', 'semseg  miou            0.5000       3',
        '        pixel_accuracy  0.7500', 'edge    f                  nan']


def test_json_has_no_nan():
    assert plain({'a': [float('nan'), 1.0, (2,)], 'b': float('inf')}) == {
        'a': [None, 1.0, [2]], 'b': None}


@pytest.mark.parametrize(('layout', 'losses', 'wanted'), [
    ('nyud', 'mtl', 0.011), ('nyud', 'demt_nyud', 0.011), ('', 'demt_nyud', 0.011),
    ('pascal', 'mtl', 0.0075)])
def test_training_measures_boundaries_as_the_evaluation_does(layout, losses, wanted):
    config = TrainConfig('demt', {'edge': 1}, [Source()], 'out', losses=losses, iterations=1,
                         validation=[Source(layout=layout)])
    assert create_metrics(config, {'edge': 1})['edge'].tolerance == wanted


def test_gain_takes_figures_of_several_files(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps({'main': {'semseg': 0.5}, 'figures': {}}))
    (tmp_path / 'b.json').write_text(json.dumps({'depth': 2.0, 'sal': 1}))
    main = {'semseg': 0.6, 'depth': 1.0}
    found = gain(main, read_single([tmp_path / 'a.json', tmp_path / 'b.json'], main))
    assert found == pytest.approx((0.2 + 0.5) / 2)


def test_figures_of_other_tasks_may_be_missing(tmp_path):
    """`demt eval --json` writes null for what had no labels."""
    (tmp_path / 'a.json').write_text('{"main": {"semseg": 0.5, "sal": null}}')
    assert read_single([tmp_path / 'a.json'], ['semseg']) == {'semseg': 0.5}
    with pytest.raises(EvaluationError, match=r'a\.json: sal has no figure: nothing was labelled'):
        read_single([tmp_path / 'a.json'], ['semseg', 'sal'])


@pytest.mark.parametrize('content', ['', '[]', '{"main": 3}', '{"semseg": "good"}', '{}',
                                     '{"semseg": 0}', '{"semseg": null}'])
def test_a_file_that_holds_no_figures_is_named(tmp_path, content):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(EvaluationError):
        read_single([tmp_path / 'a.json'], ['semseg'])
