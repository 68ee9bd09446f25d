"""Asks the package index which pinned packages have known vulnerabilities: `make audit`.

Exit code 0: every pin was looked up, and nothing is known but what advisories.txt accepts;
1: something is known; 3: not everything could be looked up (no network, an index without
advisories). Silence is never taken for health: pip-audit itself ends with 0 where it could look
up nothing at all.
"""

from collections.abc import Iterable
import json
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

FOLDER = Path(__file__).resolve().parent
KNOWN, UNSEEN = 1, 3


def accepted(lines: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return pin and reason by advisory, of the lines of advisories.txt.

    Raises:
        ValueError: a line is not `ID package==version reason`.
    """
    found = {}
    for line in lines:
        if line.strip() and not line.startswith('#'):
            match = re.fullmatch(r'(\S+-\S+)\s+(\S+==\S+)\s+(\S.*)', line.strip())
            if match is None:
                raise ValueError(f'advisories.txt: {line!r}, want: ID package==version reason')
            found[match[1]] = match[2], match[3]
    return found


def judge(report: dict[str, Any], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return a line for every advisory that nobody has accepted, and the packages not looked up.

    Args:
        report: what `pip-audit -f json` says.
        known: ids of accepted advisories; an alias of one counts as well.
    """
    known, lines, unseen = set(known), [], []
    for package in report['dependencies']:
        if 'skip_reason' in package:
            unseen.append(package['name'])
        for flaw in package.get('vulns', ()):
            if not known & {flaw['id'], *flaw.get('aliases', ())}:
                cure = ', '.join(flaw.get('fix_versions') or ['no version yet'])
                lines.append(f'{package["name"]} {package["version"]}: {flaw["id"]}, fixed in '
                             f'{cure}')
    return lines, unseen


def main(program: str) -> int:
    """Run pip-audit on every pin; print what it found; return the exit code."""
    known = accepted((FOLDER / 'advisories.txt').read_text(encoding='utf-8').splitlines())
    # No resolution, no installation: constraints.txt has every pin, transitive ones too.
    done = subprocess.run(
        [program, '-r', str(FOLDER / 'constraints.txt'), '--no-deps', '--disable-pip', '-f',
         'json', '--desc', 'off', '--progress-spinner', 'off', '--timeout', '10'],
        capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f'audit: NOT DONE: pip-audit ended with {done.returncode}:\n'
              + '\n'.join(done.stderr.splitlines()[-5:]))
        return UNSEEN
    lines, unseen = judge(report, known)
    for line in lines:
        print(f'audit: {line}')
    if lines:
        print('audit: KNOWN VULNERABILITIES: pin the fixed versions in constraints.txt and run '
              '`make lock`, or accept an advisory with a reason in advisories.txt')
    if unseen:
        print(f'audit: NOT LOOKED UP: {len(unseen)} of {len(report["dependencies"])} packages '
              f'({", ".join(unseen[:3])} ...): the index answers no questions about them')
    if not lines and not unseen:
        print(f'audit: nothing known of {len(report["dependencies"])} packages '
              f'({len(known)} advisories accepted)')
    return KNOWN if lines else UNSEEN if unseen else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
