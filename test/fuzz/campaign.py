"""Run fuzz targets one after another with atheris; count executions by libFuzzer's own numbers.

    python test/fuzz/campaign.py --seconds 60                       # every target
    python test/fuzz/campaign.py --seconds 600 --only 'ONNX file'

What was found to be of interest stays in out/fuzz/corpus and is gone on from. A line of JSON for
each target is added to --json. An input that ends a target is kept in out/fuzz/findings, and the
exit code is 1: mend the parser, and keep the input as a test in test_fuzz_findings.py.
"""

import argparse
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import time

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from all_targets import NAMES

MEMORY_MB, SLOWEST_SECONDS = 2048, 10
"""Of one target, with all that it imports; and of one input."""
GRACE = 60
STATISTIC = re.compile(r'stat::(\w+):\s+(\d+)')


def fuzz(name: str, seconds: int, out: Path) -> dict:
    """Fuzz one target; return its figures."""
    stem = re.sub(r'\W+', '_', name)
    corpus, findings = out / 'corpus' / stem, out / 'findings'
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    memory = Path('/dev/shm')
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(HERE / 'run_target.py'), name, str(corpus),
             f'-max_total_time={seconds}', '-print_final_stats=1',
             f'-rss_limit_mb={MEMORY_MB}', f'-timeout={SLOWEST_SECONDS}', '-verbosity=1',
             f'-artifact_prefix={findings / stem}-'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
            timeout=seconds + GRACE, env={**os.environ, 'TMPDIR': scratch},
            check=False)
        wall = time.monotonic() - started
    statistics = {key: int(value) for key, value in STATISTIC.findall(done.stdout)}
    good = done.returncode == 0 and 'number_of_executed_units' in statistics
    if not good:
        print(done.stdout[-3000:], file=sys.stderr)
    return {'target': name, 'executions': statistics.get('number_of_executed_units', 0),
            'seconds': round(wall, 1), 'peak_mb': statistics.get('peak_rss_mb', 0),
            'slowest_s': statistics.get('slowest_unit_time_sec', 0),
            'corpus': len(list(corpus.iterdir())), 'good': good}


def main() -> int:
    """Run the targets; return 1 where one of them was ended by an input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=int, default=60, help='for each target (default: 60)')
    parser.add_argument('--only', nargs='+', choices=NAMES, default=NAMES, metavar='TARGET')
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'))
    parser.add_argument('--json', type=Path, default=Path('out/fuzz/runs.jsonl'))
    args = parser.parse_args()
    rows = []
    for name in args.only:
        row = fuzz(name, args.seconds, args.out)
        rows.append(row)
        with args.json.open('a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')
        print(f'{name:28} {row["executions"]:>11,} executions  {row["seconds"]:7.1f} s  '
              f'{row["peak_mb"]:5} MB  {row["corpus"]:5} inputs kept  '
              f'{"good" if row["good"] else "FOUND SOMETHING: see " + str(args.out / "findings")}',
              flush=True)
    print(f'{sum(row["executions"] for row in rows):,} executions')
    return int(not all(row['good'] for row in rows))


if __name__ == '__main__':
    sys.exit(main())
