"""Reads what a process holds: memory, threads, file descriptors, time of the processor. Linux."""

from collections import Counter
import os
from pathlib import Path
import re

MB = 1 << 20
_TICK = os.sysconf('SC_CLK_TCK')
_MAPPING = re.compile(r'^[0-9a-f]+-[0-9a-f]+ (?P<rights>\S+) \S+ \S+ \S+ *(?P<name>.*)$')


def figures(pid: int) -> dict[str, float]:
    """Return rss, pss, uss and anonymous memory in MB, threads, descriptors, seconds of CPU.

    Raises:
        OSError: the process is gone.
    """
    rollup = _fields(Path(f'/proc/{pid}/smaps_rollup').read_text())
    status = Path(f'/proc/{pid}/status').read_text()
    # The name of the command, in brackets, may hold blanks.
    times = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return {
        'rss': rollup['Rss'], 'pss': rollup['Pss'],
        'uss': rollup['Private_Clean'] + rollup['Private_Dirty'],
        'anon': rollup['Anonymous'],
        'threads': int(re.search(r'^Threads:\s+(\d+)', status, re.MULTILINE)[1]),
        'fds': len(os.listdir(f'/proc/{pid}/fd')),
        'cpu': (int(times[11]) + int(times[12])) / _TICK,
    }


def mappings(pid: int) -> dict[str, float]:
    """Return the private memory in MB of each file or kind of mapping, the largest 25.

    Of what is not a file, the heap, stacks and other anonymous memory are told apart.

    Raises:
        OSError: the process is gone.
    """
    sums: Counter[str] = Counter()
    name = ''
    for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
        if head := _MAPPING.match(line):
            name = Path(head['name']).name or 'anonymous'
            if head['name'].startswith('/dev/shm/'):
                name = re.sub('[0-9a-f]{8,}', '*', name)
        elif line.startswith(('Private_Clean:', 'Private_Dirty:')):
            sums[name] += int(line.split()[1]) / 1024
    return {key: round(value, 2) for key, value in sums.most_common(25)}


def _fields(text: str) -> dict[str, float]:
    return {key: int(value) / 1024
            for key, value in re.findall(r'^(\w+):\s+(\d+) kB', text, re.MULTILINE)}
