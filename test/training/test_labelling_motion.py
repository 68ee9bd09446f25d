"""Depth by the camera's own motion: a street of textured planes, driven along."""

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from drive_scenes import (
    camera,
    CLASSES,
    FOCAL,
    HEIGHT,
    PERSON,
    photograph,
    ROAD,
    SKY,
    WALL,
    WIDTH,
)

from demt_perception.cli.main import main
from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import Folder
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.sample import Sample
from demt_perception.training.datasets.writing import write_description, write_sample
from demt_perception.training.labelling.motion.drives import describe, split_drives
from demt_perception.training.labelling.motion.ground import (
    camera_heights,
    Ground,
    metres_gone,
    SIZES,
)
from demt_perception.training.labelling.motion.job import label_motion
from demt_perception.training.labelling.motion.pose import find_points, horizon_row, step_to
from demt_perception.training.labelling.motion.sweep import FARTHEST, NEAREST, Other, sweep

MATRIX = camera()[0]
HORIZON = (HEIGHT - 1) / 2 - FOCAL * np.tan(0.03)


def step_of(gone, **how):
    here, ids, _ = photograph(0)
    there, other_ids, _ = photograph(gone, **how)
    return step_to(find_points(here, ids != SKY), find_points(there, other_ids != SKY), MATRIX,
                   WIDTH)


@pytest.mark.parametrize('gone', [-1.5, -2, 1.5])
def test_the_way_and_the_horizon_come_out_of_two_pictures(gone):
    step = step_of(gone)
    assert np.sign(step.direction[2]) == -np.sign(gone)
    assert step.direction[2] ** 2 > 0.998
    assert np.degrees(np.arccos((np.trace(step.rotation) - 1) / 2)) < 0.3
    assert horizon_row(step, MATRIX) == pytest.approx(HORIZON, abs=1.5)


@pytest.mark.parametrize('gone', [-1.5, 1.5])
@pytest.mark.parametrize('pitch', [0.015, 0.05])
def test_the_horizon_is_that_of_the_first_picture(gone, pitch):
    """Braking and bumps: the other one was taken with another pitch."""
    step = step_of(gone, pitch=pitch)
    assert horizon_row(step, MATRIX) == pytest.approx(HORIZON, abs=1.5)


def test_turning_on_the_spot_is_no_way():
    assert step_of(0, yaw=0.05) is None
    assert step_of(-0.02, yaw=0.05) is None


def test_a_turn_is_told_from_the_way():
    step = step_of(-1.5, yaw=0.03)
    # Seen from a camera that looks to the right, what is ahead is on its left.
    assert step.rotation[0, 2] == pytest.approx(-0.03, abs=0.004)


@pytest.mark.parametrize('second', ['same', 'unlike', 'flat'])
def test_pictures_that_tell_no_motion_are_refused(second):
    here, ids, _ = photograph(0)
    there = {'same': here, 'unlike': photograph(0, seed=1)[0], 'flat': np.full_like(here, 90)}
    points = find_points(there[second], ids != SKY)
    assert step_to(find_points(here, ids != SKY), points, MATRIX, WIDTH) is None


def test_nothing_is_found_on_what_may_move():
    image, ids, _ = photograph(0)
    points = find_points(image, ids == ROAD)
    assert len(points.places) > 50
    columns, rows = np.rint(points.places).astype(int).T
    assert (ids[rows, columns] == ROAD).all()


@pytest.mark.parametrize('gone', [-1.5, -3, 3])
def test_the_ground_tells_how_many_metres_were_gone(gone):
    here, ids, _ = photograph(0)
    there = photograph(gone)[0].astype(np.float32)
    ground = Ground(HORIZON, 1.4)
    way = metres_gone(here.astype(np.float32), there, step_of(gone), ground, MATRIX, ids == ROAD)
    assert way == pytest.approx(abs(gone), rel=0.03)
    # Twice as high a camera makes everything twice as large.
    way = metres_gone(here.astype(np.float32), there, step_of(gone), ground._replace(height=2.8),
                      MATRIX, ids == ROAD)
    assert way is None or way == pytest.approx(2 * abs(gone), rel=0.05)


def test_ground_without_texture_tells_nothing():
    flat = np.full((HEIGHT, WIDTH), 90, np.float32)
    _, ids, _ = photograph(0)
    assert metres_gone(flat, flat, step_of(-3), Ground(HORIZON, 1.4), MATRIX, ids == ROAD) is None


def test_lines_along_the_road_do_not_tell_how_far():
    """A bare motorway: lane lines without an end look alike from everywhere."""
    columns = np.arange(WIDTH)
    rows = np.arange(HEIGHT)[:, None]
    aside = (columns - (WIDTH - 1) / 2) / np.maximum(rows - HORIZON, 1)
    lines = np.where(np.abs(aside % 1.2 - 0.6) < 0.05, 220, 90).astype(np.float32)
    is_ground = np.broadcast_to(rows > HORIZON + 5, lines.shape)
    grain = np.random.default_rng(0).normal(0, 3, (2, *lines.shape)).astype(np.float32)
    assert metres_gone(lines + grain[0], lines + grain[1], step_of(-3), Ground(HORIZON, 1.4),
                       MATRIX, is_ground) is None


def test_the_plane_is_the_ground():
    _, ids, depth = photograph(0)
    plane = Ground(HORIZON, 1.4).depth(MATRIX, depth.shape)
    known = np.isfinite(plane) & (ids == ROAD)
    assert known.sum() > 0.8 * (ids == ROAD).sum()
    np.testing.assert_allclose(plane[known], depth[known], rtol=0.01)
    assert np.isnan(plane[:int(HORIZON) + 1]).all()


def exactly(gone, image=None):
    picture = (photograph(gone)[0] if image is None else image).astype(np.float32)
    pitch = np.array([0, np.sin(0.03), np.cos(0.03)])
    return Other(picture, np.eye(3), -gone * pitch * (1, -1, 1))


def test_walls_are_as_far_as_they_are():
    here, ids, depth = photograph(0)
    found = sweep(here, [exactly(-3), exactly(2)], MATRIX)
    wall = (ids == WALL) & (depth < 30)
    known = np.isfinite(found) & wall
    assert known.sum() > 0.7 * wall.sum()
    assert np.median(np.abs(found[known] / depth[known] - 1)) < 0.03
    assert np.mean(np.abs(found[known] / depth[known] - 1) < 0.15) > 0.95
    assert np.isnan(found[ids == SKY]).mean() > 0.95


def test_a_picture_from_ahead_alone_tells_nothing():
    assert np.isnan(sweep(photograph(0)[0], [exactly(3)], MATRIX)).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3))
def test_whatever_is_seen_depth_is_in_range_or_unknown(seed, gone):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    found = sweep(noise, [exactly(gone, photograph(gone)[0])], MATRIX)
    known = found[np.isfinite(found)]
    assert found.dtype == np.float32
    assert ((known >= NEAREST) & (known <= FARTHEST)).all()
    assert len(known) < 0.02 * found.size, 'unlike pictures agree nowhere'


def people(above=1.4, **where):
    """Return classes with a person of the usual size, 9 m away."""
    _, ids, _ = photograph(0, above=above)
    foot = round(HORIZON + FOCAL * above / where.get('far', 9.0))
    tall = round(FOCAL * SIZES['pedestrian'] / where.get('far', 9.0))
    left = where.get('left', 150)
    ids = ids.copy()
    ids[foot - tall:foot, left:left + round(tall / 3)] = PERSON
    return ids


@pytest.mark.parametrize('above', [1.0, 1.4, 2.0])
def test_people_tell_how_high_the_camera_is(above):
    found = camera_heights(people(above), HORIZON, {PERSON: 'pedestrian'}, (ROAD,))
    assert found == [pytest.approx(above, rel=0.05)]


@pytest.mark.parametrize('where', [{'left': 0}, {'far': 60.0}, {'far': 2.0}])
def test_people_at_the_edge_or_too_small_tell_nothing(where):
    assert camera_heights(people(**where), HORIZON, {PERSON: 'pedestrian'}, (ROAD,)) == []


def test_those_who_do_not_stand_on_the_ground_tell_nothing():
    ids = people()
    ids[ids == ROAD] = WALL
    assert camera_heights(ids, HORIZON, {PERSON: 'pedestrian'}, (ROAD,)) == []


def test_drives_are_told_by_their_names():
    drives = split_drives(['b_10', 'a_x_10', 'b_9', 'lonely', 'a_x_02'])
    assert {name: drive.indices for name, drive in drives.items()} == {
        'a_x': [4, 1], 'b': [2, 0], '': [3]}


@pytest.fixture
def drives(tmp_path):
    """Return a folder of two drives: one past people, one that stands still."""
    root = tmp_path / 'drives'
    write_description(root, CLASSES, ())
    for number in range(6):
        image, ids, _ = photograph(2.0 * number)
        for person in range(2):
            crowd = people(left=120 + 60 * person)
            ids = np.where(crowd == PERSON, PERSON, ids).astype(np.uint8)
        color = np.repeat(image[..., None], 3, 2)
        color[ids == PERSON] = (200, 30, 30)
        write_sample(root, Sample(color, ids, focal=(FOCAL, FOCAL), name=f'past_{number:02d}'), 98)
        still = np.repeat(photograph(0)[0][..., None], 3, 2)
        write_sample(root, Sample(still, photograph(0)[1], focal=(FOCAL, FOCAL),
                                  name=f'still_{number:02d}'), 98)
    return root


def test_a_drive_gets_the_depth_of_ground_walls_and_sky(drives, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(['data', 'motion', str(drives), '--out', str(out)]) == 0
    assert check_dataset(out, 'folder')[0] == []
    printed = capsys.readouterr().out
    assert 'past: 6 of 6 pictures show how the camera moved' in printed
    assert 'by 12 sightings of people and cars 1.' in printed
    assert 'still: 0 of 6 pictures show how the camera moved: depth of the sky only' in printed
    samples = {sample.name: sample for sample in Folder(out)}
    depth = photograph(0)[2]
    for number in range(1, 6):
        sample = samples[f'past_{number:02d}']
        for id_, share in ((ROAD, 0.8), (WALL, 0.4)):
            known = np.isfinite(sample.depth) & (sample.semseg == id_)
            wanted = (sample.semseg == id_) & (depth < 25)
            assert (known & wanted).sum() > share * wanted.sum()
            assert np.median(sample.depth[known] / depth[known]) == pytest.approx(1, abs=0.08)
        assert np.isposinf(sample.depth[sample.semseg == SKY]).all()
        assert np.isnan(sample.depth[sample.semseg == PERSON]).all()
    for number in range(6):
        sample = samples[f'still_{number:02d}']
        assert np.isnan(sample.depth[sample.semseg != SKY]).all()


def test_a_height_that_is_given_is_taken(drives, tmp_path):
    found = label_motion(drives, tmp_path / 'out', camera_height=2.8)
    assert found['past'].ground.height == 2.8
    assert '2.80 m high as given, by 12 sightings of people and cars 1.' in describe(found)[0]
    sample = next(iter(Folder(tmp_path / 'out')))
    known = np.isfinite(sample.depth) & (sample.semseg == ROAD)
    assert np.median(sample.depth[known] / photograph(0)[2][known]) == pytest.approx(2, abs=0.1)


def test_it_goes_on_and_is_not_mixed(drives, tmp_path):
    out = tmp_path / 'out'
    label_motion(drives, out)
    before = {path.name: path.read_bytes() for path in (out / 'depth').iterdir()}
    (out / 'images' / 'past_03.jpg').unlink()
    found = label_motion(drives, out)
    assert not found['still'].steps, 'all there'
    assert {path.name: path.read_bytes() for path in (out / 'depth').iterdir()} == before
    with pytest.raises(ConfigError, match='made otherwise'):
        label_motion(drives, out, camera_height=1.0)
    with pytest.raises(ConfigError, match='is the dataset that is read'):
        label_motion(drives, drives)


def test_what_teachers_said_goes_along(drives, tmp_path):
    soft = drives / 'semseg_soft'
    soft.mkdir()
    codes = np.random.default_rng(0).integers(0, 255, (len(CLASSES) * 12, 16), np.uint8)
    cv2.imwrite(str(soft / 'past_01.png'), codes)
    label_motion(drives, tmp_path / 'out')
    written = cv2.imread(str(tmp_path / 'out' / 'semseg_soft' / 'past_01.png'), -1)
    np.testing.assert_array_equal(written, codes)


def test_without_a_sky_nothing_is_infinitely_far(drives, tmp_path):
    for path in (drives / 'semseg').iterdir():
        ids = cv2.imread(str(path), -1)
        cv2.imwrite(str(path), np.where(ids == SKY, 255, ids))
    label_motion(drives, tmp_path / 'out', sky='')
    assert check_dataset(tmp_path / 'out', 'folder')[0] == []
    samples = {sample.name: sample for sample in Folder(tmp_path / 'out')}
    assert not np.isinf(samples['past_03'].depth).any()
    assert samples['still_03'].depth is None


def test_pictures_of_another_camera_are_another_drive(drives, tmp_path):
    image, ids, _ = photograph(3.0)
    large = [np.repeat(np.repeat(each, 2, 0), 2, 1) for each in (image, ids)]
    write_sample(drives, Sample(np.repeat(large[0][..., None], 3, 2), large[1],
                                focal=(2 * FOCAL, 2 * FOCAL), name='past_99'), 98)
    write_sample(drives, Sample(np.repeat(image[..., None], 3, 2), ids, focal=(400.0, 400.0),
                                name='past_98'), 98)
    found = label_motion(drives, tmp_path / 'out')
    assert sorted(len(drive.indices) for drive in found.values()) == [1, 1, 6, 6]
    samples = {sample.name: sample for sample in Folder(tmp_path / 'out')}
    for name in ('past_98', 'past_99'):
        sample = samples[name]
        assert np.isnan(sample.depth[sample.semseg != SKY]).all()


def test_nothing_known_to_move_asks_for_names(tmp_path):
    write_description(tmp_path / 'own', ('sky', 'road', 'pavement', 'Fahrzeug'), ())
    image, ids, _ = photograph(0)
    write_sample(tmp_path / 'own', Sample(np.repeat(image[..., None], 3, 2), ids // 2, name='a'))
    with pytest.raises(ConfigError, match=r'none of the classes sky, .*\(--moving\)'):
        label_motion(tmp_path / 'own', tmp_path / 'out')


def test_classes_that_are_not_there_are_named(drives, tmp_path):
    with pytest.raises(ConfigError, match='no class bicyclist, tram'):
        label_motion(drives, tmp_path / 'out', moving=('tram', 'pedestrian', 'bicyclist'))


@pytest.mark.parametrize('height', ['0', '-1', '11', 'nan'])
def test_a_height_that_cannot_be_is_refused(height, capsys):
    with pytest.raises(SystemExit):
        main(['data', 'motion', 'x', '--out', 'y', '--camera-height', height])
    assert 'metres from 0.1 to 10' in capsys.readouterr().err
