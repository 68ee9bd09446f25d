"""Measure a model folder on labelled data, through the node's Predictor.

--data: every task that both model and dataset have, at the size of the labels, as
docs/evaluation.md defines. The exit code is 1 where a file of the dataset is broken, unless
--skip-broken is given: the rest is measured all the same.
--video: how steady the model is from frame to frame. --stereo: its depth against that of real
stereo pairs. --pictures: no figures, but a sheet to look at.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
import json
import math
from pathlib import Path
import sys
import textwrap
from typing import Any, TYPE_CHECKING

from demt_perception.cli.data import LAYOUT_NAMES
from demt_perception.cli.engine_choice import add_engine
from demt_perception.cli.eval_pictures import run_pictures
from demt_perception.cli.eval_stereo import run_stereo
from demt_perception.cli.eval_video import run_video
from demt_perception.cli.input_size import add_input_size
from demt_perception.cli.outputs import check_file, check_folder
from demt_perception.cli.spreading import add_spreading, positive

if TYPE_CHECKING:
    from demt_perception.training.evaluation import Job, Tally
    from demt_perception.training.evaluation.job import Opened


# The options that not all modes take, and which do; 'card' is --camvid and --rendered.
ONLY = {
    'layout': ('data',), 'split': ('data', 'card'), 'tasks': ('data',),
    'limit': ('data', 'video', 'stereo', 'pictures'), 'json': ('data', 'video', 'stereo', 'card'),
    'plots': ('data', 'video'), 'sheet': ('video', 'stereo', 'pictures'), 'against': ('video',),
    'fx': ('video', 'pictures'), 'single_task': ('data',), 'skip_broken': ('data',),
    'write_card': ('data', 'card'), 'processes': ('data',), 'ray': ('data',)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt eval``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('model', help='model folder or name')
    parser.add_argument('--data', metavar='DIR', help='a dataset in any layout, see docs/data.md')
    parser.add_argument('--video', metavar='PATH', help='a video file, or a folder of frames')
    parser.add_argument('--stereo', metavar='DIR', help='rectified stereo pairs, calibrated')
    parser.add_argument('--pictures', metavar='PATH', nargs='+', type=Path,
                        help='image files, or folders of them; with --sheet')
    parser.add_argument('--layout', choices=LAYOUT_NAMES, help='of --data (default: found out)')
    parser.add_argument('--split', help='of the dataset (default: test, or else val)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', default=[],
                        help='to measure (default: all that model and dataset have)')
    parser.add_argument('--limit', type=positive, metavar='N',
                        help='measure N images only, evenly spread over the set; of a video, '
                        'its first N frames')
    add_engine(parser)
    parser.add_argument('--json', help='write the figures to this file')
    parser.add_argument('--plots', type=Path, metavar='DIR', help='write plots to this folder')
    parser.add_argument('--sheet', metavar='PNG', help='write pictures: the worst frames of a '
                        'video, pairs with their errors, or all --pictures')
    parser.add_argument('--against', metavar='MODEL', help='another model beside it (--video)')
    parser.add_argument('--fx', type=_pixels, help='focal length in pixels of the frames or '
                        'pictures (default: the field of view that the card assumes)')
    add_input_size(parser)
    parser.add_argument('--single-task', nargs='+', metavar='JSON', default=[],
                        help='figures of single-task models (from --json): print Delta_m')
    parser.add_argument('--skip-broken', action='store_true',
                        help='exit with 0 in spite of broken files')
    parser.add_argument('--write-card', action='store_true',
                        help='write the figures into the model card')
    add_spreading(parser)
    parser.add_argument('--camvid', metavar='DIR', help='only the figures of the shipped card: '
                        'folder of CamVid in the SegNet layout')
    parser.add_argument('--rendered', metavar='DIR', help='the same: folder of `demt generate`')


def run(args: argparse.Namespace) -> int:
    """Measure, print and write what is asked for."""
    from demt_perception.inference.memory import keep_freed_memory

    keep_freed_memory()
    asked = {mode: run for mode, wanted, run in (
        ('data', args.data, _run_data), ('card', args.camvid or args.rendered, _run_card),
        ('video', args.video, run_video), ('stereo', args.stereo, run_stereo),
        ('pictures', args.pictures, run_pictures)) if wanted}
    if len(asked) != 1:
        print('demt eval: give --data DIR, or else --video, --stereo, --pictures, or --camvid or '
              '--rendered', file=sys.stderr)
        return 2
    (mode, run_mode), = asked.items()
    if strange := [f'--{name}'.replace('_', '-') for name, modes in ONLY.items()
                   if mode not in modes and getattr(args, name) not in ([], False)
                   and getattr(args, name) != (1 if name == 'processes' else None)]:
        shown = '--camvid and --rendered do' if mode == 'card' else f'--{mode} does'
        print(f'demt eval: {shown} not take {", ".join(strange)}: leave it out', file=sys.stderr)
        return 2
    if mode == 'card' and args.input_size[1]:
        print('demt eval: --camvid and --rendered have pictures of two shapes: give --input-size '
              'HEIGHTxWIDTH, not auto', file=sys.stderr)
        return 2
    if bool(args.pictures) > bool(args.sheet):
        print('demt eval: --pictures makes a sheet of them: give --sheet PNG', file=sys.stderr)
        return 2
    if mode == 'card' and args.split and not args.camvid:
        print(f'demt eval: --rendered has no split {args.split!r}: leave --split out',
              file=sys.stderr)
        return 2
    check_file('--json', args.json)
    check_file('--sheet', args.sheet, makes_folder=True)
    check_folder('--plots', args.plots)
    return run_mode(args)


def _pixels(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text}: want a number of pixels above 0')
    return value


def _run_data(args: argparse.Namespace) -> int:
    from demt_perception.training.evaluation.gain import gain, read_single
    from demt_perception.training.evaluation.job import open_job
    from demt_perception.training.evaluation.report import (
        document,
        figures_of,
        main_figures,
        table,
    )

    job = _job(args)
    opened = open_job(job)
    single = read_single(args.single_task, opened.tasks) if args.single_task else {}
    if args.plots:
        import importlib
        importlib.import_module('matplotlib')   # before the work, not after
    tally = _measure(job, args)
    content = document(job, tally)
    if single:
        content['delta_m'] = gain(main_figures(tally), single)
    print(f'{opened.predictor.card.name} on {job.root} ({job.layout}'
          f'{f", {job.split}" if job.split else ""}), {opened.predictor.engine.name}')
    print(table(figures_of(tally)))
    for task, values in content['iou'].items():
        shown = ', '.join(f'{name} {v:.3f}' for name, v in values.items() if v is not None)
        print('\n'.join(textwrap.wrap(f'{task} IoU: {shown}', 99, subsequent_indent='  ')))
    if single:
        print(f'Delta_m {100 * content["delta_m"]:+.2f} % against '
              f'{", ".join(args.single_task)}')
    if args.json:
        Path(args.json).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    if args.write_card:
        _write_card(opened.predictor.folder, {
            f'eval_{Path(job.root).resolve().name}{f"_{job.split}" if job.split else ""}':
            {'images': tally.images, **_rounded(content['figures'])}})
    if args.plots:
        from demt_perception.training.plots.evaluation import plot_evaluation
        print(f'{len(plot_evaluation(args.plots, opened, tally))} plots in {args.plots}')
    others = len(opened.listing.problems)
    for line in _remarks(job, opened, tally):
        print(line, file=sys.stderr)
    if others:
        print(f'{others} other problem{"s" if others > 1 else ""}, such as missing labels: see '
              '`demt data check`', file=sys.stderr)
    return _tell_broken(tally, args.skip_broken)


def _remarks(job: 'Job', opened: 'Opened', tally: 'Tally') -> Iterator[str]:
    """Yield what makes the figures other than they look."""
    from demt_perception.training.evaluation.selection import was_chosen_by

    if tally.assumed and 'depth' in opened.tasks:
        card = opened.predictor.card
        yield (f'{tally.assumed} of {tally.images} pictures have no focal length: assumed were '
               f'{card.assumed_hfov:g} degrees of view, by which their depth is right or wrong')
    if was_chosen_by(opened.predictor.folder, job.root, job.split):
        yield (f'{Path(job.root).name}{f", {job.split}" if job.split else ""} is validation data '
               'of the run: the weights may have been chosen by these pictures, and other ones '
               'will come out worse; measure on a split of its own')


def _job(args: argparse.Namespace) -> 'Job':
    """Return what the arguments ask for.

    Raises:
        EvaluationError: there is no such split.
        FileNotFoundError: there is no dataset of a known layout.
    """
    import os

    from demt_perception.inference import find_model
    from demt_perception.training.datasets import detect_layout, LAYOUTS
    from demt_perception.training.evaluation import EvaluationError, Job

    layout = args.layout or detect_layout(args.data)
    splits = LAYOUTS[layout].splits(Path(args.data))
    wanted = [args.split] if args.split is not None else ['test', 'val', '']
    split = next((name for name in wanted if name in splits), None)
    if split is None:
        raise EvaluationError(
            f'{args.data} ({layout}) has no split {" or ".join(map(repr, wanted))}: give --split '
            f'with one of {splits}')
    # On Ray a shard has a core; here the processes share all of them.
    threads = 1 if args.ray else 0 if args.processes == 1 else max(
        1, (os.cpu_count() or 1) // args.processes)
    return Job(str(Path(find_model(args.model)).resolve()), str(Path(args.data).resolve()),
               layout, split, tuple(args.tasks), args.engine, threads, args.input_size[0],
               args.input_size[1], args.precision)


def _measure(job: 'Job', args: argparse.Namespace) -> 'Tally':
    from tqdm import tqdm

    from demt_perception.training.evaluation.job import open_job
    from demt_perception.training.evaluation.shards import choose, measure

    indices = choose(len(open_job(job).samples), args.limit)
    with tqdm(total=len(indices), unit='image', file=sys.stderr, dynamic_ncols=True) as bar:
        return measure(job, indices, args.processes, args.ray, bar.update)


def _tell_broken(tally: 'Tally', skip: bool) -> int:
    for broken in tally.broken:
        print(f'left out: {broken.reason}', file=sys.stderr)
    if tally.broken:
        count = len(tally.broken)
        print(f'{count} broken picture{"s" if count > 1 else ""} left out, {tally.images} '
              'measured; `demt data check` tells more', file=sys.stderr)
    return 1 if tally.broken and not skip else 0


def _run_card(args: argparse.Namespace) -> int:
    """Print and write the figures that the shipped model's card has."""
    from demt_perception.inference import find_model, Predictor
    from demt_perception.training.datasets import Rendered
    from demt_perception.training.evaluation import evaluate_camvid, evaluate_rendered

    folder = find_model(args.model)
    predictor = Predictor(folder, args.engine, input_size=args.input_size[0],
                          precision=args.precision)
    figures: dict = {}
    if args.rendered:
        Rendered(args.rendered)   # whether it is there is said before CamVid is measured
    if args.camvid:
        split = args.split or 'test'
        figures[f'camvid_{split}'] = evaluate_camvid(predictor, args.camvid, split)
    if args.rendered:
        figures['rendered_held_out'] = evaluate_rendered(predictor, args.rendered)
    figures = _rounded(figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + '\n', encoding='utf-8')
    if args.write_card:
        _write_card(folder, figures)
    return 0


def _write_card(folder: Path, figures: dict) -> None:
    from demt_perception.model_card import load_card, save_card

    card = load_card(folder)
    save_card(replace(card, metrics={**card.metrics, **figures}), folder)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value
