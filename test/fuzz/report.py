"""Write the table of fuzzing in docs/reliability.md, and results.json, of what was counted.

    python test/fuzz/report.py out/fuzz/runs.jsonl
"""

from importlib.metadata import version
import json
from pathlib import Path
import platform
import re
import sys

HERE = Path(__file__).parent
PAGE, RESULTS = HERE.parents[1] / 'docs' / 'reliability.md', HERE / 'results.json'
BEGIN, END = '<!-- fuzzing: begin, written by test/fuzz/report.py -->', '<!-- fuzzing: end -->'
PACKAGES = ('atheris', 'hypothesis', 'opencv-python-headless', 'numpy', 'torch', 'PyYAML')


def summed(rows: list[dict]) -> dict[str, dict]:
    """Return the figures of each target over its runs."""
    sums: dict[str, dict] = {}
    for row in rows:
        one = sums.setdefault(row['target'], {
            'executions': 0, 'seconds': 0.0, 'peak_mb': 0, 'runs': 0, 'ended_by_an_input': 0})
        one['executions'] += row['executions']
        one['seconds'] = round(one['seconds'] + row['seconds'], 1)
        one['runs'] += 1
        one['ended_by_an_input'] += not row['good']
        one.update({key: row[key] for key in ('peak_mb', 'slowest_s', 'corpus')})
        one['last_run_good'] = row['good']
    return sums


def table(sums: dict[str, dict]) -> str:
    """Return the table in Markdown."""
    lines = ['| target | executions | time | runs ended by an input | memory | inputs kept |',
             '|---|--:|--:|--:|--:|--:|']
    for name, one in sorted(sums.items(), key=lambda pair: pair[0].lower()):
        lines.append(f'| {name} | {one["executions"]:,} | {one["seconds"]:.0f} s | '
                     f'{one["ended_by_an_input"]} of {one["runs"]} | {one["peak_mb"]} MB | '
                     f'{one["corpus"]} |')
    total = sum(one['executions'] for one in sums.values())
    seconds = sum(one['seconds'] for one in sums.values())
    last = sum(one['last_run_good'] for one in sums.values())
    return '\n'.join([*lines, '', f'In all: {len(sums)} targets, **{total:,} executions** in '
                      f'{seconds / 3600:.1f} hours; the last run of {last} of {len(sums)} targets '
                      'found nothing.'])


def main() -> None:
    """Write both."""
    rows = [json.loads(line) for path in sys.argv[1:]
            for line in Path(path).read_text(encoding='utf-8').splitlines()]
    sums = summed(rows)
    RESULTS.write_text(json.dumps({
        'python': platform.python_version(),
        'packages': {name: version(name) for name in PACKAGES},
        'executions': sum(one['executions'] for one in sums.values()), 'targets': sums,
    }, indent=1) + '\n', encoding='utf-8')
    text = PAGE.read_text(encoding='utf-8')
    assert BEGIN in text and END in text, f'{PAGE} lacks the marks {BEGIN} and {END}'
    PAGE.write_text(re.sub(f'{re.escape(BEGIN)}.*{re.escape(END)}', lambda _: '\n'.join(
        [BEGIN, table(sums), END]), text, flags=re.DOTALL), encoding='utf-8')


if __name__ == '__main__':
    main()
