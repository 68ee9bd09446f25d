"""The self-check: exact cases of its figures, real pictures spoilt, and what lasts in time."""

from dataclasses import replace
import importlib.util
from pathlib import Path

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest
from shared_data import SHARED

from demt_perception.inference import DEFAULT_MODEL, Predictor
from demt_perception.inference.self_check.agreement import boundary_agreement, normals_agreement
from demt_perception.inference.self_check.layout import layout_figures, shares
from demt_perception.inference.self_check.learning import learn
from demt_perception.inference.self_check.memory import ColorMemory
from demt_perception.inference.self_check.picture import picture_figures, small_copy
from demt_perception.inference.self_check.reasons import ERROR, OK, tell, WARN
from demt_perception.inference.self_check.scores import scores
from demt_perception.inference.self_check.steadiness import Steadiness
from demt_perception.inference.self_check.usual import fit_usual, Unusual
from demt_perception.inference.self_check.watch import SelfCheck

ROOT = Path(__file__).parents[2]
CAMVID = SHARED / 'data' / 'camvid' / 'test'
OF_THE_PICTURE = {'defocus': 'blurred', 'shake': 'blurred', 'darken': 'dark', 'fog': 'fog',
                  'cover': 'covered'}


@pytest.fixture(scope='module')
def corruptions():
    spec = importlib.util.spec_from_file_location(
        'corruptions', ROOT / 'benchmarks' / 'corruptions.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CORRUPTIONS


@pytest.fixture(scope='module')
def highway():
    """Return four pictures that ship with the package, of a motorway."""
    folder = ROOT / 'demt_perception' / 'inference' / 'pictures'
    return [cv2.imread(str(path)) for path in sorted(folder.glob('*.jpg'))]


@pytest.fixture(scope='module')
def shipped():
    predictor = Predictor(DEFAULT_MODEL, 'onnxruntime', 1)
    yield predictor
    predictor.close()


@pytest.fixture(scope='module')
def tiny(tiny_model):
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    yield predictor
    predictor.close()


def judged(predictor, picture):
    return SelfCheck().look(predictor.predict(picture), 0.0)


@settings(deadline=None, max_examples=20)
@given(arrays(np.uint8, st.tuples(st.integers(2, 40), st.integers(2, 40), st.just(3))))
def test_figures_of_any_picture_are_finite_and_judged(picture):
    found = scores(picture_figures(small_copy(picture)))
    assert set(found) == {'covered', 'dark', 'bright', 'noise', 'blurred', 'fog'}
    assert np.isfinite(list(found.values())).all() and min(found.values()) >= 0


def test_normals_of_a_plane_agree_with_its_depth():
    height, width, focal = 40, 60, (50.0, 45.0)
    normal = np.array([0.3, -0.8, -0.5])
    normal /= np.linalg.norm(normal)
    y, x = np.mgrid[:height, :width]
    rays = np.stack([(x - (width - 1) / 2) / focal[0], (y - (height - 1) / 2) / focal[1],
                     np.ones((height, width))])
    # Inverse depth is linear in the picture; 20 m away, and seen everywhere.
    depth = (20 * normal[2] / np.tensordot(normal, rays, 1)).astype(np.float32)
    depth[(depth <= 0) | (depth > 60)] = 1000
    normals = np.broadcast_to(normal[:, None, None], (3, height, width)).astype(np.float32)
    assert normals_agreement(depth, normals, 100, focal) > 0.98
    assert normals_agreement(depth, -normals, 100, focal) < -0.98
    assert np.isnan(normals_agreement(np.full_like(depth, 1000), normals, 100, focal))


def test_boundaries_agree_with_edges_of_classes_where_they_lie_there():
    ids = np.zeros((80, 120), np.uint8)
    ids[:, 60:] = 3
    boundary = np.zeros((40, 60), np.float32)
    boundary[:, 29:31] = 1
    assert boundary_agreement(boundary, ids) > 0.9
    assert boundary_agreement(np.roll(boundary, 15, 1), ids) < 0
    assert boundary_agreement(boundary, np.zeros_like(ids)) == 0


def test_a_turned_layout_is_less_likely_than_the_upright_one():
    ids = np.repeat(np.array([0, 0, 1, 1, 2, 2, 2, 2, 2], np.uint8), 10)[:, None].repeat(90, 1)
    rows, columns = shares(ids, 3)
    assert np.allclose(rows.sum(1), 1) and np.allclose(columns.sum(1), 1)
    upright = layout_figures(ids, rows)
    assert upright['layout'] == pytest.approx(np.log(1 - 2e-3 / 3), abs=1e-6)
    assert upright['upright'] > 1
    for turns in (1, 2, 3):
        turned = layout_figures(np.ascontiguousarray(np.rot90(ids, turns)), rows)
        assert turned['layout'] < upright['layout'] - 1
        # One of its turns is the upright one.
        assert turned['upright'] == pytest.approx(turned['layout'] - upright['layout'], abs=1e-6)


def test_what_is_usual_is_the_middle_of_clean_pictures():
    usual = fit_usual({'a': value / 1000, 'b': -value / 1000, 'c': value / 500}
                      for value in range(1001))
    assert usual == {'a': (0.5, 0.005), 'b': (-0.5, -0.995), 'c': (1.0, 0.01)}
    unusual = Unusual(usual)
    assert unusual({'a': 0.5, 'b': -0.5, 'c': 1.0}) == 0
    assert unusual({'a': 0.005, 'b': -0.995, 'c': 0.01}) == pytest.approx(1)
    assert unusual({'a': -100, 'b': -0.5, 'c': 1.0}) == pytest.approx(2 / 3)
    assert unusual({'a': 0.5, 'b': -0.5}) is None
    with pytest.raises(ValueError, match='no picture'):
        fit_usual([])
    with pytest.raises(ValueError, match=r'a is 0\.1 on all of 4 pictures'):
        fit_usual([{'a': 0.1}] * 4)


def test_clean_pictures_of_the_package_are_no_trouble(shipped, highway):
    for picture in highway:
        assert judged(shipped, picture).score < 1


@pytest.mark.parametrize('name', ['darken', 'fog', 'cover', 'noise', 'defocus'])
def test_spoilt_pictures_of_the_package_are_told(shipped, highway, corruptions, name):
    for seed, picture in enumerate(highway[:2]):
        health = judged(shipped, corruptions[name](picture, np.random.default_rng(seed)))
        troubles = {reason for reason, score in health.scores.items() if score >= 1}
        assert troubles & {OF_THE_PICTURE.get(name, 'noise'), 'unknown'}
        assert health.score >= 1


@pytest.mark.skipif(not CAMVID.is_dir(), reason=f'{CAMVID} is not there')
@pytest.mark.parametrize('name', OF_THE_PICTURE)
def test_camvid_spoilt_and_clean_separate_by_the_picture_alone(corruptions, name):
    pictures = [cv2.imread(str(path)) for path in sorted(CAMVID.glob('*.jpg'))[::12]]
    spoilt = [corruptions[name](picture, np.random.default_rng(seed))
              for seed, picture in enumerate(pictures)]
    clean, bad = ([scores(picture_figures(small_copy(picture)))[OF_THE_PICTURE[name]]
                   for picture in some] for some in (pictures, spoilt))
    pairs = [(b > c) + (b == c) / 2 for b in bad for c in clean]
    assert np.mean(pairs) >= 0.9


@pytest.mark.skipif(not CAMVID.is_dir(), reason=f'{CAMVID} is not there')
def test_camvid_turned_and_nonsense_separate_by_the_model(shipped, corruptions):
    for seed, path in enumerate(sorted(CAMVID.glob('*.jpg'))[10::80]):
        picture = cv2.imread(str(path))
        clean = judged(shipped, picture).scores['unknown']
        for name in ('turn_over', 'turn_side', 'roll', 'shuffle', 'noise'):
            bad = judged(shipped, corruptions[name](picture, np.random.default_rng(seed)))
            assert bad.scores['unknown'] > clean + 0.1, name


def test_a_trouble_has_to_last_and_goes_again(tiny, highway):
    check, black = SelfCheck(), np.zeros((96, 160, 3), np.uint8)
    street = cv2.resize(highway[0], (160, 96))
    random = np.random.default_rng(0)

    def at(now, picture):   # no two pictures are the same
        picture = np.clip(picture + random.integers(0, 2, picture.shape), 0, 255)
        return check.look(tiny.predict(picture.astype(np.uint8)), now)

    assert [at(0.2 * k, street).level for k in range(10)] == [OK] * 10
    assert at(1.9, street) is None                      # not due
    assert at(2.0, black).level == OK                   # one frame is no trouble
    later = [at(2.2 + 0.2 * k, black) for k in range(12)]
    assert later[-1].level == ERROR
    assert later[-1].reasons[0].words == 'lens covered'
    assert 'clean the lens' in later[-1].text
    back = [at(4.6 + 0.2 * k, street) for k in range(14)]
    assert back[0].level == ERROR and back[-1].level == OK
    assert back[-1].text == 'nothing unusual'
    assert at(0.0, black).level == OK                   # a bag played again: all begins anew


def test_a_frozen_picture_is_told_though_it_is_a_good_one(tiny, highway):
    check, street = SelfCheck(), cv2.resize(highway[0], (160, 96))
    found = [check.look(tiny.predict(street), 0.2 * k) for k in range(40)]
    assert found[10].level == OK
    assert [reason.name for reason in found[-1].reasons] == ['frozen']


def test_steadiness_compares_with_a_second_ago_at_most():
    steadiness, small = Steadiness(), np.zeros((4, 4, 3), np.uint8)
    ids = np.zeros((10, 10), np.uint8)
    assert steadiness.look(small, ids, 0) == {'frozen': 0}
    ids2 = ids.copy()
    ids2[:3] = 1
    assert steadiness.look(small + 1, ids2, 0.5) == {'frozen': 0, 'changed': 0.3}
    assert steadiness.look(small + 1, ids2, 1) == {'frozen': 0.5}
    assert steadiness.look(small, ids, 3) == {'frozen': 0}
    assert steadiness.look(small + 2, None, 3.5) == {'frozen': 0}


def test_the_same_colours_elsewhere_are_a_camera_that_moved(highway):
    memory, street = ColorMemory(), small_copy(highway[0])
    assert memory.likeness(street) is None
    for _ in range(15):
        memory.keep(street)
    assert memory.likeness(street) == pytest.approx(1)
    assert memory.is_same(memory.likeness(street[::-1]))
    assert not memory.is_same(memory.likeness(255 - street))


def test_the_camera_explains_why_the_model_does_not_know():
    assert [reason.name for reason in tell({'unknown', 'fog', 'covered'})] == ['covered', 'fog']
    assert [reason.name for reason in tell({'jumps', 'unknown'})] == ['unknown', 'jumps']
    assert tell({'unknown'})[0].level == WARN


def test_a_model_without_usual_figures_is_judged_by_the_picture(tiny, highway):
    found = judged(tiny, highway[0])
    assert 'unknown' not in found.scores and 'dark' in found.scores


def test_what_is_usual_is_learnt_and_used(tiny, highway):
    pictures = [np.clip(cv2.resize(picture, (160, 96)) * gain, 0, 255).astype(np.uint8)
                for picture in highway for gain in (0.8, 0.9, 1, 1.1)]
    card = learn(tiny, lambda: pictures)
    assert np.allclose(np.sum(card.usual_bands, 0), 1000, atol=len(card.classes))
    before, tiny.card = tiny.card, card
    try:
        # Some are odd in one figure, none in all.
        assert max(judged(tiny, picture).scores['unknown'] for picture in pictures) <= 1.01
        cropped = SelfCheck().look(tiny.predict(pictures[0]), 0.0, cropped=True)
        assert 'layout' not in cropped.figures
    finally:
        tiny.card = before


def test_the_card_says_what_of_it_is_wrong(shipped):
    card = shipped.card
    with pytest.raises(ValueError, match='usual is'):
        replace(card, usual={'confidence': (0.1, 0.9)})
    with pytest.raises(ValueError, match='usual_bands is'):
        replace(card, usual_bands=card.usual_bands[1:])
