"""Faults of the engine: it throws, returns NaN, becomes slow, hangs, and holds Python's lock."""

from pathlib import Path

from campaign import ERROR, fault, OK, WARN
from demt_msgs.msg import InferenceStats
import faulty_node

PROGRAM = (str(Path(__file__).with_name('faulty_node.py')),)


def tell(bench, words=''):
    """Tell the engines of the node what to do from now on; '': to work."""
    file = faulty_node.fault_file(bench.node.process.pid)
    if words:
        partial = file.with_suffix('.partial')
        partial.write_text(words)
        partial.rename(file)
    else:
        file.unlink(missing_ok=True)


def restart(bench):
    """Start a node that has ended again; wait until it hears the camera."""
    bench.start()
    bench.stream(lambda: 'loaded in' in bench.node.log(), 'the node again')
    bench.report(lambda report: int(report.values['received']) > 0, 'the node again', feed=True)


def restarts(bench):
    return bench.count('engine_restarts')


@fault('Engine throws', 'at one frame, then at every one', own=False, program=PROGRAM)
def test_engine_throws(bench):
    bench.flow()
    before = restarts(bench)
    tell(bench, 'throw once')
    bench.report(lambda report: report.level == ERROR and 'thrown by a test' in report.text,
                 'the error', feed=True)
    bench.recover()
    if not bench.full:   # the rest: test_engine_care.py
        return
    tell(bench, 'throw')
    bench.report(lambda report: report.level == ERROR and 'in a row' in report.text and (
        report.values['degraded'] == 'engine_error'), 'a broken engine', feed=True)
    bench.report(lambda report: int(report.values['engine_restarts']) > before, 'another engine',
                 feed=True)
    tell(bench)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('ERROR with its words, engine_error counted, the frames dropped; after 2 s of '
              'nothing else another engine is loaded')


@fault('NaN outputs', 'one value of every output is NaN, at every frame', own=False,
       program=PROGRAM)
def test_nan_outputs(bench):
    bench.flow()
    tell(bench, 'nan')
    bench.report(lambda report: report.level == ERROR and 'NaN' in report.text, 'NaN', feed=True)
    done = bench.checked
    bench.report(lambda report: report.level == ERROR and 'NaN' in report.text, 'NaN', feed=True)
    assert bench.checked == done, 'nothing is published of them'
    tell(bench)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('ERROR: which output has NaN; nothing is published of such a frame')


@fault('Engine becomes slow', '50 ms more for each frame', own=False, program=PROGRAM)
def test_engine_becomes_slow(bench):
    bench.flow()
    before = bench.count('processed')   # what the engine takes has to be known
    bench.report(lambda report: int(report.values['processed']) > before + 30, feed=True)
    with bench.tester.listening(f'{bench.name}/stats', InferenceStats) as stats:
        tell(bench, 'slow 0.05')
        told = bench.report(lambda report: report.level == WARN and 'the engine takes' in (
            report.text), 'a slow engine', feed=True)
        assert 'engine_slow' in told.values['degraded'].split(', ')
        stats.clear()
        bench.tester.spin_until(lambda: stats, 'stats')
        assert 'engine_slow' in stats[0].degraded
        tell(bench)
        bench.recover()
        bench.report(lambda report: report.level == OK, 'all well', feed=True)
        bench.stream(lambda: 'engine_slow' not in stats[-1].degraded, 'stats without a trouble')
    bench.saw('WARN: what it takes and took; engine_slow in the stats, until it is as before')


@fault('Outputs late', 'the engine takes 0.7 s, max_age is 0.5 s', own=False, program=PROGRAM)
def test_outputs_late(bench):
    bench.flow()
    tell(bench, 'slow 0.7')
    bench.report(lambda report: 'too_old' in report.text, 'too old', feed=True)
    done = bench.checked
    bench.report(lambda report: 'too_old' in report.text, 'too old again', feed=True)
    assert bench.checked == done, 'nothing is published of them'
    tell(bench)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN: too_old, age and max_age; nothing older is published')


@fault('Engine hangs', 'for 4 s, in its library; then it returns a result', own=False,
       program=PROGRAM)
def test_engine_hangs(bench):
    bench.flow()
    before = restarts(bench)
    tell(bench, 'hang 4 once')
    told = bench.report(lambda report: report.level == ERROR and 'not come back' in report.text,
                        'a hanging engine', feed=True)
    assert 'engine_hung' in told.values['degraded']
    assert int(told.values['dropped_engine_hung']) > 0
    bench.recover()
    bench.report(lambda report: int(report.values['engine_restarts']) > before, 'another engine')
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('ERROR after 2 s: engine_hung; another engine is loaded; what the first returns is '
              'thrown away')


@fault('Every engine hangs', 'and the next, and the next; given up after 0.5 s in place of 2 s',
       program=(*PROGRAM, 'pipeline.FEWEST=0.5'))
def test_every_engine_hangs(bench):
    bench.flow()
    tell(bench, 'hang 3600')
    bench.report(lambda report: report.level == ERROR and 'not come back' in report.text,
                 'a hanging engine', feed=True)
    bench.stream(lambda: bench.node.process.poll() is not None, 'the end of the process')
    assert bench.node.process.returncode == 75
    assert 'another one is being loaded' in bench.node.log()
    assert 'the process ends with exit code 75' in bench.node.log()
    assert 'in faulty' in bench.node.log(), 'the stacks'
    tell(bench)
    restart(bench)
    bench.recover()
    bench.saw('ERROR each time; when the third hangs the process ends with exit code 75 and the '
              'stacks of all threads, and works again when started again')


@fault('Engine hangs with the global lock', 'no Python code runs any more',
       program=(*PROGRAM, 'stall.SECONDS=3'))
def test_engine_hangs_with_the_global_lock(bench):
    bench.flow()
    tell(bench, 'hold 3600')
    bench.stream(lambda: bench.node.process.poll() is not None, 'the end of the process')
    assert bench.node.process.returncode == 1
    assert 'Timeout (0:00:03)' in bench.node.log()
    assert 'in faulty' in bench.node.log(), 'the stacks'
    tell(bench)
    restart(bench)
    bench.recover()
    bench.saw('the process ends by itself (after 30 s, here 3 s) with exit code 1 and the stacks '
              'of all threads, and works again when started again')


