"""Say what is installed, what works, and what to do about the rest.

Everything is tried for real in a process of its own: engines run a model, ROS 2 carries large
images between two processes. Of the nodes that run, it looks at their domain and quality of
service; with --topic also into an image topic: losses, encoding, calibration. Returns 1 where
something is broken, 0 where all is well or only optional parts are missing.
"""

import argparse
from collections.abc import Callable, Iterator
import json
import sys

from demt_perception.cli import doctor_checks, doctor_ros, doctor_transport
from demt_perception.cli.camera_options import add_rectified
from demt_perception.cli.finding import bad, Finding, Level

CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ('Python', doctor_checks.python),
    ('Packages', doctor_checks.packages),
    ('Processor', doctor_checks.processor),
    ('Models', doctor_checks.models),
    ('Engines', doctor_checks.engines),
    ('ROS 2', doctor_ros.installation),
    ('Transport of large images', doctor_transport.transport),
)
RUNNING = 'Running nodes'
MARKS = {Level.GOOD: ' ok ', Level.NOTE: 'note', Level.BAD: 'BAD '}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt doctor``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('--topic', nargs='+', default=[],
                        help='look only at the running nodes, and into these image topics')
    add_rectified(parser, ' of these topics')
    parser.add_argument('--running', action='store_true',
                        help='look only at the running nodes')
    parser.add_argument('--json', action='store_true', help='print one JSON object at the end')


def run(args: argparse.Namespace) -> int:
    """Print the findings as they come."""
    if args.rectified != 'auto' and not args.topic:
        print(f'demt doctor: --rectified {args.rectified} is of images: give --topic too',
              file=sys.stderr)
        return 2
    broken = 0
    rows = []
    checks = () if args.running or args.topic else CHECKS
    for title, check in (*checks, (
            RUNNING, lambda: doctor_ros.running(args.topic, args.rectified))):
        if not args.json:
            print(title, flush=True)
        for finding in _findings(check):
            broken += finding.level is Level.BAD
            rows.append({'check': title, 'level': finding.level.name.lower(),
                         'text': finding.text, 'remedy': finding.remedy})
            if not args.json:
                _print(finding)
    if args.json:
        print(json.dumps({'broken': broken, 'findings': rows}, indent=1))
    else:
        print(f'{broken} broken: see BAD above' if broken else 'nothing is broken')
    return 1 if broken else 0


def _print(finding: Finding) -> None:
    print(f'  [{MARKS[finding.level]}] {finding.text}', flush=True)
    if finding.remedy:
        print(f'         -> {finding.remedy}', flush=True)


def _findings(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check, also where a package that it needs is broken."""
    try:
        yield from check()
    except ImportError as error:
        yield bad(f'cannot be checked: {error}', 'mend the packages above first')
