"""Study a dataset or runs.

`demt analyze affinity DIR` counts how far tasks agree, `demt analyze runs RUN...` compares runs.
"""

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from demt_perception.cli.data import LAYOUT_NAMES
from demt_perception.cli.outputs import check_file
from demt_perception.cli.spreading import positive

if TYPE_CHECKING:
    from demt_perception.training.affinity import Affinity
    from demt_perception.training.datasets import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt analyze``."""
    verbs = parser.add_subparsers(dest='action', required=True, metavar='action')
    affinity = verbs.add_parser(
        'affinity', help='how often pairs of pixels alike in one task are alike in another',
        description='Count, as pixels move apart, how often pairs that are alike in one task are '
        'alike in another. The exit code is 1 where a file of the dataset is broken: the rest is '
        'counted all the same.')
    affinity.add_argument('folder', help='the dataset')
    affinity.add_argument('--layout', choices=LAYOUT_NAMES,
                          help='how the folder is laid out (default: found out)')
    affinity.add_argument('--split', help='of the dataset (default: all of them)')
    affinity.add_argument('--limit', type=positive, metavar='N',
                          help='count N images of each split only, evenly spread over it')
    affinity.add_argument('--json', help='write the counts and shares to this file')
    affinity.add_argument('--plot', type=Path, metavar='PNG', help='write the plot to this file')
    affinity.set_defaults(act=analyze_affinity)
    runs = verbs.add_parser(
        'runs', help='training runs beside each other, with Delta_m',
        description='Put the last measurements of training runs into a table: mean and standard '
        'deviation over runs that differ in their seed alone, and Delta_m over the runs among '
        'them that have one task.')
    runs.add_argument('folders', nargs='+', metavar='RUN', help='folder that `demt train` wrote')
    runs.add_argument('--json', help='write the figures of every run to this file')
    runs.set_defaults(act=analyze_runs)


def run(args: argparse.Namespace) -> int:
    """Do the chosen study."""
    check_file('--json', args.json)
    check_file('--plot', getattr(args, 'plot', None), makes_folder=True)
    code: int = args.act(args)
    return code


def analyze_runs(args: argparse.Namespace) -> int:
    """Print the table, write the figures."""
    from dataclasses import asdict

    from demt_perception.training.comparison import compare, table

    rows = compare(args.folders)
    print(table(rows))
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(row) for row in rows], indent=2) + '\n',
                                   encoding='utf-8')
    return 0


def analyze_affinity(args: argparse.Namespace) -> int:
    """Count, print, write and draw."""
    from demt_perception.training.affinity import measure_affinity
    from demt_perception.training.datasets import detect_layout, LAYOUTS
    from demt_perception.training.evaluation import EvaluationError

    layout = args.layout or detect_layout(args.folder)
    module, root = LAYOUTS[layout], Path(args.folder)
    splits = module.splits(root) if args.split is None else [args.split]
    if not set(splits) <= {*module.splits(root)}:
        raise EvaluationError(f'{root} ({layout}) has no split {args.split!r}: want one of '
                              f'{module.splits(root)}')
    listings = [module.scan(root, split) for split in splits]
    tasks = [task for task in listings[0].formats if any(
        task in entry.labels for listing in listings for entry in listing.entries)]
    if len(tasks) < 2:
        raise EvaluationError(f'{root} has labels of {tasks}: want two tasks or more to compare')
    if args.plot:
        import importlib
        importlib.import_module('matplotlib')   # before the work, not after
    problems = [f'{path}: {reason}' for listing in listings for path, reason in listing.absent]
    found = measure_affinity(_samples(listings, layout, args.limit, problems), tasks)
    print(_table(found))
    if args.json:
        Path(args.json).write_text(_document(found, args.folder, layout, splits), encoding='utf-8')
    if args.plot:
        from demt_perception.training.plots.affinity import plot_affinity
        plot_affinity(args.plot, found)
    for problem in problems:
        print(f'left out: {problem}', file=sys.stderr)
    return 1 if problems else 0


def _samples(listings: list, layout: str, limit: int | None,
             problems: list[str]) -> Iterator['Sample']:
    """Yield what can be read; add to the problems what cannot."""
    from dataclasses import replace

    from tqdm import tqdm

    from demt_perception.training.datasets import FileDataset, STRETCHED
    from demt_perception.training.evaluation.shards import choose

    datasets = [FileDataset(replace(listing, absent=[]), resize=layout in STRETCHED)
                for listing in listings if listing.entries]
    chosen = [(dataset, index) for dataset in datasets for index in choose(len(dataset), limit)]
    for dataset, index in tqdm(chosen, unit='image', file=sys.stderr, dynamic_ncols=True):
        try:
            yield dataset[index]
        except (OSError, ValueError) as error:
            problems.append(str(error))


def _table(found: 'Affinity') -> str:
    """Return the shares of matching pairs in percent: a line a pair of tasks."""
    from itertools import combinations

    matching = 100 * found.matching()
    names = [f'{a}, {b}' for a, b in combinations(found.tasks, 2)]
    width = max(map(len, names))
    lines = ['pairs of pixels alike in both tasks or in neither, %',
             f'{"dilation":{width}}' + ''.join(f'{d:7}' for d in found.dilations)]
    for name, (a, b) in zip(names, combinations(range(len(found.tasks)), 2), strict=True):
        lines.append(f'{name:{width}}' + ''.join(f'{v:7.1f}' for v in matching[:, a, b]))
    return '\n'.join(lines)


def _document(found: 'Affinity', folder: str, layout: str, splits: list[str]) -> str:
    from demt_perception.training.evaluation.report import plain

    return json.dumps(plain({
        'tasks': list(found.tasks), 'dilations': list(found.dilations),
        'matching': found.matching().tolist(),
        'similar_given_similar': found.similar_given_similar().tolist(),
        'counts': found.counts.tolist(),
        'conditions': {'dataset': folder, 'layout': layout, 'splits': splits}})) + '\n'
