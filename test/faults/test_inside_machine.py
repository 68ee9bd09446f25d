"""Faults of the machine under the node: memory, disk, files, signals, kill -9."""

from contextlib import contextmanager
import os
from pathlib import Path
import resource
import shutil
import signal
import tempfile
import time

from campaign import ERROR, fault, OK, WARN
from demt_msgs.srv import LoadModel
from faulty_node import fault_file
from lifecycle_msgs.msg import Transition
from pictures import TINY_MODEL
import pytest
from test_inside_engine import PROGRAM, restart, tell

NO_LIMIT = resource.RLIM_INFINITY, resource.RLIM_INFINITY
MEMORY = 60 << 20
LARGE = 3000, 2000


@contextmanager
def limit(bench, what, value):
    """Limit what the running node may have."""
    process = bench.node.process.pid
    resource.prlimit(process, what, (value, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if bench.node.process.poll() is None:
            resource.prlimit(process, what, NO_LIMIT)


def address_space(process):
    """Return the size of a process's address space in bytes."""
    return int(Path(f'/proc/{process}/statm').read_text().split()[0]) * resource.getpagesize()


@fault('Memory runs out', '60 MB more than it has, pictures of 6 megapixels', own=True)
def test_memory_runs_out(bench):
    bench.flow()
    with limit(bench, resource.RLIMIT_AS, address_space(bench.node.process.pid) + MEMORY), (
            bench.every(0.1, lambda: bench.send(size=LARGE))):
        bench.report(lambda report: report.level in (WARN, ERROR), 'a trouble')
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN or ERROR: what could not be had; such frames are dropped, the node goes on')


@contextmanager
def own_cache(bench):
    """Start the node again, with an empty cache of engines of its own; yield that."""
    with tempfile.TemporaryDirectory() as folder:
        bench.node.stop()
        bench.environ['DEMT_CACHE'] = f'{folder}/engines'
        bench.start()
        bench.tester.state(bench.name)
        yield Path(folder, 'engines')


def activate(bench):
    for transition in Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE:
        assert bench.tester.change_state(transition, bench.name)


@pytest.mark.skip(reason='make faults does it; test_engine_faults.py has the parts')
@fault('Disk full', 'not one byte can be written to any file; the engine has to be built',
       own=True, autostart=False, engine='openvino', precision='f32')
def test_disk_full(bench):
    with own_cache(bench) as cache:
        with limit(bench, resource.RLIMIT_FSIZE, 0):
            activate(bench)
            bench.report(lambda report: report.values['engine'] == 'openvino', 'the built engine')
            bench.flow()
        assert not list(cache.glob('*.engine'))
        assert not list(cache.glob('*.partial'))
        bench.recover()
        bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('OK: the engine is built and used, and not kept; no half files')


@pytest.mark.skip(reason='make faults does it; test_cache_faults.py has the parts')
@fault('Cache deleted', 'the folder of built engines is removed, then one is damaged',
       own=True, autostart=False, engine='openvino', precision='f32')
def test_cache_deleted(bench):
    with own_cache(bench) as cache:
        activate(bench)
        bench.report(lambda report: report.values['engine'] == 'openvino', 'the built engine')
        bench.flow()
        shutil.rmtree(cache)
        bench.recover()
        assert load(bench, TINY_MODEL).success
        entry, = cache.glob('*.engine')
        content = entry.read_bytes()
        entry.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert load(bench, TINY_MODEL).success
        bench.recover()
        assert entry.read_bytes() == content, 'built anew'
    bench.saw('OK: frames go on; another load builds the engine anew, and keeps it')


def load(bench, model):
    """Ask for another model; return the answer, while good pictures are sent."""
    client = bench.tester.node.create_client(LoadModel, f'{bench.name}/load_model')
    try:
        bench.tester.spin_until(client.service_is_ready, 'the service')
        future = client.call_async(LoadModel.Request(model=str(model)))
        bench.stream(future.done, 'the answer')
        return future.result()
    finally:
        bench.tester.node.destroy_client(client)


@fault('Model deleted, replaced, damaged', 'its folder, while it runs and when the engine hangs',
       program=PROGRAM)
def test_model_deleted(bench):
    bench.flow()
    with tempfile.TemporaryDirectory() as folder:
        model = shutil.copytree(TINY_MODEL, Path(folder, 'model'))
        assert load(bench, model).success
        shutil.rmtree(model)
        bench.recover()
        refused = load(bench, model)
        assert not refused.success
        assert 'the old model stays' in refused.message
        shutil.copytree(TINY_MODEL, model)
        content = (model / 'model.onnx').read_bytes()
        (model / 'model.onnx').write_bytes(content[:-1])
        refused = load(bench, model)
        assert not refused.success
        assert 'damaged' in refused.message
        tell(bench, 'hang 3600 once')
        bench.report(lambda report: report.level == ERROR and 'cannot be loaded' in report.text
                     and 'damaged' in report.text, 'that nothing can be loaded', feed=True)
        (model / 'model.onnx').write_bytes(content)
        bench.report(lambda report: report.level == OK, 'all well', feed=True)
        bench.recover()
    bench.saw('OK while it runs; another load is refused with the reason; where the engine hangs '
              'then, ERROR until the files are back, within the next try')


def end(bench, number, codes=(0,)):
    """Signal the node; look at its exit code."""
    assert bench.node.stop(number) in codes, bench.node.log()


@fault('SIGINT and SIGTERM', 'in every state of the lifecycle, and while the engine hangs',
       autostart=False, program=PROGRAM)
def test_signals(bench):
    transitions = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE,
                   Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    # Numbers of transitions before the signal; a shutdown has its own from each state.
    states = {'unconfigured': transitions[:0], 'inactive': transitions[:1],
              'active': transitions[:2], 'inactive again': transitions[:3],
              'finalized': (*transitions[:2], transitions[3]), 'hanging': transitions[:2]}
    numbers = signal.SIGINT, signal.SIGTERM
    if not bench.full:   # test_node_lifecycle.py signals working and loading nodes
        states = {state: states[state] for state in ('hanging',)}
    for index, (state, steps) in enumerate(states.items()):
        for number in numbers if bench.full else [numbers[index % 2]]:
            bench.tester.state(bench.name)
            for step in steps:
                assert bench.tester.change_state(step, bench.name)
            if state == 'active':
                bench.flow()
            if state == 'hanging':
                tell(bench, 'hang 3600 once')
                bench.stream(lambda: not fault_file(bench.node.process.pid).exists(), 'the hang')
            end(bench, number)
            bench.start()
    bench.tester.state(bench.name)
    activate(bench)
    bench.report(lambda report: int(report.values['received']) > 0, 'frames', feed=True)
    bench.recover()
    bench.saw('exit code 0, no traceback, and the next start works')


@pytest.mark.skip(reason='make faults does it; test_node_lifecycle.py signals a node that loads')
@fault('SIGTERM while it starts', 'at once, and after 0.2 s, 0.4 s ...', own=True)
def test_signals_while_it_starts(bench):
    bench.flow()
    for step in range(bench.times(3, 6)):
        end(bench, signal.SIGTERM, (0, -signal.SIGTERM))   # Python's own, in its first moments
        bench.start()
        time.sleep(0.2 * step)
    end(bench, signal.SIGTERM, (0, -signal.SIGTERM))
    restart(bench)
    bench.recover()
    bench.saw('it ends, without a traceback, and the next start works')


def locks(process):
    """Return the lock files in /dev/shm that a process holds."""
    lines = [line.split() for line in Path('/proc/locks').read_text().splitlines()]
    held = {int(words[5].rpartition(':')[2]) for words in lines if words[4] == str(process)}
    return [path for path in Path('/dev/shm').glob('fastdds_????????????????_el')
            if path.stat().st_ino in held]


def kill(bench):
    bench.node.process.kill()
    bench.node.process.wait()


@fault('kill -9', 'while it works, and while it starts', own=True)
def test_kill(bench):
    bench.flow()
    left = locks(bench.node.process.pid)
    for lock in left:   # as if it had run for longer
        os.utime(lock, (time.time() - 60,) * 2)
    for step in range(bench.times(0, 4)):
        kill(bench)
        bench.start()
        time.sleep(0.2 * step)
    kill(bench)
    restart(bench)
    bench.recover()
    assert left, 'Fast DDS has files in shared memory'
    assert not [lock for lock in left if lock.exists()], 'what the first left behind is removed'
    bench.saw('it starts and works; the shared memory of the killed process is removed')
