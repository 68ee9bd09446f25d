"""Bags of many files, or of files that are unpacked: one at a time, and damage where it stands."""

from contextlib import closing, contextmanager
import os
from pathlib import Path
import resource
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

from bag_writing import message, write_mcap, write_metadata, write_sqlite3
import pytest

from demt_perception.bags import BagError, open_bag, ReadingError

pytest.importorskip('mcap', reason='the package mcap is not installed')
zstandard = pytest.importorskip('zstandard', reason='zstandard is not installed')

ROWS = [('/a', 1000 + index, message(f'text {index}')) for index in range(60)]
WRITERS = {'.db3': write_sqlite3, '.mcap': write_mcap}


@contextmanager
def few_open_files(free: int):
    """Let this process open only so many files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir('/proc/self/fd')))
    most = 0   # the limit is on the numbers of files, and some below the highest are free
    while most - sum(number < most for number in used) < free:
        most += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def split(folder: Path, suffix: str, count: int, packed: bool = False, late: str = '') -> Path:
    """Write a bag of so many files of one message each, of two in the last where one is late."""
    folder.mkdir()
    for index in range(count):
        some = ROWS[index:index + 1]
        if late and index == count - 1:
            some = [*some, (late, 5000, message('late'))]
        file = folder / f'bag_{index}{suffix}'
        WRITERS[suffix](file, some)
        if packed:
            file.with_name(f'{file.name}.zstd').write_bytes(
                zstandard.compress(file.read_bytes()))
            file.unlink()
    return folder


def read(path: Path, *names: str) -> list[tuple]:
    with open_bag(path) as bag:
        return [tuple(row) for row in bag.messages(names or ['/a'])]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / 'temporary'
    folder.mkdir()
    monkeypatch.setenv('TMPDIR', str(folder))
    monkeypatch.setattr('tempfile.tempdir', None)
    return folder


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize('suffix', WRITERS)
def test_more_files_than_may_be_open(tmp_path, suffix, packed):
    folder = split(tmp_path / 'bag', suffix, 60, packed)
    read(folder / f'bag_0{suffix}{".zstd" * packed}')   # what is imported needs files, too
    with few_open_files(8):
        assert read(folder) == ROWS


@pytest.mark.parametrize('suffix', WRITERS)
def test_no_file_may_be_open(tmp_path, suffix):
    folder = split(tmp_path / 'bag', suffix, 2)
    read(folder)
    with few_open_files(0), pytest.raises(ReadingError, match=r'Too many .*ulimit -n'):
        open_bag(folder)


DAMAGE = {'empty': lambda data: b'', 'the first bytes': lambda data: data[:8],
          'a header': lambda data: data[:40]}


@pytest.mark.parametrize('metadata', [False, True])
@pytest.mark.parametrize('damage', DAMAGE)
@pytest.mark.parametrize('suffix', WRITERS)
def test_damage_of_the_last_file_waits_for_its_turn(tmp_path, suffix, damage, metadata):
    """As a recording ends that was interrupted right behind a split."""
    folder = split(tmp_path / 'bag', suffix, 4)
    last = folder / f'bag_3{suffix}'
    last.write_bytes(DAMAGE[damage](last.read_bytes()))
    if metadata:
        write_metadata(folder, [f'bag_{n}{suffix}' for n in range(4)], {'/a': 4})
    with open_bag(folder) as bag:
        for _ in range(2):
            rows = []
            with pytest.raises(BagError, match=f'bag_3{suffix} is ') as error:
                for row in bag.messages(['/a']):
                    rows.append(tuple(row))
            assert rows == ROWS[:3]
            assert error.type is BagError
        assert bag.topics['/a'].count is None or bag.topics['/a'].count == 3


def test_damage_of_the_first_file_is_told_at_once(tmp_path):
    folder = split(tmp_path / 'bag', '.mcap', 3)
    (folder / 'bag_0.mcap').write_bytes(b'')
    with pytest.raises(BagError, match=r'bag_0\.mcap is damaged'):
        open_bag(folder)


def test_a_file_that_is_missing_later_on_waits_for_its_turn(tmp_path):
    folder = split(tmp_path / 'bag', '.db3', 2)
    write_metadata(folder, ['bag_0.db3', 'gone.db3', 'bag_1.db3'], {'/a': 3})
    with open_bag(folder) as bag, closing(bag.messages(['/a'])) as messages:
        assert tuple(next(messages)) == ROWS[0]
        with pytest.raises(BagError, match=r'gone\.db3 is not there'):
            next(messages)


@pytest.mark.parametrize('suffix', WRITERS)
def test_packed_files_are_unpacked_one_by_one(tmp_path, temporary, suffix):
    """Without a name, and without metadata.yaml the first and the last tell the topics."""
    folder = split(tmp_path / 'bag', suffix, 6, packed=True, late='/late')
    with open_bag(folder) as bag:
        assert {topic.name: topic.count for topic in bag.topics.values()} == {
            '/a': None, '/late': None}
        for number, row in enumerate(bag.messages(['/a'])):
            assert tuple(row) == ROWS[number]
            assert not list(temporary.iterdir())
            assert len(unnamed(temporary)) == 1
    assert number == 5
    assert not unnamed(temporary)
    assert read(folder, '/late') == [('/late', 5000, message('late'))]


def unnamed(folder: Path) -> list[str]:
    """Return what this process has open of a folder."""
    links = []
    for name in os.listdir('/proc/self/fd'):
        try:
            links.append(os.readlink(f'/proc/self/fd/{name}'))
        except OSError:   # of listing them
            continue
    return [link for link in links if link.startswith(f'{folder}/')]


@pytest.mark.parametrize('suffix', WRITERS)
def test_a_bag_that_is_closed_while_somebody_reads_gives_its_room_back(
        tmp_path, temporary, suffix):
    """At the latest when he ends: what is unpacked takes the disk for as long as it is open."""
    bag = open_bag(split(tmp_path / 'bag', suffix, 2, packed=True))
    messages = bag.messages(['/a'])
    assert tuple(next(messages)) == ROWS[0]
    bag.close()
    messages.close()
    assert not unnamed(temporary)


def test_opening_unpacks_nothing_where_the_metadata_tells_the_topics(tmp_path, temporary):
    folder = split(tmp_path / 'bag', '.mcap', 2, packed=True)
    write_metadata(folder, ['bag_0.mcap.zstd', 'bag_1.mcap.zstd'], {'/a': 2}, ('zstd', 'FILE'))
    (folder / 'bag_1.mcap.zstd').write_bytes(b'no zstd')
    with open_bag(folder) as bag:
        assert bag.topics['/a'].count == 2
        assert not unnamed(temporary)
        messages = bag.messages(['/a'])
        assert tuple(next(messages)) == ROWS[0]
        with pytest.raises(BagError, match=r'bag_1\.mcap\.zstd cannot be decompressed'):
            next(messages)


def test_errors_name_the_packed_file(tmp_path):
    folder = split(tmp_path / 'bag', '.mcap', 1)
    path = folder / 'bag_0.mcap'
    path.with_name('a.mcap.zstd').write_bytes(zstandard.compress(path.read_bytes()[:-200]))
    with pytest.raises(BagError, match=r'a\.mcap\.zstd is damaged'):
        read(folder / 'a.mcap.zstd')


@pytest.mark.parametrize('suffix', WRITERS)
def test_a_killed_reader_leaves_nothing(tmp_path, temporary, suffix):
    folder = split(tmp_path / 'bag', suffix, 2, packed=True)
    program = ('import sys, time\nfrom demt_perception.bags import open_bag\n'
               'with open_bag(sys.argv[1]) as bag:\n'
               '    print(len(list(bag.messages(["/a"]))), flush=True)\n    time.sleep(60)\n')
    with subprocess.Popen([sys.executable, '-c', program, str(folder)], stdout=subprocess.PIPE,
                          text=True) as reader:
        assert reader.stdout.readline() == '2\n'
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(30) == -signal.SIGTERM
    assert not list(temporary.iterdir())


HALF = """
import sys, time
from demt_perception.bags import compression, open_bag
def decompress(path, target, folder):
    target.write(bytes(1000))
    target.flush()
    print('half', flush=True)
    time.sleep(60)
compression._decompress = decompress
open_bag(sys.argv[1])
"""


def test_what_a_reader_left_that_was_killed_while_it_unpacked_is_removed(tmp_path, temporary):
    def age(path: Path) -> Path:
        os.utime(path, (time.time() - 60,) * 2)
        return path

    folder = split(tmp_path / 'bag', '.mcap', 2, packed=True)
    (temporary / 'demt_bag_young').touch()
    (temporary / 'demt_bag_folder').mkdir()
    (temporary / 'demt_bag_link').symlink_to(age(folder / 'bag_0.mcap.zstd'))
    (temporary / 'somebody_elses').touch()
    for name in 'demt_bag_folder', 'somebody_elses':
        age(temporary / name)
    others = set(temporary.iterdir())
    with subprocess.Popen([sys.executable, '-c', HALF, str(folder)], stdout=subprocess.PIPE,
                          text=True) as reader:
        assert reader.stdout.readline() == 'half\n'
        (left,) = set(temporary.iterdir()) - others
        age(left)
        assert read(folder) == ROWS[:2]
        assert left.stat().st_size == 1000   # its owner lives
        reader.kill()
    assert left.exists()
    assert read(folder) == ROWS[:2]
    assert set(temporary.iterdir()) == others
    assert (folder / 'bag_0.mcap.zstd').is_file()


def test_a_full_disk_is_no_damage(tmp_path, monkeypatch):
    folder = split(tmp_path / 'bag', '.mcap', 1, packed=True)
    monkeypatch.setattr('demt_perception.bags.compression.shutil.disk_usage',
                        lambda _: SimpleNamespace(
                            free=0, total=1000))
    with pytest.raises(ReadingError, match='set TMPDIR'):
        open_bag(folder)


@pytest.mark.parametrize('suffix', WRITERS)
def test_a_file_beside_its_packed_self_is_read_once(tmp_path, suffix):
    """As unzstd leaves them, and a recorder that was killed while it packed a file."""
    folder = split(tmp_path / 'bag', suffix, 2)
    for number, content in enumerate((zstandard.compress, lambda data: b'half')):
        file = folder / f'bag_{number}{suffix}'
        file.with_name(f'{file.name}.zstd').write_bytes(content(file.read_bytes()))
    assert read(folder) == ROWS[:2]


def test_messages_are_read_by_two_at_once(tmp_path):
    """A bag keeps one file open, and lends it to one."""
    with open_bag(split(tmp_path / 'bag', '.db3', 3)) as bag:
        pairs = list(zip(bag.messages(['/a']), bag.messages(['/a']), strict=True))
    assert [tuple(one) for one, _ in pairs] == [tuple(two) for _, two in pairs] == ROWS[:3]
