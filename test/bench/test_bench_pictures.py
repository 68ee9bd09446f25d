"""The pictures that `demt bench` runs on."""

from bag_samples import rows, write_bag
import cv2
import numpy as np
import pytest

from demt_perception.ros.bench.pictures import COUNT, load_pictures


def test_without_a_source_they_are_those_that_ship():
    pictures = load_pictures('', (90, 160))
    assert 1 <= len(pictures) <= COUNT
    assert {(one.shape, one.dtype.name) for one in pictures} == {((90, 160, 3), 'uint8')}
    assert min(one.std() for one in pictures) > 10


@pytest.mark.parametrize('size', [(24, 32), (12, 16), (48, 64), (48, 16)])
def test_of_a_folder_the_first_few_in_the_size_that_is_wanted(tmp_path, size):
    for index in range(COUNT + 3):
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.full((24, 32, 3), 10 * index, np.uint8))
    pictures = load_pictures(str(tmp_path), size)
    assert [one.shape for one in pictures] == [(*size, 3)] * COUNT
    assert [round(one.mean()) for one in pictures] == [10 * index for index in range(COUNT)]
    assert all(one.flags.c_contiguous for one in pictures)


def test_a_bag_is_refused(tmp_path):
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    pytest.importorskip('rosbags', reason='the package rosbags is not installed')
    from demt_perception.ros.sources import SourceError
    path = write_bag(tmp_path / 'drive.db3', rows(2))
    with pytest.raises(SourceError, match=r'drive\.db3.* is a bag: want a video file or a folder'):
        load_pictures(str(path), (24, 32))
