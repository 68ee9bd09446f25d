import os
from pathlib import Path
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

from demt_perception.outside import MOST_YAML, parse_yaml, read_file, read_json, read_yaml

PACKAGE = Path(__file__).resolve().parents[1] / 'demt_perception'
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(PLAIN)
def test_what_is_written_is_read(value):
    assert parse_yaml(yaml.safe_dump(value)) == value


def test_aliases_and_merges_are_read():
    text = 'a: &a {k: 1}\nb: {<<: *a, l: 2}\nc: [*a, *a]\n'
    assert parse_yaml(text) == {'a': {'k': 1}, 'b': {'k': 1, 'l': 2}, 'c': [{'k': 1}] * 2}


def test_aliases_that_yaml_itself_writes_are_read(tmp_path):
    shared = [1, 2]
    (tmp_path / 'a.yaml').write_text(yaml.safe_dump({'a': shared, 'b': shared}))
    assert read_yaml(tmp_path / 'a.yaml') == {'a': [1, 2], 'b': [1, 2]}


def doubled(start, step, count=40):
    return '\n'.join([f'a0: &a0 {start}', *(
        f'a{index}: &a{index} {step.format(f"*a{index - 1}")}' for index in range(1, count))])


@pytest.mark.parametrize('text', [
    doubled('[x, x]', '[{0}, {0}]'), doubled('{k: 1}', '{{<<: [{0}, {0}]}}'),
    doubled('{k: x}', '{{k: {0}, l: {0}}}'),
    f'a: &a {"x" * 100_000}\nb: [{", ".join(["*a"] * 1000)}]'],
    ids=['lists', 'merges', 'mappings', 'a long text'])
def test_aliases_that_multiply_are_refused(text):
    with pytest.raises(ValueError, match=f'over {MOST_YAML} bytes: write them out'):
        parse_yaml(text)


@pytest.mark.parametrize(('text', 'said'), [
    ('a: &a [*a]', 'contains itself'), ('[\n' * 3000, 'recursion'), ('a: [', 'not YAML'),
    ('a: !!timestamp foo', 'not YAML'), ('!!python/object/apply:os.system ["true"]', 'not YAML'),
    ('a: 1' + ':1' * 50_000, 'a whole number of 100001 characters'),
    ('- &a\n  b: *a', 'contains itself')])
def test_what_is_no_plain_yaml_is_said(text, said):
    with pytest.raises(ValueError, match=said):
        parse_yaml(text)


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'12345')
    assert read_file(path, 5) == b'12345'
    with pytest.raises(OSError, match='has 5 bytes, want at most 4'):
        read_file(path, 4)
    path.write_bytes(b'')
    assert read_file(path, 5) == b''


def test_a_file_of_holes_takes_no_memory(tmp_path):
    with open(tmp_path / 'a.yaml', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=f'has {1 << 40} bytes'):
        read_yaml(tmp_path / 'a.yaml')


def test_pipes_and_devices_do_not_block(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'zero').symlink_to('/dev/zero')
    for name in 'pipe', 'zero':
        with pytest.raises(OSError, match='no plain file'):
            read_file(tmp_path / name, 10)
    with pytest.raises(OSError, match='no plain file'):
        read_file(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / 'none', 10)


def test_json_is_read_within_limits(tmp_path):
    (tmp_path / 'a.json').write_text('{"a": [1, 2.5, null]}')
    assert read_json(tmp_path / 'a.json') == {'a': [1, 2.5, None]}
    for text in '[' * 100_000, '{"a"', '\xff', '':
        (tmp_path / 'a.json').write_text(text, encoding='latin-1')
        with pytest.raises(ValueError):   # noqa: PT011, json says it in many ways
            read_json(tmp_path / 'a.json')


def card(folder):
    from demt_perception.model_card import load_card
    (folder / 'bomb.yaml').rename(folder / 'card.yaml')
    load_card(folder)


def bag(folder):
    from demt_perception.bags.metadata import read_metadata
    (folder / 'bomb.yaml').rename(folder / 'metadata.yaml')
    read_metadata(folder)


def configuration(folder):
    from demt_perception.training.config import load_config
    load_config(folder / 'bomb.yaml')


def dataset(folder):
    pytest.importorskip('torch', reason='torch is not installed')
    from demt_perception.training.datasets.reading import read_yaml as read
    read(folder / 'bomb.yaml')


def calibration(folder):
    pytest.importorskip('sensor_msgs', reason='ROS 2 is not installed')
    from demt_perception.ros.camera_info_file import read_camera_info
    read_camera_info(folder / 'bomb.yaml')


def generated_view(folder):
    from demt_perception.synthetic.reading import read_camera
    (folder / 'cameras').mkdir()
    (folder / 'bomb.yaml').rename(folder / 'cameras' / 'bomb.yaml')
    read_camera(folder, 'bomb')


def generated_views(folder):
    from demt_perception.synthetic.layout import prepare
    prepare(folder, (32, 16), 4)
    (folder / 'cameras' / '000000_00.yaml').touch()
    (folder / 'bomb.yaml').rename(folder / 'dataset.yaml')
    prepare(folder, (32, 16), 4)


@pytest.mark.parametrize('reader', [card, bag, configuration, dataset, calibration,
                                    generated_view, generated_views])
def test_every_reader_of_yaml_refuses_a_bomb(tmp_path, reader):
    (tmp_path / 'bomb.yaml').write_text(doubled('[x, x]', '[{0}, {0}]'))
    with pytest.raises(Exception, match=r'(bomb|card|metadata|dataset)\.yaml.* write them out'):
        reader(tmp_path)


def test_no_other_code_reads_what_strangers_write():
    """What reads its own files is named here; all else goes through readers with limits."""
    trusted = {'outside.py': 'yaml.load', 'training/datasets/reading.py': 'np.load',
               'bench/engines.py': 'np.load', 'inference/parity.py': 'cv2.imread'}
    for path in sorted(PACKAGE.rglob('*.py')):
        found = set(re.findall(r'\b(?:yaml\.\w*load|np\.load|cv2\.imread)(?=\()',
                               path.read_text()))
        allowed = trusted.get(str(path.relative_to(PACKAGE)))
        assert found <= {allowed}, f'{path} uses {found}, want the readers of outside.py, '\
            'inference/picture_file.py and training/datasets/reading.py'


def test_a_file_that_says_it_is_empty_is_read_all_the_same():
    assert len(read_file('/proc/self/limits', 1 << 20)) > 100
