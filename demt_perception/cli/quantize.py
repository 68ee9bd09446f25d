"""Make a model in int8 of one in f32: a new model folder, calibrated on pictures like yours.

Layers are ranked by the error that int8 adds to each alone; as many are put into int8 as the
limits on the card stand, the others stay in f32. Measured figures are not taken over, for they are
those of another network: `demt eval --write-card` measures anew.
"""

import argparse
from pathlib import Path
import sys
import time

PICTURES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt quantize``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('model', help='model name or folder, in f32')
    parser.add_argument('--images', required=True, metavar='PATH', help='pictures to calibrate '
                        'and check on: a folder, a video or a bag (which needs ROS)')
    parser.add_argument('--pictures', type=int, default=PICTURES, metavar='N',
                        help=f'how many of them at most, evenly spread (default {PICTURES})')
    parser.add_argument('--tool', choices=('onnxruntime', 'nncf'), default='onnxruntime',
                        help='what writes the graph; nncf is finer: pip install nncf')
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0 chooses')
    parser.add_argument('--out', required=True, type=Path, help='model folder to write')


def run(args: argparse.Namespace) -> int:
    """Quantise, and write graph and card."""
    from demt_perception.cli.outputs import check_folder
    from demt_perception.cli.sampling import sample
    from demt_perception.inference import find_model
    from demt_perception.inference.cpu import default_threads
    from demt_perception.inference.engines.building import is_quantised
    from demt_perception.inference.graph_file import read_graph
    from demt_perception.inference.parity import Check
    from demt_perception.inference.quantization.quantize import quantize, write_model
    from demt_perception.model_card import load_card

    folder = Path(find_model(args.model))
    card = load_card(folder)
    graph = read_graph(card, folder)
    if is_quantised(graph):
        print(f'demt quantize: {card.name} is in int8 already', file=sys.stderr)
        return 1
    if args.out.resolve() == folder.resolve() or args.pictures < 1:
        print('demt quantize: --out must be another folder, and --pictures at least 1',
              file=sys.stderr)
        return 2
    check_folder('--out', args.out)
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f'[{time.monotonic() - begin:5.1f} s] {line}', file=sys.stderr, flush=True)

    pictures = tuple(sample(args.images, args.pictures))
    check = Check(card.mean, card.std, card.limits, pictures)
    found = quantize(graph, check.inputs((1, 3, *card.input_size)), card.limits,
                     args.threads or default_threads(), say, args.tool)
    write_model(args.out, card, found, len(pictures))
    print(f'{args.out}: {found.chosen} of {found.layers} layers in int8, '
          f'{len(found.graph) / 1e6:.1f} MB; its figures are to be measured: demt eval')
    for figure in found.figures:
        print(f'  {figure}')
    return 0
