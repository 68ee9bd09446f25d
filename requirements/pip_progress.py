"""Runs `pip install` with a one-line progress bar; the full log goes to a file.

Usage: python pip_progress.py LOG EXPECTED pip-install-arguments...
EXPECTED is the rough number of packages: it only scales the bar.
"""

import re
import subprocess
import sys
import time

WIDTH = 30
STEPS = ('Collecting ', 'Processing ', 'Requirement already satisfied: ')


def show(done: int, expected: int, text: str, began: float) -> None:
    """Draw the bar on a terminal; elsewhere print a line now and then."""
    share = min(done / expected, 1.0)
    bar = '#' * int(share * WIDTH)
    line = f'  [{bar:<{WIDTH}}] {share:4.0%} {time.monotonic() - began:4.0f} s  {text}'
    if sys.stdout.isatty():
        print(f'\r{line[:100]:<100}', end='', flush=True)
    elif done % 20 == 0:
        print(line, flush=True)


def main(log_path: str, expected: int, arguments: list[str]) -> int:
    """Run pip, follow its output, and show the log's end where it fails."""
    began = time.monotonic()
    done = 0
    command = [sys.executable, '-m', 'pip', 'install', '--disable-pip-version-check',
               '--no-input', '--progress-bar', 'off', *arguments]
    with open(log_path, 'w', encoding='utf-8') as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace') as pip:
        assert pip.stdout is not None
        seen = set()
        for line in pip.stdout:
            log.write(line)
            name = line.split()[1] if line.startswith(STEPS[:2]) else ''
            if line.startswith(STEPS[2]):
                name = line[len(STEPS[2]):].split()[0]
            if name and name not in seen:
                seen.add(name)
                done += 1
                name = re.split(r'[=~<>!]|-\d', name.rsplit('/', 1)[-1])[0]
                show(min(done, expected - 1), expected, name, began)
            elif line.startswith('Installing collected packages'):
                show(expected - 1, expected, 'unpacking', began)
    if pip.returncode == 0:
        show(expected, expected, 'done', began)
    if sys.stdout.isatty():
        print()
    if pip.returncode:
        with open(log_path, encoding='utf-8') as log:
            print(''.join(log.readlines()[-25:]))
        print(f'pip failed; the whole log is {log_path}')
    return pip.returncode


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], max(int(sys.argv[2]), 1), sys.argv[3:]))
