"""``demt eval --stereo``: predicted depth against that of real stereo pairs."""

import argparse
import json
import math
from pathlib import Path
import sys

from demt_perception.cli.input_size import size_options


def run_stereo(args: argparse.Namespace) -> int:
    """Measure on a folder of rectified pairs, print, and write what is asked for."""
    from tqdm import tqdm

    from demt_perception.inference import Predictor
    from demt_perception.training.evaluation.report import conditions_of, plain
    from demt_perception.training.evaluation.shards import choose
    from demt_perception.training.evaluation.stereo import FARTHEST, open_clip, read_pair
    from demt_perception.training.evaluation.stereo_depth import measure_stereo

    clip = open_clip(args.stereo)
    names = [clip.names[i] for i in choose(len(clip.names), args.limit)]
    predictor = Predictor(args.model, args.engine, precision=args.precision, **size_options(
        args.input_size, lambda: read_pair(clip, clip.names[0])[0].shape[:2]))
    with tqdm(total=len(names), unit='pair', file=sys.stderr, dynamic_ncols=True) as bar:
        found = measure_stereo(predictor, clip, names, bar.update)
    columns = {'as predicted': found.metric.summary(), 'scaled': found.scaled.summary()}
    print(f'{predictor.card.name} on {clip.root}, {len(names)} pairs, '
          f'{predictor.engine.name}')
    print(f'{"":10}' + ''.join(f'  {name:>12}' for name in columns))
    for figure in ('abs_rel', 'rmse_m', 'delta1', 'delta2', 'delta3', 'coverage'):
        print(f'{figure:10}' + ''.join(f'  {v[figure]:12.4f}' for v in columns.values()))
    print(f'reference: {100 * found.covered:.1f} % of the pixels, up to {FARTHEST:g} m')
    if math.isfinite(found.contradiction):
        print('reference moved to the next frame against that of the next frame: '
              f'{100 * found.contradiction:.2f} % (median)')
    if args.json:
        content = plain({
            'figures': columns, 'pictures': found.pictures,
            'reference': {'coverage': found.covered,
                          'median_reprojection_error': found.contradiction,
                          'farthest_m': FARTHEST},
            'conditions': {**conditions_of(predictor), 'stereo': str(clip.root.resolve()),
                           'pairs': len(names), 'focal': clip.focal,
                           'baseline_m': clip.baseline}})
        Path(args.json).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    if args.sheet:
        from demt_perception.training.plots.picture import write_picture
        from demt_perception.training.plots.stereo import stereo_sheet
        write_picture(args.sheet, stereo_sheet(predictor, clip, found))
    return 0
