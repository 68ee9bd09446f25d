from pathlib import Path

from bag_writing import message, write_mcap, write_metadata, write_sqlite3
import pytest
import yaml

from demt_perception.bags import BagError, IncompleteBagError, listed_topics, open_bag

zstandard = pytest.importorskip('zstandard', reason='zstandard is not installed')

ROWS = [(f'/{name}', 1_000_000_000 + index, message(f'{name} {index}'))
        for index in range(30) for name in 'ab']


def read(path: Path, *names: str) -> list[tuple[str, int, bytes]]:
    with open_bag(path) as bag:
        return [tuple(row) for row in bag.messages(names)]


def test_a_single_file_gives_what_was_written(tmp_path, write_storage):
    path = write_storage(tmp_path / 'one', ROWS)
    with open_bag(path) as bag:
        assert {t.name: (t.type, t.count) for t in bag.topics.values()} == {
            '/a': ('std_msgs/msg/String', 30), '/b': ('std_msgs/msg/String', 30)}
    assert read(path, '/a', '/b') == ROWS
    assert read(path, '/b') == [row for row in ROWS if row[0] == '/b']


def test_messages_come_by_time_not_by_position(tmp_path, write_storage):
    path = write_storage(tmp_path / 'one', ROWS[::-1])
    assert [row[1] for row in read(path, '/a')] == [row[1] for row in ROWS[::2]]


def test_a_split_bag_is_read_in_the_order_of_its_metadata(tmp_path, write_storage):
    second = write_storage(tmp_path / 'bag_1', ROWS[40:])
    first = write_storage(tmp_path / 'bag_0', ROWS[:40])
    write_metadata(tmp_path, [first.name, second.name], {'/a': 30, '/b': 30})
    assert read(tmp_path, '/a', '/b') == ROWS
    with open_bag(tmp_path) as bag:
        assert bag.topics['/a'].count == 30


def test_a_folder_without_metadata_is_read_by_its_files(tmp_path, write_storage):
    write_storage(tmp_path / 'bag_0', ROWS[:40])
    write_storage(tmp_path / 'bag_1', ROWS[40:])
    assert read(tmp_path, '/a', '/b') == ROWS


def test_files_without_metadata_are_read_in_the_order_of_their_numbers(tmp_path, write_storage):
    """As a recorder that was killed leaves them."""
    for number in range(11):
        write_storage(tmp_path / f'bag_{number}', ROWS[number:number + 1])
    assert read(tmp_path, '/a', '/b') == ROWS[:11]


def test_recordings_of_one_length_are_told_apart(tmp_path, write_storage):
    prints = []
    for name, rows in ('a', ROWS), ('b', [(n, t + 1, d) for n, t, d in ROWS]):
        with open_bag(write_storage(tmp_path / name, rows)) as bag:
            prints += bag.fingerprints
    assert prints[0] != prints[1]


def test_version_1_metadata_names_files_with_their_folder(tmp_path, write_storage):
    file = write_storage(tmp_path / 'bag_0', ROWS)
    write_metadata(tmp_path, [f'somewhere/{file.name}'], {'/a': 30, '/b': 30})
    assert read(tmp_path, '/a', '/b') == ROWS


def test_files_compressed_as_a_whole(tmp_path, write_storage):
    file = write_storage(tmp_path / 'bag_0', ROWS)
    packed = file.with_name(file.name + '.zstd')
    packed.write_bytes(zstandard.compress(file.read_bytes()))
    file.unlink()
    write_metadata(tmp_path, [packed.name], {'/a': 30, '/b': 30}, ('zstd', 'FILE'))
    assert read(tmp_path, '/a', '/b') == ROWS
    assert read(packed, '/a', '/b') == ROWS


def test_messages_compressed_one_by_one(tmp_path, write_storage):
    file = write_storage(
        tmp_path / 'bag_0', [(n, t, zstandard.compress(d)) for n, t, d in ROWS])
    write_metadata(tmp_path, [file.name], {'/a': 30, '/b': 30}, ('zstd', 'MESSAGE'))
    assert read(tmp_path, '/a', '/b') == ROWS


def test_messages_compressed_one_by_one_without_metadata(tmp_path, write_storage):
    """As a recorder that was killed leaves them, and where the file alone is given."""
    file = write_storage(
        tmp_path / 'bag_0', [(n, t, zstandard.compress(d)) for n, t, d in ROWS])
    for path in tmp_path, file:
        assert read(path, '/a', '/b') == ROWS


@pytest.mark.parametrize('compression', ['lz4', 'zstd', 'none'])
def test_chunk_compressions_of_mcap(tmp_path, compression):
    from mcap.writer import CompressionType
    path = tmp_path / 'one.mcap'
    write_mcap(path, ROWS, compression=CompressionType[compression.upper()])
    assert read(path, '/a', '/b') == ROWS


@pytest.mark.parametrize('options', [{}, {'use_chunking': False}], ids=['index', 'no index'])
def test_the_time_of_an_mcap_message_is_that_of_its_recording(tmp_path, monkeypatch, options):
    """And not of its publication, which the clock of another machine may have told."""
    from mcap.writer import Writer
    add = Writer.add_message
    monkeypatch.setattr(Writer, 'add_message', lambda self, channel, log_time, data, _: add(
        self, channel, log_time, data, publish_time=10**10 - log_time))
    write_mcap(tmp_path / 'one.mcap', ROWS, **options)
    assert read(tmp_path / 'one.mcap', '/a', '/b') == ROWS


def test_an_mcap_without_chunks_is_not_read_for_its_topics(tmp_path):
    """As rosbag2's preset fastwrite leaves it: the damage is met only when it is read."""
    path = tmp_path / 'one.mcap'
    write_mcap(path, ROWS, latched=('/b',), use_chunking=False)
    content = bytearray(path.read_bytes())
    content[content.index(ROWS[0][2]) - 30] = 255   # a record of another length
    path.write_bytes(content)
    with open_bag(path) as bag:
        assert {t.name: (t.type, t.count, t.latched) for t in bag.topics.values()} == {
            '/a': ('std_msgs/msg/String', 30, False), '/b': ('std_msgs/msg/String', 30, True)}
        with pytest.raises(BagError, match='damaged'):
            list(bag.messages(['/a', '/b']))


def test_an_mcap_without_chunks_gives_what_was_written(tmp_path):
    path = tmp_path / 'one.mcap'
    write_mcap(path, ROWS, use_chunking=False)
    assert read(path, '/a', '/b') == ROWS


def test_quality_of_service_of_metadata_as_text_and_as_yaml(tmp_path):
    """Version 9 of metadata.yaml has no text within its text."""
    write_sqlite3(tmp_path / 'bag.db3', ROWS)
    for qos, latched in ((['durability', 'transient_local'], True), (['durability', 'volatile'],
                         False)):
        write_metadata(tmp_path, ['bag.db3'], {'/a': 30})
        file = tmp_path / 'metadata.yaml'
        document = yaml.safe_load(file.read_text())
        (topic,) = document['rosbag2_bagfile_information']['topics_with_message_count']
        for form in ([dict([qos])], yaml.safe_dump([dict([qos])])):
            topic['topic_metadata']['offered_qos_profiles'] = form
            file.write_text(yaml.safe_dump(document))
            assert listed_topics(tmp_path)['/a'].latched is latched


def test_a_count_that_is_too_high_is_told_after_the_last_message(tmp_path, write_storage):
    file = write_storage(tmp_path / 'bag_0', ROWS)
    write_metadata(tmp_path, [file.name], {'/a': 31, '/b': 30})
    assert len(read(tmp_path, '/b')) == 30
    rows = []
    with open_bag(tmp_path) as bag, pytest.raises(
            IncompleteBagError, match=r'30 messages of /a .* counts 31'):
        for row in bag.messages(['/a']):
            rows.append(row)
    assert len(rows) == 30


def test_a_cut_off_mcap_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / 'one.mcap'
    write_mcap(path, ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    rows = []
    with open_bag(path) as bag, pytest.raises(BagError, match='damaged'):
        for row in bag.messages(['/a', '/b']):
            rows.append(tuple(row))
    assert 0 < len(rows) < len(ROWS)
    assert rows == ROWS[:len(rows)]


def test_an_mcap_that_ends_between_two_records_is_no_whole_one(tmp_path):
    path = tmp_path / 'one.mcap'
    write_mcap(path, ROWS)
    whole = path.read_bytes()
    at, ends = 8, []
    while at + 9 <= len(whole) - 8:
        at += 9 + int.from_bytes(whole[at + 1:at + 9], 'little')
        ends.append(at)
    assert ends.pop() == len(whole) - 8   # of the footer
    for end in ends[:-8]:   # what follows is the summary
        path.write_bytes(whole[:end])
        with pytest.raises(BagError, match=r'damaged|cut off'), open_bag(path) as bag:
            list(bag.messages(['/a', '/b']))


def test_opening_changes_no_file(tmp_path, write_storage):
    path = write_storage(tmp_path / 'one', ROWS)
    before = path.read_bytes(), sorted(tmp_path.iterdir())
    path.chmod(0o444)
    read(path, '/a')
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == before


@pytest.mark.parametrize(('make', 'text'), [
    (lambda d: d / 'nothing.mcap', 'is not a bag'),
    (lambda d: d, 'want a folder with metadata.yaml'),
])
def test_what_is_no_bag_is_refused(tmp_path, make, text):
    with pytest.raises(BagError, match=text):
        open_bag(make(tmp_path))


def test_a_missing_storage_file_is_named(tmp_path):
    write_metadata(tmp_path, ['gone.db3'], {})
    with pytest.raises(BagError, match=r'gone\.db3 is not there'):
        open_bag(tmp_path)


def test_an_unknown_topic_is_refused_with_those_there_are(tmp_path, write_storage):
    path = write_storage(tmp_path / 'one', ROWS)
    with open_bag(path) as bag, pytest.raises(BagError, match=r"no topic /c; it has: \['/a'"):
        next(bag.messages(['/c']))


def test_an_unknown_compression_is_refused(tmp_path):
    write_sqlite3(tmp_path / 'bag.db3', ROWS)
    write_metadata(tmp_path, ['bag.db3'], {}, ('lzma', 'FILE'))
    with pytest.raises(BagError, match=r"'lzma' by 'file'.*ros2 bag convert"):
        open_bag(tmp_path)
