"""The cache's rules, with builds that are counted and engines that are plain bytes."""

from dataclasses import replace
import os
from pathlib import Path
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from demt_perception.inference import cache
from demt_perception.inference.cache import cached, EngineKey, entry, limits
from demt_perception.inference.cache.folder import cache_folder

KEY = EngineKey('0123456789abcdef' * 4, 'openvino', '1.2.3', 'Some CPU @ 3 GHz ®', 'AVX2 BF16',
                'auto', (1, 3, 64, 64), 2, options={'pinning': 'False', 'limit': 0.95})
PAYLOAD = bytes(range(256)) * 3
OTHERS = [replace(KEY, **change) for change in (
    {'graph_sha256': 'f' * 64}, {'engine': 'onnxruntime'}, {'version': '1.2.4'},
    {'driver': '570'}, {'device': 'Another'}, {'capabilities': 'AVX2'}, {'precision': 'f32'},
    {'shape': (1, 3, 64, 32)}, {'threads': 1}, {'options': {'pinning': 'True'}})]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / 'engines'
    monkeypatch.setenv('DEMT_CACHE', str(folder))
    monkeypatch.setattr(os, 'fsync', lambda file: None)  # thousands of entries, none to last
    return folder


class Engines:
    """Counts what is built and loaded; loading anything but the payload is an error."""

    def __init__(self, payload=PAYLOAD):
        self.payload, self.built, self.loaded = payload, 0, 0

    def get(self, key=KEY, **options):
        def build():
            self.built += 1
            return self.payload

        def load(payload):
            assert payload == self.payload
            self.loaded += 1
            return payload

        engine, text = cached(key, build, bytes, load, **options)
        assert engine == self.payload
        assert '\n' not in text
        return text


def file_of(folder, key=KEY):
    return folder / (key.stem() + '.engine')


def test_built_once_then_loaded(folder):
    engines = Engines()
    assert engines.get().startswith('built in 0.0 s, kept')
    assert engines.get() == 'loaded from the cache'
    assert (engines.built, engines.loaded) == (1, 1)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert not list(folder.glob('*.partial'))


@pytest.mark.parametrize('other', OTHERS)
def test_another_key_is_another_entry(folder, other):
    engines, wrong = Engines(), Engines(b'of another key')
    wrong.get(other)
    assert engines.get().startswith('built')
    # Even under the right name it is not loaded.
    file_of(folder).write_bytes(file_of(folder, other).read_bytes())
    assert 'built for something else' in engines.get()
    assert engines.get() == 'loaded from the cache'
    assert (engines.built, engines.loaded) == (2, 1)


def test_another_format_is_not_loaded(monkeypatch):
    engines = Engines()
    with monkeypatch.context() as other:
        other.setattr(entry, 'MAGIC', b'DEMTENG\x02')
        engines.get()
    assert 'not those of this version' in engines.get()
    assert engines.loaded == 0


edits = st.one_of(
    st.tuples(st.just('flip'), st.floats(0, 1), st.integers(1, 255), st.integers(1, 40)),
    st.tuples(st.just('cut'), st.floats(0, 1), st.integers(0, 0), st.integers(0, 0)),
    st.tuples(st.just('insert'), st.floats(0, 1), st.integers(0, 255), st.integers(1, 40)),
    st.tuples(st.just('remove'), st.floats(0, 1), st.integers(0, 0), st.integers(1, 40)))


def edit(content, what, place, value, count):
    at = min(int(place * len(content)), len(content) - 1)
    before, region, after = content[:at], content[at:at + count], content[at + count:]
    if what == 'flip':
        return before + bytes(byte ^ value for byte in region) + after
    return {'cut': before, 'insert': before + bytes([value]) * count + content[at:],
            'remove': before + after}[what]


@given(edits)
@settings(max_examples=300, deadline=None)
def test_damaged_anywhere_is_rebuilt(change):
    engines = Engines()
    engines.get()  # the entry of the example before
    engines = Engines()
    path = file_of(Path(os.environ['DEMT_CACHE']))
    path.write_bytes(edit(path.read_bytes(), *change))
    text = engines.get()
    assert text.startswith('built in 0.0 s as the one in the cache was of no use')
    assert text.endswith('kept for the next start')
    assert (engines.built, engines.loaded) == (1, 0)
    assert engines.get() == 'loaded from the cache'


def test_every_single_byte_counts(folder):
    engines = Engines()
    engines.get()
    whole = file_of(folder).read_bytes()
    for at in range(len(whole)):
        file_of(folder).write_bytes(edit(whole, 'flip', at / len(whole), 1 << at % 8, 1))
        assert engines.get().startswith('built'), at
    assert engines.loaded == 0


def test_what_the_engine_refuses_is_rebuilt_once(folder):
    Engines().get()
    calls = []

    def load(payload):
        calls.append(payload)
        raise RuntimeError('driver\nmismatch')

    engine, text = cached(KEY, lambda: b'new', bytes, load)
    assert engine == b'new'
    assert len(calls) == 1
    assert '(driver mismatch)' in text
    assert Engines(b'new').get() == 'loaded from the cache'


def test_an_error_of_the_build_is_passed_on_and_frees_the_lock():
    def build():
        raise ValueError('bad graph')

    with pytest.raises(ValueError, match='bad graph'):
        cached(KEY, build, bytes, bytes)
    assert 'kept' in Engines().get(timeout=0)


def test_an_engine_that_cannot_be_dumped_is_used():
    def dump(engine):
        raise RuntimeError('no export')

    assert cached(KEY, lambda: 7, dump, int)[0] == 7
    assert cached(KEY, lambda: 7, dump, int)[1].endswith('not kept: no export')


def test_threads_build_once_and_are_told_that_they_wait(monkeypatch):
    monkeypatch.setattr('demt_perception.inference.cache.lock.REPORT', 0.01)
    built, said, texts = [], [], []

    def build():
        time.sleep(0.5)
        built.append(1)
        return PAYLOAD

    def work():
        texts.append(cached(KEY, build, bytes, bytes, progress=said.append)[1])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert sorted(text.split()[0] for text in texts) == ['built', 'loaded', 'loaded']
    assert 'waiting for 0 s' in said[0]


def test_who_waits_too_long_builds_alone(folder):
    started, finish = threading.Event(), threading.Event()

    def build():
        started.set()
        assert finish.wait(30)
        return PAYLOAD

    thread = threading.Thread(target=cached, args=(KEY, build, bytes, bytes))
    thread.start()
    assert started.wait(30)
    text = Engines().get(timeout=0.1)
    finish.set()
    thread.join()
    assert 'not kept: another process has been building it for 0 s' in text
    assert Engines().get() == 'loaded from the cache'


def test_what_is_there_is_loaded_while_another_builds_it_anew(folder):
    """Without the lock, then: nobody is to wait for what is whole already."""
    Engines().get()
    started, finish = threading.Event(), threading.Event()

    def build():
        started.set()
        assert finish.wait(30)
        return PAYLOAD

    thread = threading.Thread(target=lambda: cached(KEY, build, bytes, bytes, fresh=True))
    thread.start()
    assert started.wait(30)
    engines = Engines()
    assert engines.get(timeout=0) == 'loaded from the cache'
    # Damage costs this process a build of its own, and that one's entry comes all the same.
    file_of(folder).write_bytes(b'damaged')
    assert 'of no use' in engines.get(timeout=0)
    finish.set()
    thread.join()
    assert (engines.built, engines.loaded) == (1, 1)
    assert Engines().get() == 'loaded from the cache'


def test_an_old_entry_that_cannot_be_removed_is_no_failure(folder, monkeypatch):
    monkeypatch.setattr(limits, 'MOST_ENTRIES', 1)
    other = replace(KEY, threads=7)
    Engines().get(other)
    lock = folder / (other.stem() + '.lock')
    lock.unlink()
    lock.mkdir()
    text = Engines().get()
    assert 'kept for the next start; old ones stay: ' in text
    assert Engines().get() == 'loaded from the cache'


def test_a_user_who_is_not_known_is_told_to_name_a_folder(monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', '~no_such_user/engines')
    with pytest.raises(OSError, match='set DEMT_CACHE to a folder of your own'):
        cache_folder()
    assert 'not kept: ' in Engines().get()


def test_least_recently_used_is_removed(folder, monkeypatch):
    monkeypatch.setattr(limits, 'MOST_ENTRIES', 3)
    keys = [replace(KEY, threads=number) for number in range(5)]
    for age, key in enumerate(keys[:3]):
        Engines().get(key)
        os.utime(file_of(folder, key), (100 + age, 100 + age))
    assert Engines().get(keys[0]) == 'loaded from the cache'  # so 1 is the oldest now
    (folder / 'notes.txt').write_text('mine')
    (folder / 'mine.engine').write_text('mine')
    Engines().get(keys[3])
    kept = [file_of(folder, key).exists() for key in keys]
    assert kept == [True, False, True, True, False]
    assert not (folder / (keys[1].stem() + '.lock')).exists()
    assert (folder / 'mine.engine').exists()
    assert (folder / 'notes.txt').exists()


def test_large_ones_are_removed_but_the_newest_stays(folder, monkeypatch):
    monkeypatch.setattr(limits, 'MOST_BYTES', 100)
    first, second = KEY, replace(KEY, threads=7)
    Engines().get(first)
    Engines().get(second)
    assert not file_of(folder, first).exists()
    assert file_of(folder, second).exists()


def test_what_is_in_use_is_not_removed(folder, monkeypatch):
    monkeypatch.setattr(limits, 'MOST_ENTRIES', 1)
    other = replace(KEY, threads=7)
    Engines().get()

    def load(payload):
        Engines().get(other)
        assert file_of(folder).exists()
        return payload

    assert cached(KEY, lambda: b'', bytes, load) == (PAYLOAD, 'loaded from the cache')


def test_an_engine_beyond_all_sizes_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(entry, 'LARGEST', 100)
    assert 'not kept: the engine has 768 bytes' in Engines().get()
    assert not file_of(folder).exists()


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setenv('DEMT_CACHE', '')
    assert cache_folder() == tmp_path / '.cache/demt_perception/engines'
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')  # to be ignored
    assert cache_folder() == tmp_path / '.cache/demt_perception/engines'
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'x'))
    assert cache_folder() == tmp_path / 'x/demt_perception/engines'
    monkeypatch.setenv('DEMT_CACHE', '~/mine')
    assert cache_folder() == tmp_path / 'mine'


def test_off(folder, monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', 'off')
    engines = Engines()
    assert engines.get().endswith('not kept: the cache is off')
    engines.get()
    assert engines.built == 2
    assert not folder.exists()
    assert cache.cache_folder() is None
