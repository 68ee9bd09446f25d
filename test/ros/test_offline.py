"""`demt bag`: a bag in, a bag out. What the node makes of the same: test_offline_as_node.py."""

from dataclasses import replace
from pathlib import Path
import subprocess
import sys

from bag_samples import (
    cdr,
    compressed,
    HEIGHT,
    IMAGE,
    image,
    INFO,
    info,
    picture,
    rows,
    SECOND,
    START,
    write_bag,
    write_ros1,
)
import numpy as np
import pytest
from shared_data import SHARED

pytest.importorskip('rosbags', reason='the package rosbags is not installed')
pytest.importorskip('mcap', reason='the package mcap is not installed')

from offline_running import content, ENGINE, options, read, run

from demt_perception.bags import BagError, open_bag
from demt_perception.bags.ros_types import decode
from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.inference.cpu import usable_cores
from demt_perception.ros.offline.jobs import Job, run_job
from demt_perception.ros.offline.processing import Options, process
from demt_perception.ros.offline.streams import MOST, side_by_side

ROOT = Path(__file__).resolve().parents[2]
BAGS = SHARED / 'data' / 'bags'
TOPICS = ['semantic/image', 'depth/image', 'normals/image', 'boundary/image',
          'semantic/confidence']


@pytest.fixture(params=['raw.db3', 'raw.mcap', 'compressed.mcap', 'ros1.bag'])
def bag(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == '.bag':
        return write_ros1(path, 6, 'lz4')
    packed = path.stem == 'compressed'
    return write_bag(path, rows(6, '/cam/image_raw' + '/compressed' * packed,
                                compressed if packed else image))


def test_values_stamps_and_counts(bag, tmp_path, tiny_model):
    """All is what the predictor says of the same pixels; of whichever kind of bag they come."""
    progress = run(bag, tmp_path / 'out', tiny_model)
    assert (progress.seen, progress.done, progress.dropped, progress.damage) == (6, 6, {}, '')
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    for name in TOPICS:
        attribute = name.partition('/')[0] if name.endswith('image') else name.partition('/')[2]
        got = read(tmp_path / 'out', f'/demt_perception/{name}')
        assert [time for time, _ in got] == [START + i * SECOND // 10 + 1 for i in range(6)]
        for index, (_, message) in enumerate(got):
            wanted = getattr(predictor.predict(picture(index), (40.0, 40.0)), attribute)
            stamp = message.header.stamp
            assert (stamp.sec, stamp.nanosec) == (1_600_000_000, index)
            assert message.header.frame_id == 'lens'
            assert (message.height, message.step) == (HEIGHT, wanted.strides[0])
            assert message.data.tobytes() == wanted.tobytes()
    for name in ('semantic', 'depth', 'normals', 'boundary'):
        infos = read(tmp_path / 'out', f'/demt_perception/{name}/camera_info')
        assert [message.header.stamp.nanosec for _, message in infos] == list(range(6))
    ((_, table),) = read(tmp_path / 'out', '/demt_perception/semantic/label_table')
    ((_, labels),) = read(tmp_path / 'out', '/demt_perception/semantic/label_info')
    card = predictor.card
    assert list(zip(table.ids, table.names, strict=True)) == list(enumerate(card.classes))
    np.testing.assert_allclose([(c.r, c.g, c.b, c.a) for c in table.colors],
                               [(*np.divide(rgb, 255), 1) for rgb in card.palette], rtol=1e-6)
    assert [(c.class_id, c.class_name) for c in labels.class_map] == list(enumerate(card.classes))


def test_nothing_of_ros_is_imported(tmp_path, tiny_model):
    bag = write_ros1(tmp_path / 'in.bag', 6)
    done = subprocess.run(
        [sys.executable, '-c', 'import sys\n'
         'for name in ("rclpy", "sensor_msgs", "demt_msgs", "torch"): sys.modules[name] = None\n'
         'from demt_perception.cli.main import main\n'
         f'sys.exit(main(["bag", {str(bag)!r}, {str(tmp_path / "out")!r}, "--model", '
         f'{str(tiny_model)!r}, "--engine", "onnxruntime"]))'],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '6 of 6 images' in done.stdout


def test_every_outputs_and_scale(tmp_path, tiny_model):
    bag = write_bag(tmp_path / 'in.mcap', rows(7))
    run(bag, tmp_path / 'out', tiny_model, every=3, outputs=('depth/image', 'points'),
        output_scale=0.5)
    with open_bag(tmp_path / 'out') as out:
        assert set(out.topics) == {f'/demt_perception/{name}' for name in (
            'depth/image', 'points', 'points/semantic', 'points/confidence')}
        assert {topic.count for topic in out.topics.values()} == {3}
    (_, depth), *_ = read(tmp_path / 'out', '/demt_perception/depth/image')
    (_, cloud), *_ = read(tmp_path / 'out', '/demt_perception/points')
    points = cloud.data.view(np.float32).reshape(cloud.height, cloud.width, 6)
    np.testing.assert_array_equal(points[..., 2].ravel(), depth.data.view(np.float32))
    assert depth.height == cloud.height == HEIGHT // 2


def test_depth_has_the_factor_that_the_node_would_be_given(tmp_path, tiny_model):
    """As the node multiplies it: what is beyond the model's range only then is NaN."""
    lens = replace(info(0), p=np.array([15.0, 0, 16, 0, 0, 15, 12, 0, 0, 0, 1, 0]))
    bag = write_bag(tmp_path / 'in.mcap', [
        ('/cam/camera_info', START, cdr(lens)),
        *(('/cam/image_rect', START + 1 + index, cdr(image(index))) for index in range(2))])
    assert main(['bag', str(bag), str(tmp_path / 'out'), '--model', str(tiny_model), '--engine',
                 'onnxruntime', '--threads', '1', '--depth-scale', '2', '--outputs', 'depth',
                 'points']) == 0
    predictor, beyond = Predictor(tiny_model, 'onnxruntime', 1), 0
    got = [read(tmp_path / 'out', f'/demt_perception/{name}')
           for name in ('depth/image', 'depth/uncertainty', 'points')]
    for index, ((_, depth), (_, uncertainty), (_, cloud)) in enumerate(zip(*got, strict=True)):
        plain, wanted = (predictor.predict(picture(index), (15.0, 15.0)) for _ in range(2))
        wanted.correct_depth(2.0)
        assert depth.data.tobytes() == wanted.depth.tobytes()
        assert uncertainty.data.tobytes() == wanted.depth_uncertainty.tobytes()
        np.testing.assert_array_equal(cloud.data.view(np.float32)[2::6], wanted.depth.ravel())
        both = np.isfinite(wanted.depth) & np.isfinite(plain.depth)
        assert np.median(wanted.depth[both] / plain.depth[both]) == pytest.approx(2, rel=1e-4)
        beyond += np.count_nonzero(np.isnan(wanted.depth) & np.isfinite(plain.depth))
    assert beyond


def test_the_camera_is_the_one_that_the_option_names(tmp_path, tiny_model):
    two = replace(info(0), d=np.array([-0.2, 0.1, 0, 0, 0]),
                  p=np.array([30.0, 0, 15, 0, 0, 30, 11, 0, 0, 0, 1, 0]))
    bag = write_bag(tmp_path / 'in.mcap', [
        ('/cam/camera_info', START, cdr(two)), ('/cam/image_raw', START + 1, cdr(image(0)))])
    for rectified, focal in (('auto', 40.0), ('true', 30.0)):
        out = tmp_path / rectified
        assert main(['bag', str(bag), str(out), '--model', str(tiny_model), '--engine',
                     'onnxruntime', '--threads', '1', '--rectified', rectified, '--outputs',
                     'depth']) == 0
        ((_, depth),) = read(out, '/demt_perception/depth/image')
        ((_, camera),) = read(out, '/demt_perception/depth/camera_info')
        wanted = Predictor(tiny_model, 'onnxruntime', 1).predict(picture(0), (focal, focal))
        assert depth.data.tobytes() == wanted.depth.tobytes()
        assert camera.k[0] == focal and camera.d.any() == (rectified == 'auto')


def test_without_a_choice_all_but_the_points_is_written(tmp_path, tiny_model):
    run(write_bag(tmp_path / 'in.mcap', rows(1)), tmp_path / 'out', tiny_model)
    with open_bag(tmp_path / 'out') as out:
        got = {topic.removeprefix('/demt_perception/') for topic in out.topics}
    assert got == {
        *(f'{task}/{name}' for task in ('semantic', 'depth', 'normals', 'boundary')
          for name in ('image', 'camera_info')),
        *(f'semantic/{name}' for name in (
            'confidence', 'color', 'overlay', 'label_table', 'label_info')),
        'depth/uncertainty', 'depth/color', 'normals/color'}


def test_an_output_that_the_model_has_not(tmp_path, tiny_model):
    bag = write_bag(tmp_path / 'in.mcap', rows(1))
    with pytest.raises(BagError, match='saliency: no output of model tiny_model'):
        run(bag, tmp_path / 'out', tiny_model, outputs=('saliency',))


def test_several_cameras(tmp_path, tiny_model):
    left, right = rows(4, '/cam/left/image_raw'), rows(3, '/cam/right/image_raw')
    bag = write_bag(tmp_path / 'in.db3', sorted(left + right, key=lambda row: row[1]))
    run(bag, tmp_path / 'out', tiny_model, outputs=('semantic/image', 'semantic/label_table'))
    with open_bag(tmp_path / 'out') as out:
        assert {t.name: t.count for t in out.topics.values()} == {
            '/demt_perception/left/semantic/image': 4,
            '/demt_perception/left/semantic/label_table': 1,
            '/demt_perception/right/semantic/image': 3,
            '/demt_perception/right/semantic/label_table': 1}
    run(bag, tmp_path / 'one', tiny_model, topics=('/cam/right/image_raw',),
        outputs=('semantic/image',))
    with open_bag(tmp_path / 'one') as out:
        assert {t.name: t.count for t in out.topics.values()} == {
            '/demt_perception/semantic/image': 3}


def test_a_camera_that_was_recorded_raw_and_compressed_is_one(tmp_path, tiny_model):
    both = rows(2) + [row for row in rows(2, '/cam/image_raw/compressed', compressed)
                      if row[0].endswith('compressed')]
    bag = write_bag(tmp_path / 'in.db3', both)
    assert run(bag, tmp_path / 'out', tiny_model, outputs=('boundary',)).done == 2


def test_bad_images_are_left_out_and_told(tmp_path, tiny_model):
    some = rows(4)
    some[3] = (some[3][0], some[3][1], some[3][2][:200])
    some[4] = (some[4][0], some[4][1], cdr(info(2, width=99)))
    bag = write_bag(tmp_path / 'in.db3', some)
    outcome = run_job(Job(bag, tmp_path / 'out', options(tiny_model)))
    assert not outcome.good
    assert '3 of 4 images' in outcome.text
    assert '1 images left out (decode_failed), the first: not a whole' in outcome.text
    assert '1 images without camera_info' in outcome.text and 'is for 99x24' in outcome.text
    assert len(read(tmp_path / 'out', '/demt_perception/depth/image')) == 3
    assert len(read(tmp_path / 'out', '/demt_perception/depth/camera_info')) == 2


@pytest.mark.parametrize('processes', ['1', '2'])
def test_several_bags(tmp_path, tiny_model, capsys, processes):
    bags = [write_bag(tmp_path / f'{name}.mcap', rows(3)) for name in ('one', 'two')]
    bags[1].write_bytes(b'no bag')
    code = main(['bag', *map(str, bags), str(tmp_path / 'out'), '--model', str(tiny_model),
                 '--engine', 'onnxruntime', '--threads', '1', '--processes', processes])
    said = capsys.readouterr()
    assert code == 1
    assert '3 of 3 images' in said.out and 'two.mcap' in said.err
    with open_bag(tmp_path / 'out' / 'one') as out:
        assert out.topics['/demt_perception/depth/image'].type == IMAGE
        assert out.topics['/demt_perception/depth/camera_info'].type == INFO


@pytest.mark.skipif(not BAGS.is_dir(), reason=f'{BAGS} is not there')
@pytest.mark.parametrize(('name', 'images', 'every', 'size'), [
    ('udacity_highway_mcap', 40, 10, (720, 1280)),
    ('udacity_highway_raw_sqlite3', 12, 4, (360, 640)),
])
def test_recorded_pictures(tmp_path, tiny_model, name, images, every, size):
    progress = run(BAGS / name, tmp_path / 'out', tiny_model, every=every,
                   outputs=('depth/image', 'depth/camera_info'))
    assert (progress.seen, progress.done) == (images - every + 1, images // every)
    got = read(tmp_path / 'out', '/demt_perception/depth/image')
    with open_bag(BAGS / name) as bag:
        (topic,) = (t for t in bag.topics.values() if 'image' in t.name)
        given = [decode(m.data, topic.type).header for m in bag.messages([topic.name])][::every]
    assert [message.header for _, message in got] == given
    assert {(message.height, message.width) for _, message in got} == {size}
    (_, first), *_ = read(tmp_path / 'out', '/demt_perception/depth/camera_info')
    assert (first.height, first.width) == size and first.k[0] > 500


@pytest.mark.skipif(not BAGS.is_dir(), reason=f'{BAGS} is not there')
@pytest.mark.parametrize('name', ['talker_mcap', 'talker_sqlite3', 'cdr_mcap', 'cdr_sqlite3'])
def test_bags_without_images_say_what_they_hold(tmp_path, tiny_model, name):
    outcome = run_job(Job(BAGS / f'ros2_recorded_{name}', tmp_path / 'out',
                          options(tiny_model)))
    assert not outcome.good
    assert 'holds no images' in outcome.text and 'topic' in outcome.text
    assert not (tmp_path / 'out').exists()


def test_engines_side_by_side_give_the_same_file(tmp_path, tiny_model):
    bag = write_bag(tmp_path / 'in.mcap', rows(40))
    for name, given in (('one', ENGINE), ('many', {'engine': 'onnxruntime'})):
        process(bag, tmp_path / name / 'out', Options(str(tiny_model), given),
                lambda progress, total: None)
    assert content(tmp_path / 'one' / 'out') == content(tmp_path / 'many' / 'out')


@pytest.mark.skipif(usable_cores() < 2, reason='there is one core')
def test_engines_share_the_cores_out(tiny_model):
    many = side_by_side(Predictor(tiny_model, 'onnxruntime'), None)
    assert len(many) == min(usable_cores(), MOST)
    few = side_by_side(many[0], 5)
    assert few == [many[0]]
    for predictor in many:
        predictor.close()
