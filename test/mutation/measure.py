"""`make mutation`: do the tests notice when a line of the arithmetic is wrong?

mutmut changes the files named under [tool.mutmut] of pyproject.toml in one place at a time (a
mutant) and runs the tests that reach the changed function; a test that fails kills the mutant.
All of it happens in a copy of the tree, out/mutation: no mutant ever stands here.

Results: out/mutation/table.md, and survivors.txt with the difference that each survivor makes.
"""

import argparse
import json
import os
from pathlib import Path
import random
import shutil
import subprocess
import sys

import yaml

ROOT = Path(__file__).parents[2]
COPY = ROOT / 'out' / 'mutation' / 'tree'
WANTED = 0.8
PARTS = {'conversions': ('ros/', 'inference/preprocess', 'inference/resize'),
         'postprocess': ('inference/',), 'metrics': ('training/metrics/',),
         'losses': ('training/losses/',)}
KILLED = {1, 3, 24, 36, 152}   # exit codes: failed, out of time; below 0: crashed


def main() -> int:
    """Measure, write the results, and return 1 where too few mutants were killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--most', type=int, default=25, help='mutants of each file; 0: all')
    parser.add_argument('--seed', type=int, default=8, help='draws them')
    parser.add_argument('--only', default='', help='files whose path contains this')
    parser.add_argument('--jobs', type=int, default=1, help='mutants tested at a time')
    options = parser.parse_args()
    copy_tree()
    os.chdir(COPY)
    names = list_mutants(options.only)
    draw = random.Random(options.seed)
    tried = {path: sorted(draw.sample(all_, min(options.most or len(all_), len(all_))))
             for path, all_ in names.items()}
    run(sorted(name for some in tried.values() for name in some), options.jobs)
    table, survivors, share = judge(names, tried)
    (COPY.parent / 'table.md').write_text(table)
    (COPY.parent / 'survivors.txt').write_text(survivors)
    print(table)
    print(f'{COPY.parent.relative_to(ROOT)}/survivors.txt shows what was not noticed')
    if share < WANTED:
        print(f'{share:.1%} of the mutants were killed, want {WANTED:.0%}: write tests that '
              'survivors.txt asks for, or name mutants that change nothing in equivalent.yaml',
              file=sys.stderr)
        return 1
    return 0


def copy_tree() -> None:
    """Copy what the tests need."""
    shutil.rmtree(COPY, ignore_errors=True)
    skipped = shutil.ignore_patterns('__pycache__', '*.pyc')
    for name in ('demt_perception', 'test', 'config'):
        shutil.copytree(ROOT / name, COPY / name, ignore=skipped)
    for name in ('pyproject.toml', 'setup.cfg'):
        shutil.copy2(ROOT / name, COPY)


def list_mutants(only: str) -> dict[str, list[str]]:
    """Make all mutants, as `mutmut run` does first; return their names by the file's path."""
    from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
    from mutmut.utils.file_utils import walk_mutatable_files

    copy_src_dir()
    copy_also_copy_files()
    create_mutants(1)
    made = {str(path): list(exit_codes(path)) for path in sorted(walk_mutatable_files())
            if only in str(path)}
    return {path: names for path, names in made.items() if names}


def exit_codes(path: str | Path) -> dict[str, int | None]:
    """Return how the tests of each mutant of a file ended; None where they were not run."""
    codes: dict[str, int | None] = json.loads(
        Path('mutants', f'{path}.meta').read_text())['exit_code_by_key']
    return codes


def run(names: list[str], jobs: int) -> None:
    """Run mutmut on these mutants."""
    command = [sys.executable, '-c', 'from mutmut.__main__ import cli; cli()', 'run',
               '--max-children', str(jobs), *names]
    subprocess.run(command, check=True, env={
        **os.environ, 'OMP_NUM_THREADS': '1', 'HYPOTHESIS_PROFILE': 'mutation'})


def judge(names: dict[str, list[str]], tried: dict[str, list[str]]) -> tuple[str, str, float]:
    """Return the table, the differences that survivors make, and the share that was killed."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    known = {(entry['file'], ' '.join(entry['was'].split()), ' '.join(entry['is'].split()))
             for entry in yaml.safe_load((Path(__file__).parent / 'equivalent.yaml').read_text())}
    rows: dict[str, list[list[int]]] = {part: [] for part in PARTS}
    lines = ['| File | Mutants | Tried | Killed | Equivalent | Survived | Score |',
             '| --- | --: | --: | --: | --: | --: | --: |']
    shown = []
    for path, all_ in names.items():
        codes = exit_codes(path)
        killed = equivalent = 0
        for name in tried[path]:
            if codes[name] in KILLED or (codes[name] or 0) < 0:
                killed += 1
                continue
            difference = get_diff_for_mutant(name, path=path)
            if (path.removeprefix('demt_perception/'), *changed(difference)) in known:
                equivalent += 1
            else:
                shown.append(f'# {name}: exit code {codes[name]}\n{difference}\n')
        part = next(part for part, starts in PARTS.items()
                    if path.removeprefix('demt_perception/').startswith(starts))
        rows[part].append([len(all_), len(tried[path]), killed, equivalent])
        lines.append(row(f'`{path.removeprefix("demt_perception/")}`', rows[part][-1]))
    total = [0] * 4
    for part, counts in rows.items():
        sums = [sum(column) for column in zip(*counts, strict=True)] or [0] * 4
        total = [a + b for a, b in zip(total, sums, strict=True)]
        lines.append(row(f'**{part}**', sums))
    lines.append(row('**all**', total))
    return '\n'.join(lines) + '\n', '\n'.join(shown), total[2] / max(total[1] - total[3], 1)


def changed(difference: str) -> tuple[str, str]:
    """Return what the lines of a difference said before and after, without their indentation."""
    body = difference.splitlines()[3:]
    return (' '.join(' '.join(line[1:] for line in body if line.startswith('-')).split()),
            ' '.join(' '.join(line[1:] for line in body if line.startswith('+')).split()))


def row(name: str, counts: list[int]) -> str:
    """Return a row of the table: the score leaves out what is equivalent."""
    made, tried, killed, equivalent = counts
    score = f'{killed / (tried - equivalent):.1%}' if tried > equivalent else '-'
    return (f'| {name} | {made} | {tried} | {killed} | {equivalent} | '
            f'{tried - killed - equivalent} | {score} |')


if __name__ == '__main__':
    sys.exit(main())
