"""The loaders read the archives' own layouts with the papers' conventions; mixtures repeat."""

from dataclasses import replace
import re
import struct
import zlib

from archives import (
    annotation,
    palette_png,
    write_camvid,
    write_folder,
    write_grey,
    write_names,
    write_nyud,
    write_pascal,
    write_rendered,
    write_rgb,
)
import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import yaml

from demt_perception.class_lists import NYUD, PASCAL
from demt_perception.training.datasets import (
    CamVid,
    detect_layout,
    FileDataset,
    Folder,
    iterate,
    Mixture,
    Nyud,
    PascalContext,
    Rendered,
    Sample,
)
from demt_perception.training.datasets.folder import scan
from demt_perception.training.datasets.pascal_context import WITH_NORMALS
from demt_perception.training.datasets.pascal_parts import load_parts, PART_IDS
from demt_perception.training.datasets.reading import DatasetError, read_array, read_grey


@pytest.mark.parametrize(('archive', 'size'), [('demt', (425, 560)), ('mtl', (480, 640))])
def test_nyud_of_either_archive(tmp_path, archive, size):
    home = write_nyud(tmp_path, size, 2)
    assert home.name == {'demt': 'NYUDv2', 'mtl': 'NYUD_MT'}[archive]
    assert detect_layout(tmp_path) == detect_layout(home) == 'nyud'
    dataset = Nyud(tmp_path, 'train')
    assert len(dataset) == 2 and dataset.size == size and dataset.classes == NYUD
    sample = dataset[0]
    name = dataset.names[0]
    assert sample.name == name == '0001' and sample.image.shape == (*size, 3)
    (picture,) = (home / 'images').glob(f'{name}.*')
    assert np.array_equal(sample.image, cv2.imread(str(picture))[..., ::-1])
    raw = cv2.imread(str(home / 'segmentation' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
    assert raw[0, 0] == 0 and sample.semseg[0, 0] == 255
    assert np.array_equal(sample.semseg, np.where(raw == 0, 255, raw.astype(int) - 1))
    depth = np.load(home / 'depth' / f'{name}.npy')
    assert np.isnan(sample.depth[depth == 0]).all() and (depth == 0).any()
    assert np.array_equal(sample.depth[depth > 0], depth[depth > 0])
    if archive == 'demt':
        png = cv2.imread(str(home / 'normals' / f'{name}.png'))[..., ::-1]
        assert sample.normals == pytest.approx(2 * png.astype(float) / 255 - 1, abs=1e-6)
        edge = cv2.imread(str(home / 'edge' / f'{name}.png'), cv2.IMREAD_UNCHANGED) / 255
    else:
        assert np.array_equal(sample.normals, np.load(home / 'normals' / f'{name}.npy'))
        edge = np.load(home / 'edge' / f'{name}.npy')
    assert np.array_equal(sample.edge, edge) and edge.any()
    assert Nyud(home, 'val').names == ['5001', '5002']


def test_labels_of_another_size_are_stretched_in_an_archive_and_refused_in_a_folder(tmp_path):
    home = write_nyud(tmp_path / 'nyud', (40, 60), 1)
    path = home / 'segmentation' / '0001.png'
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:20])
    assert Nyud(home, 'train')[0].semseg.shape == (40, 60)
    folder = write_folder(tmp_path / 'own')
    cv2.imwrite(str(folder / 'semseg' / 'frame_0.png'), np.zeros((30, 80), np.uint8))
    with pytest.raises(ValueError, match=r'frame_0\.png is 30x80: want the 60x80 of its picture'):
        Folder(folder, 'train')[0]


def test_only_the_tasks_asked_for_are_read(tmp_path):
    home = write_nyud(tmp_path, (40, 60), 1)
    (home / 'normals' / '0001.png').write_bytes(b'broken')
    sample = Nyud(home, 'train', ['depth', 'edge'])[0]
    assert sample.depth is not None and sample.edge is not None
    assert sample.semseg is None and sample.normals is None
    with pytest.raises(OSError, match=r'0001\.png'):
        Nyud(home, 'train')[0]
    with pytest.raises(ValueError, match='depht'):
        Nyud(home, 'train', ['depht'])


@pytest.fixture
def pascal(tmp_path):
    pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
    return write_pascal(tmp_path, 3)


def test_pascal_context(pascal):
    from scipy.io import loadmat
    assert detect_layout(pascal.parent) == 'pascal'
    dataset = PascalContext(pascal.parent, 'train')
    assert len(dataset) == 3 and dataset.classes == PASCAL
    for index, name in enumerate(dataset.names):
        sample = dataset[index]
        label_map = loadmat(pascal / 'pascal-context' / 'trainval' / f'{name}.mat')['LabelMap']
        assert sample.semseg.dtype == np.uint8 and sample.semseg.shape == label_map.shape
        assert set(np.unique(sample.semseg)) <= {*range(21), 255} and (sample.semseg == 255).any()
        png = cv2.imread(str(pascal / 'normals_distill' / f'{name}.png'))[..., ::-1]
        kept = np.isin(label_map, (158, 440))
        assert not sample.normals[~kept].any()
        assert sample.normals[kept] == pytest.approx(2 * png[kept].astype(float) / 255 - 1,
                                                     abs=1e-6)
        grey = cv2.imread(str(pascal / 'sal_distill' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(sample.sal, grey > 127.5)
        changes = np.zeros(label_map.shape, bool)
        changes[1:] |= label_map[1:] != label_map[:-1]
        changes[:-1] |= label_map[1:] != label_map[:-1]
        changes[:, 1:] |= label_map[:, 1:] != label_map[:, :-1]
        changes[:, :-1] |= label_map[:, 1:] != label_map[:, :-1]
        assert sample.edge.any() and not sample.edge[~changes].any()
        assert sample.edge.sum() < changes.sum(), 'thinned'
        assert sample.human_parts.any() == (index % 2 == 0)
    assert dataset[0].human_parts[25, 22] == 4 and dataset[0].human_parts[38, 35] == 6
    assert dataset[0].human_parts[25, 35] == 2 and dataset[0].human_parts[15, 30] == 1
    dataset.keep_people()
    assert dataset.names == ['2008_000001', '2008_000003']


def test_parts_without_objects_or_of_a_foreign_file(tmp_path):
    savemat = pytest.importorskip('scipy.io', reason='pip install scipy').savemat
    path = tmp_path / 'a.mat'
    savemat(path, annotation('a', (10, 12), person=False))
    assert load_parts(path).shape == (10, 12) and not load_parts(path).any()
    for content in ({'anno': np.eye(3)}, {'other': 1}, {'anno': np.zeros((0, 0))}):
        savemat(path, content)
        with pytest.raises(ValueError, match='no PASCAL-Part annotation'):
            load_parts(path)


def test_the_facts_of_the_papers_lists():
    assert len(PART_IDS) == 24 and set(PART_IDS.values()) == set(range(1, 7))
    assert len(WITH_NORMALS) == len(set(WITH_NORMALS)) == 170
    assert {158, 284, 427, 440} <= set(WITH_NORMALS)    # floor, person, tvmonitor, wall
    assert not {0, 360, 420, 431} & set(WITH_NORMALS)   # sky, tree, unknown


def test_camvid_and_rendered(tmp_path):
    camvid = CamVid(write_camvid(tmp_path / 'camvid'), 'val')
    assert detect_layout(tmp_path / 'camvid') == 'camvid'
    raw = read_grey(tmp_path / 'camvid' / 'valannot' / f'{camvid.names[1]}.png')
    assert np.array_equal(camvid[1].semseg, np.where(raw == 11, 255, raw))
    root = write_rendered(tmp_path / 'rendered', 3)
    assert detect_layout(root) == 'rendered'
    (root / 'cameras' / '00001.yaml').unlink()
    rendered = Rendered(root)
    assert rendered.names == ['00000', '00002'], 'a view without camera is not complete'
    sample = rendered[0]
    assert sample.focal == (50, 50) and np.isinf(sample.depth[0]).all()
    assert not sample.normals[0].any() and sample.edge.max() == 1
    with pytest.raises(FileNotFoundError, match='demt generate'):
        Rendered(tmp_path)
    with pytest.raises(FileNotFoundError, match='no pictures'):
        CamVid(tmp_path, 'val')


def test_a_folder_of_ones_own(tmp_path):
    root = write_folder(tmp_path / 'own', 2)
    assert detect_layout(root) == 'folder'
    dataset = Folder(root)
    assert len(dataset) == 4 and len(Folder(root, 'train')) == 2
    assert dataset.classes[1] == 'ground' and dataset.palette[0] == (0, 0, 255)
    numpy, png = dataset[0], dataset[1]
    assert numpy.focal == (70, 71)
    assert np.isinf(numpy.depth[0]).all() and not numpy.normals[0].any()
    for sample in (numpy, png):
        assert sample.semseg[0, 0] == 255 and sample.edge[0, 0] == 255
        assert set(np.unique(sample.edge)) == {0, 1, 255} and sample.sal.max() <= 1
        assert np.nanmin(sample.depth) > 0.5 and sample.depth[-1].max() < 5
        length = np.linalg.norm(sample.normals, axis=2)
        assert length[length > 0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(('described', 'metres'), [
    ({}, [np.nan, 1.234, 65.535]), ({'depth_unit': 0.01}, [np.nan, 12.34, np.inf])])
def test_16_bit_depth_is_millimetres_or_in_a_unit_of_its_own_with_65535_the_sky(
        tmp_path, described, metres):
    write_rgb(tmp_path / 'images' / 'a.png', np.zeros((1, 3, 3), np.uint8))
    write_grey(tmp_path / 'depth' / 'a.png', np.array([[0, 1234, 65535]], np.uint16))
    (tmp_path / 'dataset.yaml').write_text(yaml.safe_dump(described))
    np.testing.assert_allclose(Folder(tmp_path)[0].depth, [metres], rtol=1e-6)


def test_any_label_may_be_missing(tmp_path):
    root = write_folder(tmp_path / 'own', 2)
    (root / 'depth' / 'frame_0.npy').unlink()
    (root / 'semseg' / 'frame_1.png').unlink()
    (root / 'cameras' / 'frame_1.yaml').unlink()
    for path in (root / 'sal').iterdir():
        path.unlink()
    (root / 'sal').rmdir()
    samples = list(iterate(Folder(root)))
    assert samples[0].depth is None and samples[0].semseg is not None
    assert samples[1].semseg is None and samples[1].depth is not None
    assert samples[1].focal == (65, 65), 'of dataset.yaml, where there is no camera file'
    assert all(sample.sal is None for sample in samples)


def test_wrong_splits_say_what_there_is(tmp_path):
    root = write_folder(tmp_path / 'own')
    with pytest.raises(FileNotFoundError, match=r"there are \['train', 'val'\]"):
        Folder(root, 'test')
    write_names(root / 'splits' / 'test.txt', [])
    with pytest.raises(FileNotFoundError, match='empty split'):
        Folder(root, 'test')
    write_names(root / 'splits' / 'test.txt', ['frame_0', 'frame_77'])
    with pytest.raises(FileNotFoundError, match=r'frame_77.*data check'):
        Folder(root, 'test')
    (tmp_path / 'bare').mkdir()
    with pytest.raises(FileNotFoundError, match='no known layout'):
        detect_layout(tmp_path / 'bare')
    with pytest.raises(FileNotFoundError, match='not a folder'):
        detect_layout(tmp_path / 'none')


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_palette_images_give_their_indices(tmp_path, bits):
    ids = (np.arange(64).reshape(8, 8) * 5 % 2 ** bits).astype(np.uint8)
    data = palette_png(ids)
    if bits < 8:
        per_row = np.unpackbits(ids[..., None], axis=2)[..., 8 - bits:].reshape(8, -1)
        rows = b''.join(b'\0' + np.packbits(row).tobytes() for row in per_row)

        def chunk(kind, body):
            return (struct.pack('>I', len(body)) + kind + body
                    + struct.pack('>I', zlib.crc32(kind + body)))

        colors = np.random.default_rng(0).integers(0, 256, 3 * 2 ** bits, np.uint8).tobytes()
        data = (data[:8] + chunk(b'IHDR', struct.pack('>IIBBBBB', 8, 8, bits, 3, 0, 0, 0))
                + chunk(b'PLTE', colors) + chunk(b'IDAT', zlib.compress(rows))
                + chunk(b'IEND', b''))
    (tmp_path / 'a.png').write_bytes(data)
    assert np.array_equal(read_grey(tmp_path / 'a.png'), ids)


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / 'a.npy', np.array([{}], object), allow_pickle=True)
    with pytest.raises(OSError, match=r'not a readable \.npy'):
        read_array(tmp_path / 'a.npy')


class Numbers:
    """A dataset whose pictures tell their number."""

    def __init__(self, count, first):
        self.count, self.first = count, first

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Sample(np.zeros((1, 3, 3), np.uint8), np.array([[0, 1, 7]], np.uint8),
                      sal=np.array([[0, 1, 1]], np.uint8), name=str(self.first + index))


def test_mixtures_repeat_themselves_by_weight():
    parts = [Numbers(10, 0), Numbers(50, 100), Numbers(7, 200)]
    mixture = Mixture(parts, [1, 2, 1], 4000, seed=3)
    names = [int(mixture[i].name) for i in range(4000)]
    again = Mixture(parts, [1, 2, 1], 4000, seed=3)
    assert [int(again[i].name) for i in reversed(range(4000))] == names[::-1]
    assert [int(Mixture(parts, [1, 2, 1], 4000, seed=4)[i].name) for i in range(9)] != names[:9]
    shares = np.bincount(np.array(names) // 100) / 4000
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    second = [name for name in names if 100 <= name < 200]
    assert sorted(second[:50]) == list(range(100, 150)), 'all once before any comes again'
    assert second[:50] != sorted(second[:50])


def test_mixtures_bring_ids_together():
    mixture = Mixture([Numbers(1, 0), Numbers(1, 9)], [1, 1], 20,
                      label_maps=[{'semseg': {0: 4, 1: 0}}, {}])
    seen = {mixture[i].name: mixture[i] for i in range(20)}
    assert seen['0'].semseg.tolist() == [[4, 0, 255]], 'ids that are not listed are ignored'
    assert seen['0'].sal.tolist() == [[0, 1, 1]]
    assert seen['9'].semseg.tolist() == [[0, 1, 7]]
    for weights, maps in (([1], None), ([1, 0], None), ([1, float('nan')], None),
                          ([1, 1], [{'semseg': {0: 300}}, {}])):
        with pytest.raises(ValueError, match='want'):
            Mixture([Numbers(1, 0), Numbers(1, 9)], weights, 5, label_maps=maps)


@given(st.integers(1, 5), st.integers(0, 60), st.integers(0, 2 ** 32))
def test_every_length_of_a_mixture_is_good(count, length, seed):
    mixture = Mixture([Numbers(count, 0), Numbers(3, 10)], [1, 5], length, seed)
    assert len(mixture) == length
    assert all(mixture[i].name == mixture[i].name for i in range(length))


def test_the_yaml_of_a_folder_is_read_strictly(tmp_path):
    root = write_folder(tmp_path / 'own')
    for text, wanted in (({'clases': ['a']}, "did you mean 'classes'"),
                         ({'classes': ['a', 'a']}, 'different names'),
                         ({'classes': 3}, 'different names'),
                         ({'focal': [1, -2]}, 'positive'), ({'focal': 'x'}, 'focal'),
                         ({'palette': [[0, 0, 999]]}, '0..255'),
                         ({'partial': ['dpth']}, 'list of tasks')):
        (root / 'dataset.yaml').write_text(yaml.safe_dump(text))
        assert any(wanted in reason for _, reason in scan(root, '').faults), text
        with pytest.raises(DatasetError, match=re.escape(wanted)):
            Folder(root)


def test_samples_are_plain_and_can_be_replaced(tmp_path):
    dataset = Folder(write_folder(tmp_path / 'own'))
    assert isinstance(dataset, FileDataset)
    assert replace(dataset[0], name='other').name == 'other'
