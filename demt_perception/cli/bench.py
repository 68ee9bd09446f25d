"""Measure models in engines, or with --node the node from camera to topic over DDS.

Every model, engine, precision, size and number of cameras given is combined with every other; with
--node every model, engine, precision and size of pictures. Without --node each combination runs in
a process of its own, and all of them in turn, so that what else the machine does meets all alike:
the ratios hold also where the times do not.
"""

import argparse
from dataclasses import replace
import itertools
import os
from pathlib import Path
import sys
import tempfile
from typing import TYPE_CHECKING

from demt_perception.bench import EAGER
from demt_perception.cli.input_size import input_size
from demt_perception.cli.outputs import check_file
from demt_perception.cli.spreading import positive

if TYPE_CHECKING:
    from demt_perception.bench.energy import Rapl, Sensor
    from demt_perception.bench.results import Measurement, NodeMeasurement
    from demt_perception.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt bench``."""
    parser.add_argument('models', nargs='*', metavar='MODEL', help='model names or folders '
                        '(default: the shipped one); or networks of `demt models --table`, e.g. '
                        '"DeMT Swin-T NYUD", which are exported with random weights (needs torch)')
    parser.add_argument('--engine', nargs='+', default=['auto'], metavar='E',
                        help='auto, openvino, onnxruntime, torch, tensorrt (default: auto)')
    parser.add_argument('--precision', nargs='+', default=['auto'], metavar='P',
                        help='auto, f32, bf16, f16, int8 (default: auto)')
    parser.add_argument('--size', nargs='+', default=[None], type=_size, metavar='HxW',
                        help="sizes of the network's input, with --node one (default: the card's)")
    parser.add_argument('--threads', type=positive, metavar='N',
                        help='of engine, OpenCV and OpenMP (default: what the node would take)')
    parser.add_argument('--cameras', nargs='+', default=[1], type=positive, metavar='N',
                        help='pictures of so many cameras one after the other (default: 1)')
    parser.add_argument('--seconds', type=_seconds, default=5.0, metavar='S',
                        help='of measurement for each combination, and at least three rounds; '
                        'with --node of each rate tried, at least 5, and 12 of the one that is '
                        'measured (default: 5)')
    parser.add_argument('--image-size', nargs='+', type=_size, metavar='HxW', help='of the '
                        "camera's pictures and of the outputs: one, or several with --node "
                        '(default: 720x1280; with --node that and 1080x1920)')
    parser.add_argument('--source', default='', help='video or folder of images to run on '
                        '(default: pictures that ship with the package)')
    parser.add_argument('--reference', choices=(EAGER,), help='measure this first: the plain '
                        'network in eager torch; for networks of the table')
    parser.add_argument('--node', action='store_true', help='camera, perception node and a '
                        'listener to all outputs as three processes over DDS; finds the peak rate')
    parser.add_argument('--rate', type=_seconds, metavar='HZ',
                        help='with --node: measure at this rate instead of searching')
    parser.add_argument('--output-scale', type=_scale, default=1.0, metavar='S', help='with '
                        "--node: size of the outputs over that of the camera's pictures, "
                        'e.g. 0.4 (default: 1)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--plot', type=Path, metavar='PNG',
                        help='write a plot against sizes or cameras (needs matplotlib)')
    parser.add_argument('--compare', nargs=2, metavar='FILE',
                        help='compare two files that --json wrote, and measure nothing')


def run(args: argparse.Namespace) -> int:
    """Measure or compare; return 1 where a combination could not be measured."""
    from demt_perception.bench.results import load_report, save_report

    if args.compare:
        from demt_perception.bench.compare import comparison_table
        print(comparison_table(*map(load_report, args.compare)), end='')
        return 0
    from demt_perception.bench.energy import open_meter
    from demt_perception.bench.host import describe_host, load_average
    from demt_perception.bench.results import BenchError, Report
    from demt_perception.bench.table import make_table

    if args.plot:
        if args.node or max(len(args.size), len(args.cameras)) < 2:
            raise BenchError('nothing to plot against: give several --size or --cameras')
        import importlib
        importlib.import_module('matplotlib')   # before the work, not after
    _refuse_what_does_not_combine(args)
    check_file('--json', args.json)
    check_file('--plot', args.plot)
    before = load_average()
    engines: list[Measurement] = []
    nodes: list[NodeMeasurement] = []
    failures: dict[str, str] = {}
    meter, energy = open_meter()
    with tempfile.TemporaryDirectory(prefix='demt_bench_') as name:
        try:
            if args.node:
                nodes, failures = _run_node(args, Path(name))
            else:
                engines, failures = _run_engines(args, meter, Path(name))
        finally:
            if meter:
                meter.close()
    report = Report(describe_host(), ' '.join(sys.argv[1:]), (before, load_average()), energy,
                    tuple(engines), tuple(nodes), failures,
                    _image_size(args) if engines else None, _source(args))
    print(make_table(report), end='')
    if args.json:
        save_report(report, args.json)
    if args.plot and engines:
        from demt_perception.bench.plot import plot
        plot(args.plot, engines)
    return 1 if failures or not (engines or nodes) else 0


def _run_engines(args: argparse.Namespace, meter: 'Rapl | Sensor | None', folder: Path,
                 ) -> 'tuple[list[Measurement], dict[str, str]]':
    from demt_perception.bench.engines import combinations, measure
    from demt_perception.bench.results import BenchError
    from demt_perception.bench.worker import Job
    from demt_perception.inference.cpu import default_threads
    from demt_perception.model_card import load_card
    from demt_perception.progress import Progress

    progress = Progress()
    models = _models(args, folder, progress)
    if args.reference and any(not path.is_relative_to(folder) for path in models.values()):
        raise BenchError(f'--reference {args.reference} is for networks of `demt models --table`, '
                         'e.g. "DeMT Swin-T NYUD": of a model folder only the graph is known')
    sizes = {label: [size or load_card(path).input_size for size in args.size]
             for label, path in models.items()}
    engines = [*([args.reference] if args.reference else []), *args.engine]
    ways = combinations(list(models), engines, args.precision, sizes, args.cameras,
                        args.threads or default_threads())
    jobs = [Job(way, str(models[way.model].resolve()), _image_size(args), _source(args))
            for way in ways]
    return measure(jobs, args.seconds, meter, folder, progress)


def _image_size(args: argparse.Namespace) -> tuple[int, int]:
    size: tuple[int, int] = (args.image_size or [(720, 1280)])[0]
    return size


def _source(args: argparse.Namespace) -> str:
    return str(Path(args.source).resolve()) if args.source else ''


def _run_node(args: argparse.Namespace, folder: Path,
              ) -> 'tuple[list[NodeMeasurement], dict[str, str]]':
    from demt_perception.bench.node import measure_node
    from demt_perception.bench.results import BenchError
    from demt_perception.progress import Progress

    progress = Progress()
    found, failures = [], {}
    for label, model in _models(args, folder, progress).items():
        for engine, precision, image_size in itertools.product(
                args.engine, args.precision, args.image_size or [(720, 1280), (1080, 1920)]):
            try:
                measured = measure_node(
                    model, engine, precision, args.size[0], args.threads or 0, image_size,
                    args.source, args.rate, args.seconds, folder, progress, args.output_scale)
            except BenchError as error:   # which leaves what was measured before as it is
                height, width = image_size
                failures[f'{label} {engine} {precision}, {width}x{height}'] = str(error)
            else:
                found.append(replace(measured, model=label))
    return found, failures


def _refuse_what_does_not_combine(args: argparse.Namespace) -> None:
    """Refuse arguments that would be passed over in silence."""
    from demt_perception.bench.results import BenchError

    if not args.node:
        if args.rate:
            raise BenchError('--rate is for --node: engines run as fast as they can')
        if args.output_scale != 1:
            raise BenchError(f'--output-scale {args.output_scale:g} is for --node: without it '
                             'outputs have the size of the pictures, see --image-size')
        if len(args.image_size or ()) > 1:
            raise BenchError(f'--image-size {_sizes(args.image_size)}: several are for --node; '
                             'give one')
        return
    if args.reference:
        raise BenchError(f'--reference {args.reference} is no engine of the node: leave out '
                         '--node, or the reference')
    if args.cameras != [1]:
        raise BenchError(f'--cameras {" ".join(map(str, args.cameras))}: with --node there is '
                         'one camera; leave out --node, or --cameras')
    if len(args.size) > 1:
        raise BenchError(f'--size {_sizes(args.size)}: with --node give one, and measure the '
                         'others in runs of their own')


def _sizes(sizes: list[tuple[int, int]]) -> str:
    return ' '.join(f'{height}x{width}' for height, width in sizes)


def _models(args: argparse.Namespace, folder: Path, progress: 'Progress') -> dict[str, Path]:
    """Return the folders of the models by what they are called: each by a name of its own.

    Raises:
        BenchError: a model is given twice.
        ModelCardError: the card of one is wrong, which is better said before the work than in it.
    """
    from demt_perception.bench.results import BenchError
    from demt_perception.model_card import load_card

    names = args.models or [_default()]
    paths = [_find(name, folder, progress) for name in names]
    short = [path.name if os.sep in name and not path.is_relative_to(folder) else name
             for name, path in zip(names, paths, strict=True)]
    models: dict[str, Path] = {}
    for name, label, path in zip(names, short, paths, strict=True):
        for other in models.values():
            if other.resolve() == path.resolve():
                raise BenchError(f'model {name!r} is given twice, as {path.resolve()}: once is '
                                 'enough')
        load_card(path)
        models[label if short.count(label) == 1 else name] = path
    return models


def _find(name: str, folder: Path, progress: 'Progress') -> Path:
    """Return the folder of a model; of a network it is made below ``folder``."""
    from demt_perception.bench.reference import export_random
    from demt_perception.inference import find_model

    if ' ' not in name or Path(name).is_dir():  # as all networks have it, and hardly a model
        return find_model(name)
    out = folder / name.replace('/', '_')
    if not out.is_dir():
        progress.show(f'exporting {name} with random weights')
        export_random(name, out)
    return out


def _default() -> str:
    from demt_perception.inference import DEFAULT_MODEL
    return DEFAULT_MODEL


def _size(text: str) -> tuple[int, int]:
    size, _ = input_size(text)
    if size is None:
        raise argparse.ArgumentTypeError(f'{text!r}: want HEIGHTxWIDTH, 288x512')
    return size


def _scale(text: str) -> float:
    """Return a number that the node's ``output_scale`` may be."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 4:
        raise argparse.ArgumentTypeError(f'{text!r}: want a number from 0.01 to 4')
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e5:
        raise argparse.ArgumentTypeError(f'{text!r}: want a number above 0')
    return value
