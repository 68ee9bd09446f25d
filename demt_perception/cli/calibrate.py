"""Fit a model's confidence, and its uncertainty of depth, to labelled pictures.

Confidence is divided out by a temperature and the uncertainty multiplied by a factor, both written
into the graph and onto the card. Neither changes a class or a depth. Take pictures that were
neither trained nor are measured on: by default the split val.
"""

import argparse
from pathlib import Path
import sys

from demt_perception.cli.data import LAYOUT_NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt calibrate``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('model', help='model folder or name; of a run, `demt export` it first')
    parser.add_argument('--data', required=True, metavar='DIR',
                        help='a dataset in any layout, see docs/data.md')
    parser.add_argument('--layout', choices=LAYOUT_NAMES, help='of --data (default: found out)')
    parser.add_argument('--split', help='of the dataset (default: val, where there are splits)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', choices=('semseg', 'depth'),
                        default=[], help='what to fit (default: all that model and data have)')


def run(args: argparse.Namespace) -> int:
    """Fit, write and print what was and what is."""
    import numpy as np
    from tqdm import tqdm

    from demt_perception.inference import find_model
    from demt_perception.model_card import load_card
    from demt_perception.training.calibration import (
        calibrate,
        collector,
        fit_temperature,
        Pixels,
        sureness_of,
    )
    from demt_perception.training.datasets import LAYOUTS
    from demt_perception.training.evaluation.errors import EvaluationError
    from demt_perception.training.evaluation.job import Job, open_job

    folder = Path(find_model(args.model))
    card = load_card(folder)
    layout, split = _split(args)
    able = ('semseg', *(('depth',) if card.uncertainty_factor else ()))
    wanted = tuple(task for task in args.tasks or able if task in card.tasks)
    if not wanted or set(args.tasks) - set(able):
        raise EvaluationError(f'{card.name} has nothing to calibrate of '
                              f'{", ".join(args.tasks) or "semseg, depth"}: depth needs a network '
                              'trained with model_options.uncertainty=true')
    labels_of = LAYOUTS[layout].scan(Path(args.data), split).formats
    wanted = tuple(task for task in wanted if task in labels_of or task in args.tasks)
    opened = open_job(Job(str(folder.resolve()), str(Path(args.data).resolve()), layout, split,
                          wanted or able, 'onnxruntime'))
    add = collector(folder, card, opened.tasks, opened.classes, len(opened.samples))
    pixels = Pixels()
    for index in tqdm(range(len(opened.samples)), unit='image', file=sys.stderr):
        add(opened.samples[index], pixels)
    note: dict = {}
    where = f'{Path(args.data).resolve().name}{f", {split}" if split else ""}'
    temperature = factor = None
    if pixels.labels:
        scores, labels = np.concatenate(pixels.scores), np.concatenate(pixels.labels)
        temperature = fit_temperature(scores, labels)
        before = sureness_of(scores, labels, card.temperature)
        after = sureness_of(scores, labels, temperature)
        note['confidence'] = {'data': where, 'images': pixels.images, 'ece_before': before['ece'],
                              'ece': after['ece'], 'nll_before': before['nll'],
                              'nll': after['nll']}
        print(f'temperature {card.temperature:g} -> {temperature:g}: ECE {before["ece"]:.4f} -> '
              f'{after["ece"]:.4f}, NLL {before["nll"]:.4f} -> {after["nll"]:.4f}')
    if pixels.ratios:
        scale = float(np.concatenate(pixels.ratios).mean())
        factor = float(f'{card.uncertainty_factor * scale:.4g}')
        figures = pixels.before.summary()
        note['uncertainty'] = {'data': where, 'images': pixels.images,
                               'ause_m': figures['ause_m'], 'ause_share': figures['ause_share']}
        print(f'factor {card.uncertainty_factor:g} -> {factor:g}: uncertainty '
              f'{figures["uncertainty_m"]:.2f} m on average -> '
              f'{figures["uncertainty_m"] * factor / card.uncertainty_factor:.2f} m, error '
              f'{figures["error_m"]:.2f} m; AUSE {figures["ause_m"]:.3f} m')
    if not note:
        raise EvaluationError(f'{args.data} has no labelled pixel for {", ".join(wanted)}')
    note = {key: {name: round(value, 4) if isinstance(value, float) else value
                  for name, value in values.items()} for key, values in note.items()}
    card = calibrate(folder, temperature, factor, note)
    print(f'{folder}: graph and card written, sha256 {card.onnx_sha256[:12]}')
    return 0


def _split(args: argparse.Namespace) -> tuple[str, str]:
    """Return layout and split of the data.

    Raises:
        EvaluationError: there is no such split.
        FileNotFoundError: there is no dataset of a known layout.
    """
    from demt_perception.training.datasets import detect_layout, LAYOUTS
    from demt_perception.training.evaluation.errors import EvaluationError

    layout = args.layout or detect_layout(args.data)
    splits = LAYOUTS[layout].splits(Path(args.data))
    wanted = [args.split] if args.split is not None else ['val', '']
    split = next((name for name in wanted if name in splits), None)
    if split is None:
        raise EvaluationError(f'{args.data} ({layout}) has no split '
                              f'{" or ".join(map(repr, wanted))}: give --split with one of '
                              f'{splits}')
    return layout, split
