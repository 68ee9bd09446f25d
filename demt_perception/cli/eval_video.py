"""``demt eval --video``: how steady a model is from frame to frame."""

import argparse
from collections.abc import Mapping
from itertools import chain, islice
import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from demt_perception.cli.input_size import size_options
from demt_perception.cli.sampling import recorded_frames

if TYPE_CHECKING:

    from demt_perception.training.evaluation.steadiness import Steadiness


def run_video(args: argparse.Namespace) -> int:
    """Measure on a video, print, and write what is asked for."""
    from tqdm import tqdm

    from demt_perception.inference import Predictor
    from demt_perception.training.evaluation.report import conditions_of, plain
    from demt_perception.training.evaluation.steadiness import measure_steadiness, NOISE, WIDTH

    if args.plots:
        import importlib
        importlib.import_module('matplotlib')   # before the work, not after
    frames = islice((picture for _, picture in recorded_frames(args.video)), args.limit)
    first = next(frames)   # a source without any frame says so itself
    size = size_options(args.input_size, lambda: first.shape[:2])
    models: dict[str, Predictor] = {}
    for model in [args.model, *([args.against] if args.against else [])]:
        predictor = Predictor(model, args.engine, precision=args.precision, **size)
        name = predictor.card.name
        models[f'{name} (2)' if name in models else name] = predictor
    focal = None if args.fx is None else (args.fx, args.fx)
    with tqdm(unit='frame', file=sys.stderr, dynamic_ncols=True) as bar:
        found = measure_steadiness(models, chain([first], frames), focal, bar.update)
    print(f'{" against ".join(models)} on {args.video}, {bar.n} frames, {predictor.engine.name}')
    print(_table(found))
    if args.json:
        content = plain({
            'figures': {name: steadiness.figures() for name, steadiness in found.items()},
            'frames': {name: steadiness.frames for name, steadiness in found.items()},
            'conditions': {
                'video': str(Path(args.video).resolve()), 'frames': bar.n, 'focal': focal,
                'compared_at_width': WIDTH, 'noise_grey_levels': NOISE,
                'models': {name: conditions_of(model) for name, model in models.items()}}})
        Path(args.json).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    if args.plots:
        from demt_perception.training.plots.steadiness import plot_steadiness
        print(f'{len(plot_steadiness(args.plots, found))} plots in {args.plots}')
    if args.sheet:
        from demt_perception.training.plots.picture import write_picture
        from demt_perception.training.plots.steadiness import worst_frames
        write_picture(args.sheet, worst_frames(next(iter(found.values()))))
    return 0


def _table(found: 'Mapping[str, Steadiness]') -> str:
    """Return a line for each figure, and two columns for each model: video, and noise alone."""
    from demt_perception.training.evaluation.flicker import FIGURES

    columns = {(name, kind): values for name, steadiness in found.items()
               for kind, values in steadiness.figures().items()}
    width = max(max(map(len, found)), 10)
    lines = [f'{"":58}' + ''.join(f'  {name if kind == "video" else "":>{width}}'
                                  for name, kind in columns),
             f'{"mean over the frames":58}' + ''.join(f'  {kind:>{width}}' for _, kind in columns)]
    for figure, meaning in FIGURES.items():
        if any(figure in values for values in columns.values()):
            lines.append(f'{meaning:58}' + ''.join(
                f'  {values[figure]:{width}.4f}' if figure in values else f'  {"":{width}}'
                for values in columns.values()))
    return '\n'.join(line.rstrip() for line in lines)
