"""``demt eval --pictures``: one sheet of many pictures, to look for what goes wrong."""

import argparse
import sys

from demt_perception.cli.input_size import size_options


def run_pictures(args: argparse.Namespace) -> int:
    """Write a sheet with a row for each picture; return 1 where one could not be read."""
    from tqdm import tqdm

    from demt_perception.cli.predict import find_images, first_size, predict_file
    from demt_perception.inference import Predictor
    from demt_perception.training.evaluation.shards import choose
    from demt_perception.training.plots.picture import write_picture
    from demt_perception.training.plots.pictures import row_of, sheet_of

    paths = list(find_images(args.pictures))
    paths = [paths[i] for i in choose(len(paths), args.limit)]
    if not paths:
        print(f'demt eval: no picture in {", ".join(map(str, args.pictures))}', file=sys.stderr)
        return 1
    focal = None if args.fx is None else (args.fx, args.fx)
    predictor = Predictor(args.model, args.engine, precision=args.precision,
                          **size_options(args.input_size, lambda: first_size(paths)))
    rows = []
    for path in tqdm(paths, unit='image', file=sys.stderr, dynamic_ncols=True):
        try:
            rows.append(row_of(path.name, predict_file(predictor, path, focal)))
        except (OSError, ValueError) as error:
            print(f'left out: {path}: {error}', file=sys.stderr)
    if rows:
        write_picture(args.sheet, sheet_of(rows, predictor.card))
        print(f'{len(rows)} pictures in {args.sheet}')
    return 0 if len(rows) == len(paths) else 1
