"""Say what is installed, what works, and what to do about the rest.

Everything is tried for real in a process of its own: engines run a model, ROS 2 carries large
images between two processes. Returns 1 where something is broken, 0 where all is well or only
optional parts are missing.
"""

import argparse
from collections.abc import Callable, Iterator

from demt_perception.cli import doctor_checks, doctor_ros
from demt_perception.cli.finding import bad, Finding, Level

CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ('Python', doctor_checks.python),
    ('Packages', doctor_checks.packages),
    ('Processor', doctor_checks.processor),
    ('Models', doctor_checks.models),
    ('Engines', doctor_checks.engines),
    ('ROS 2', doctor_ros.installation),
    ('Transport of large images', doctor_ros.transport),
)
MARKS = {Level.GOOD: ' ok ', Level.NOTE: 'note', Level.BAD: 'BAD '}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt doctor``: none."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Print the findings as they come."""
    broken = 0
    for title, check in CHECKS:
        print(title, flush=True)
        for finding in _findings(check):
            broken += finding.level is Level.BAD
            print(f'  [{MARKS[finding.level]}] {finding.text}', flush=True)
            if finding.remedy:
                print(f'         -> {finding.remedy}', flush=True)
    print(f'{broken} broken: see BAD above' if broken else 'nothing is broken')
    return 1 if broken else 0


def _findings(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check, also where a package that it needs is broken."""
    try:
        yield from check()
    except ImportError as error:
        yield bad(f'cannot be checked: {error}', 'mend the packages above first')
