"""Look after training data: `demt data check DIR` judges every file of a dataset."""

import argparse
import sys

LAYOUT_NAMES = ('nyud', 'pascal', 'camvid', 'rendered', 'folder')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt data``."""
    verbs = parser.add_subparsers(dest='action', required=True, metavar='action')
    check = verbs.add_parser(
        'check', help='open every file and report every problem',
        description='Open every picture and label of a dataset and report each problem with '
        'file and reason, then what the dataset holds. The exit code is 1 where a problem is '
        'found.')
    check.add_argument('folder', help='the dataset')
    check.add_argument('--layout', choices=LAYOUT_NAMES,
                       help='how the folder is laid out (default: found out)')


def run(args: argparse.Namespace) -> int:
    """Check a dataset; return 1 where a problem is found."""
    from pathlib import Path

    from demt_perception.training.datasets import detect_layout
    from demt_perception.training.datasets.check import check_dataset

    if not Path(args.folder).is_dir():
        raise FileNotFoundError(f'{args.folder} is not a folder')
    layout = args.layout or detect_layout(args.folder)
    problems, summaries = check_dataset(args.folder, layout, _show_progress)
    for path, reason in problems:
        print(f'{path}: {reason}')
    for split, summary in summaries.items():
        print(f'\n{layout}{f", {split}" if split else ""}: ' + '\n'.join(summary.lines()))
    print(f'\n{len(problems) or "no"} problem{"" if len(problems) == 1 else "s"}')
    return 1 if problems else 0


def _show_progress(done: int, total: int) -> None:
    """Keep one line of the terminal up to date; in a log it would be noise."""
    if sys.stderr.isatty():
        print(f'\r{done} of {total} pictures', end='\n' if done == total else '', file=sys.stderr,
              flush=True)
