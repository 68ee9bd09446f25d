"""Measure which lines and branches of the node the tests run, in all processes that they start.

Not part of `make test`: everything takes a third longer when each line is noted.

    python test/measure_coverage.py [files and folders of tests]
"""

from collections.abc import Mapping
import json
from pathlib import Path
import subprocess
import sys
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OUT = Path('out/coverage')
"""As pyproject.toml has it, relative to the root."""
PARTS = ('ros', 'inference', 'bags')
LIMIT = 90.0
"""Per cent of the lines, and of the branches, of each part."""
TESTS = ('bags', 'launch', 'bench', 'view', 'inference', 'ros', 'faults', 'soak', 'cli')
"""Folders that exercise the parts; one process each, so that one that dies takes little along."""


class Share(NamedTuple):
    """How much of something was run."""

    run: int
    there: int

    @property
    def percent(self) -> float:
        return 100 * self.run / self.there if self.there else 100.0

    def __str__(self) -> str:
        return f'{self.percent:.1f} % of {self.there}'


def shares(files: Mapping[str, Any], part: str) -> tuple[Share, Share]:
    """Return the shares of lines and of branches of one part, of coverage.py's JSON report."""
    sums = [entry['summary'] for path, entry in files.items()
            if Path(path).is_relative_to(Path('demt_perception', part))]

    def total(run: str, there: str) -> Share:
        return Share(sum(values[run] for values in sums), sum(values[there] for values in sums))

    return (total('covered_lines', 'num_statements'), total('covered_branches', 'num_branches'))


def table(files: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the table as Markdown, and a line for each share that is too small."""
    lines, wanting = ['| part | lines run | branches taken |', '|---|---|---|'], []
    for part in PARTS:
        both = shares(files, part)
        lines.append(f'| `{part}/` | {both[0]} | {both[1]} |')
        for kind, share in zip(('lines', 'branches'), both, strict=True):
            if not share.there or share.percent < LIMIT:
                wanting.append(f'{part}/: {share} {kind}, want {LIMIT:.0f} %')
    return '\n'.join(lines), wanting


def coverage(*arguments: object) -> int:
    """Run coverage.py in the root; return its exit code."""
    return subprocess.run([sys.executable, '-m', 'coverage', *map(str, arguments)],
                          cwd=ROOT).returncode


def main(tests: list[str]) -> int:
    """Run tests, print what they leave out and the table; return 0 where that is good enough."""
    (ROOT / OUT).mkdir(parents=True, exist_ok=True)
    coverage('erase')
    chosen = tests or [f'test/{name}' for name in TESTS if (ROOT / 'test' / name).is_dir()]
    failed = [path for path in chosen if coverage('run', '-m', 'pytest', '-q', path)]
    report = ROOT / OUT / 'report.json'
    if coverage('combine', '-q') or coverage('json', '-q', '-o', report):
        return 1
    coverage('report', '--show-missing', '--skip-covered')
    text, wanting = table(json.loads(report.read_text())['files'])
    print(text)
    wanting += [f'{path}: tests failed' for path in failed]
    print('\n'.join(wanting), file=sys.stderr)
    return int(bool(wanting))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
