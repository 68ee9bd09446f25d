"""Do every fault many times, keep what was measured, and write the table of docs/reliability.md.

    python test/faults/run_campaign.py [--times 20] [--only WORDS OF A NAME OR FILE]

Exit code 1 where something was wrong, fell, was silent, or came back later than in a second.
"""

import argparse
from contextlib import ExitStack
from importlib import import_module
import json
import math
import os
from pathlib import Path
import sys
import tempfile
import time
import traceback

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / 'results.json'
PAGE = ROOT / 'docs' / 'reliability.md'
BEGIN, END = '<!-- faults: begin, written by make faults -->', '<!-- faults: end -->'
BAD = 'wrong', 'crashes', 'silences'
LIMIT = 1.0
"""Seconds within which good frames must flow again."""


def faults():
    """Return the test functions that are faults, file by file."""
    return [function for path in sorted(HERE.glob('test_*.py'))
            for function in vars(import_module(path.stem)).values() if hasattr(function, 'fault')]


def try_out(function, times):
    """Do a fault many times; return its row."""
    import campaign

    fault, seen = function.fault, ''
    row = {'fault': fault.name, 'injected': fault.injected, 'times': 0, 'outputs': 0,
           'recoveries': [], 'wrong': [], 'crashes': [], 'silences': []}
    fresh = True
    with ExitStack() as stack:
        for _ in range(times):
            if fresh or fault.own:
                stack.close()
                bench = stack.enter_context(campaign.bench(full=True, **fault.parameters))
            bench.begin()
            fresh = False
            try:
                function(bench)
            except AssertionError as error:   # what must be seen was not: in vain waited for it
                row['silences'].append(f'{error}' or traceback.format_exc())
                fresh = True
            row['times'] += max(len(bench.recoveries), 1)
            row['outputs'] += bench.checked
            row['recoveries'] += [round(seconds, 4) for seconds in bench.recoveries]
            row['wrong'] += bench.wrong
            row['crashes'] += filter(None, [bench.crash()])
            row['silences'] += bench.silent()
            seen = bench.seen or seen
    return row | {'seen': seen}


def percentile(values, share):
    """Return the smallest value that at least this share of them does not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)]


def verdict(row):
    """Return what must not be, in a few words; ''."""
    return ', '.join(
        [f'{len(row[name])} {name}' for name in BAD if row[name]]
        + [f'back after {late:.2f} s' for late in row['recoveries'] if late > LIMIT])


def table(rows):
    """Return the table of all rows, and their sum, in Markdown."""
    lines = ['| fault | injected how | times | what was seen | back after: p50 | p95 | outputs '
             'compared | wrong | crashes | silent |', '|---|---|--:|---|--:|--:|--:|--:|--:|--:|']
    for row in rows:
        back = row['recoveries']
        times = [f'{percentile(back, share) * 1000:.0f} ms' if back else '-'
                 for share in (0.5, 0.95)]
        lines.append(f'| {row["fault"]} | {row["injected"]} | {row["times"]} | {row["seen"]} '
                     f'| {" | ".join(times)} | {row["outputs"]} | '
                     + ' | '.join(str(len(row[name])) for name in BAD) + ' |')
    count = {name: sum(len(row[name]) for row in rows) for name in BAD}
    slowest = max((late for row in rows for late in row['recoveries']), default=0.0)
    lines += ['', f'In all: {len(rows)} faults, {sum(row["times"] for row in rows)} injections, '
              f'{sum(row["outputs"] for row in rows)} outputs compared; {count["wrong"]} wrong '
              f'publications, {count["crashes"]} crashes, {count["silences"]} silent states; the '
              f'longest way back took {slowest:.2f} s.']
    return '\n'.join(lines)


def load():
    """Return the rows that were kept, by fault."""
    return {row['fault']: row for row in json.loads(RESULTS.read_text())} if (
        RESULTS.exists()) else {}


def write(row, names):
    """Keep a row, in the order of the names, and put the table into the page."""
    rows = load() | {row['fault']: row}
    kept = [rows[name] for name in names if name in rows]
    RESULTS.write_text(json.dumps(kept, indent=1) + '\n')
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f'{before}{BEGIN}\n{table(kept)}\n{END}{rest.partition(END)[2]}')


def main():
    """Run the campaign; return 0 where all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--times', type=int, default=20, help='how often each fault is done')
    parser.add_argument('--only', default='', help='faults whose name, or file, contains this')
    options = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parent / 'ros')]
    functions = faults()
    names = [function.fault.name for function in functions]
    bad = ''
    with tempfile.TemporaryDirectory() as cache:
        os.environ['DEMT_CACHE'] = cache
        for function in functions:
            name = function.fault.name
            if options.only.lower() not in f'{function.__module__} {name}'.lower():
                continue
            begin = time.monotonic()
            row = try_out(function, options.times)
            trouble = verdict(row)
            bad += trouble
            print(f'{name}: {row["times"]} times in {time.monotonic() - begin:.0f} s: '
                  f'{trouble or "as it must be"}', flush=True)
            write(row, names)
    return int(bool(bad))


if __name__ == '__main__':
    sys.exit(main())
