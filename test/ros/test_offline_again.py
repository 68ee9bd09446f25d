"""`demt bag` on a disk that fails, once more when it works, and what it says of both."""

import errno
from types import SimpleNamespace

from bag_samples import rows, write_bag
import pytest

pytest.importorskip('rosbags', reason='the package rosbags is not installed')
pytest.importorskip('mcap', reason='the package mcap is not installed')

from demt_perception.bags import Bag, BagError, open_bag
from demt_perception.cli.main import main
from demt_perception.ros.offline import jobs
from demt_perception.ros.offline.jobs import Job, run_job
from demt_perception.ros.offline.processing import Options


def job(tiny_model, bag, out, **more):
    return Job(bag, out, Options(str(tiny_model), {'engine': 'onnxruntime', 'threads': 1},
                                 outputs=('semantic/image',), **more))


def content(out):
    return {file.name: file.read_bytes() for file in out.iterdir()}


@pytest.fixture
def failing(monkeypatch):
    """Return a function: let reading a bag fail behind some messages; None: no more."""
    whole = Bag.messages

    def fail(count, error=None):
        def messages(self, names):
            for number, message in enumerate(whole(self, names)):
                if count is not None and number >= count:
                    raise error
                yield message
        monkeypatch.setattr(Bag, 'messages', messages)

    return fail


def fail_disk(monkeypatch, chunks):
    """Let the disk fail behind so many chunks; return what mends it."""
    from demt_perception.bags import mcap_records
    whole = mcap_records.unpack
    done = []

    def unpack(chunk):
        done.append(chunk)
        if len(done) > chunks:
            raise OSError(errno.EIO, 'Input/output error')
        return whole(chunk)

    monkeypatch.setattr(mcap_records, 'unpack', unpack)
    return lambda: monkeypatch.setattr(mcap_records, 'unpack', whole)


def test_a_failing_disk_finishes_nothing(tmp_path, tiny_model, monkeypatch):
    bag = write_bag(tmp_path / 'in.mcap', rows(12))
    assert run_job(job(tiny_model, bag, tmp_path / 'whole' / 'out')).good
    mend = fail_disk(monkeypatch, 10)
    first = run_job(job(tiny_model, bag, tmp_path / 'out'))
    assert not first.good and first.text.count('\n') == 0
    assert 'Input/output error' in first.text and 'once more' in first.text
    assert [file.name for file in (tmp_path / 'out').iterdir()] == ['out_0.mcap.part']
    mend()
    again = run_job(job(tiny_model, bag, tmp_path / 'out'))
    assert again.good and '12 of 12 images' in again.text and '; 12 in' not in again.text
    assert content(tmp_path / 'out') == content(tmp_path / 'whole' / 'out')


def test_the_verb_says_it_in_one_line(tmp_path, tiny_model, monkeypatch, capsys):
    bag = write_bag(tmp_path / 'in.mcap', rows(12))
    fail_disk(monkeypatch, 10)
    assert main(['bag', str(bag), str(tmp_path / 'out'), '--model', str(tiny_model), '--engine',
                 'onnxruntime', '--threads', '1', '--outputs', 'semantic/image']) == 1
    said = capsys.readouterr()
    assert 'Input/output error' in said.err and 'Traceback' not in said.err
    assert not said.out and not (tmp_path / 'out' / 'metadata.yaml').exists()


@pytest.mark.parametrize('readable', [0, 6])
def test_what_ended_at_damage_is_gone_on_with(tmp_path, tiny_model, failing, readable):
    bag = write_bag(tmp_path / 'in.mcap', rows(12))
    assert run_job(job(tiny_model, bag, tmp_path / 'whole' / 'out')).good
    failing(readable, BagError('damaged'))
    first = run_job(job(tiny_model, bag, tmp_path / 'out'))
    assert f'{readable // 2} of 12 images' in first.text and 'up to its damage' in first.text
    before = content(tmp_path / 'out')
    again = run_job(job(tiny_model, bag, tmp_path / 'out'))
    assert 'nothing was left to do' in again.text and f'{readable // 2} of 12' in again.text
    assert content(tmp_path / 'out') == before
    failing(None)
    last = run_job(job(tiny_model, bag, tmp_path / 'out'))
    assert last.good and '12 of 12 images' in last.text
    assert f'; {12 - readable // 2} in' in last.text
    assert content(tmp_path / 'out') == content(tmp_path / 'whole' / 'out')


def test_of_a_bag_that_counts_nothing_only_what_was_read_is_told(tmp_path, tiny_model):
    bag = write_bag(tmp_path / 'in.mcap', rows(20))
    whole = bag.read_bytes()
    bag.write_bytes(whole[:len(whole) // 2])
    text = run_job(job(tiny_model, bag, tmp_path / 'out')).text
    with open_bag(tmp_path / 'out') as out:
        count = out.topics['/demt_perception/semantic/image'].count
    assert f'{count} of {count} images that could be read' in text


def test_memory_that_runs_out_is_told(tmp_path, tiny_model, monkeypatch):
    def process(*_):
        raise MemoryError

    monkeypatch.setattr(jobs, 'process', process)
    outcome = run_job(job(tiny_model, tmp_path / 'in.mcap', tmp_path / 'out'))
    assert outcome == (False, f'{tmp_path / "in.mcap"}: MemoryError')


def test_images_passed_over_are_not_counted(tmp_path, tiny_model, monkeypatch):
    """Each image takes a second by this clock: the rate is one a second, whatever is left out."""
    some = rows(9)
    some[9] = (some[9][0], some[9][1], b'\0\1\0\0bad')
    bag = write_bag(tmp_path / 'in.mcap', some)
    shown = []
    ticks = iter(range(100))
    monkeypatch.setattr(jobs, 'time', SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(jobs.Line, 'show', lambda self, text, left: shown.append((text, left)))
    text = run_job(job(tiny_model, bag, tmp_path / 'out', every=4), show=True).text
    assert shown == [(f'in.mcap: image {n} of 3, 1.0 a second', 3 - n) for n in (1, 2, 3)]
    assert '2 of 3 images' in text and '; 3 in ' in text
