"""Run the tests two folders at a time, each in a plain process of pytest, and say how they get on.

Plain processes rather than workers that share a queue of tests: where a library crashes, the
process says so and which test it was, and the others are not disturbed.

Tests of nodes that talk over the network, and of processes that train together, wait for other
processes. Where a few of those fail that is said, with all that they printed, and they are run
once more with nothing beside or before them: what fails then, too, counts. (Other ROS packages do
so with colcon's --retest-until-pass.)

    python test/side_by_side.py
"""

from collections.abc import Iterable
from concurrent.futures import as_completed, ThreadPoolExecutor
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time

HERE = Path(__file__).parent
FOLDERS = ('training', 'networks', 'ros', 'inference', 'faults')
"""Those that have a process of their own; the rest is one part more."""
ORDER = ('training', 'networks', 'the rest', 'ros', 'faults', 'inference')
"""The longest first: so that two at a time end together."""
AT_ONCE = 2
NETWORK, FEW = ('ros', 'faults', 'training'), 3
"""The parts whose tests are run again where so many or fewer failed."""
LINE = re.compile(r'\b(?P<result>PASSED|FAILED|SKIPPED|ERROR|XFAIL)\b.*\[ *(?P<percent>\d+)%\]')
STEP = 25
"""Per cent between two reports."""
LONGEST, PATIENCE = 3000, 10
"""Seconds after which a process is made to say where it hangs, and to end; and for its output."""


def parts() -> dict[str, list[str]]:
    """Return what each process runs, by name."""
    rest = sorted(str(path) for path in HERE.iterdir() if path.name not in FOLDERS and (
        path.name.startswith('test_') or (path.is_dir() and any(path.rglob('test_*.py')))))
    found = {**{name: [str(HERE / name)] for name in FOLDERS}, 'the rest': rest}
    return {name: found[name] for name in ORDER}


def run(name: str, paths: list[str], longest: float = LONGEST) -> str:
    """Run pytest on files and folders; return what is to be read of it, '' where all is well."""
    process = subprocess.Popen(
        [sys.executable, '-u', '-m', 'pytest', '-v', '--color=no', *paths],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    heard: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=follow, args=(name, process.stdout, heard), daemon=True)
    reader.start()
    try:
        process.wait(longest)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)   # pytest's faulthandler tells where every thread is
    code = process.wait()
    reader.join(PATIENCE)   # a process that a test left behind may hold the pipe open
    return verdict(name, code, heard)


def follow(name: str, lines: Iterable[str], heard: list[str]) -> None:
    """Keep what a process prints; print failures, and every quarter of the way."""
    begin, reported = time.monotonic(), 0
    for line in lines:
        heard.append(line.rstrip('\n'))
        found = LINE.search(line)
        if found and found['result'] in ('FAILED', 'ERROR'):
            print(f'{name}: {line.strip()}', flush=True)
        if found and int(found['percent']) >= reported + STEP:
            reported = int(found['percent']) // STEP * STEP
            print(f'{name}: {reported} % after {time.monotonic() - begin:.0f} s', flush=True)


def verdict(name: str, code: int, heard: list[str]) -> str:
    """Print the end of a process; return all of it from its failures on, '' where it has none."""
    end = heard[-1] if heard else 'it said nothing'
    print(f'{name}: {end}', flush=True)
    if not code:
        return ''
    if code < 0:
        began = [line for line in heard if '::' in line]
        why = f'ended by {signal.Signals(-code).name}, in or after {(began or ["no test"])[-1]}'
        return '\n'.join([f'== {name}: {why}', *heard[-100:]])
    headings = [index for index, line in enumerate(heard)
                if re.fullmatch(r'=+ (FAILURES|ERRORS|short test summary info) =+', line)]
    lines = heard[headings[0]:] if headings else heard[-30:]
    return '\n'.join([f'== {name}: exit code {code}', *lines])


def failed_tests(text: str) -> list[str]:
    """Return the tests that failed by what ``verdict`` returned; none where that is not sure."""
    if not re.match(r'== .*: exit code 1\n', text):
        return []
    _, _, summary = text.rpartition(' short test summary info ')
    lines = re.findall(r'^(?:FAILED|ERROR) .*', summary, re.MULTILINE)
    found = [found[1] for found in re.finditer(
        r'^(?:FAILED|ERROR) (\S+?::[^\s\[]+(?:\[.*?\])?)(?: - .*)?$', summary, re.MULTILINE)]
    counted = sum(int(number) for number in re.findall(
        r'\b(\d+) (?:failed|errors?)\b', text.splitlines()[-1]))
    return sorted(set(found)) if len(found) == len(lines) == counted else []


def again(name: str, text: str) -> str:
    """Run the few tests of a part over the network that failed once more, alone, as ``run``."""
    tests = failed_tests(text)
    if name not in NETWORK or not 0 < len(tests) <= FEW:
        return text
    print(f'{text}\n\nonce more, alone: {", ".join(tests)}', flush=True)
    if said := run(f'{name} once more', tests):
        return said
    print(f'FAILED BESIDE OTHERS, PASSED ALONE: {", ".join(tests)}', flush=True)
    return ''


def main() -> int:
    """Run all tests; return 0 where none failed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(run, name, paths): name for name, paths in parts().items()}
        ended = [(running[done], done.result()) for done in as_completed(running)]
    failed = [text for name, said in ended if said and (text := again(name, said))]
    print('\n\n'.join(failed) or 'all tests passed')
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
