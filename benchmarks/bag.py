"""Frames a second of `demt bag`, of the engine alone, and of `Predictor.predict`.

    python benchmarks/bag.py BAG [--model NAME] [--engine NAME] [--threads N]
                             [--outputs TOPIC ...] [--compression lz4|zstd|none] [--repeat N]

The runs alternate, so that what else the machine does weighs on all alike; the median of each is
printed, and the share of the engine alone. The engine alone runs on one image again and again.
"""

import argparse
from pathlib import Path
import statistics
import sys
import tempfile
import time

from demt_perception.bags import open_bag
from demt_perception.bags.camera_topics import all_cameras
from demt_perception.inference import DEFAULT_MODEL, find_model, Predictor
from demt_perception.inference.memory import keep_freed_memory
from demt_perception.model_card import load_card
from demt_perception.ros.offline.frames import look, read_frames
from demt_perception.ros.offline.processing import Options, process, Progress
from demt_perception.ros.offline.recording import Recorder


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bag', type=Path)
    parser.add_argument('--model', default=DEFAULT_MODEL)
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--outputs', nargs='+', default=[])
    parser.add_argument('--compression', default='lz4')
    parser.add_argument('--repeat', type=int, default=3)
    args = parser.parse_args()
    keep_freed_memory()
    options = Options(args.model, {'engine': args.engine, 'threads': args.threads},
                      outputs=tuple(args.outputs), compression=args.compression)
    card = load_card(find_model(args.model))
    with open_bag(args.bag) as bag:
        cameras = all_cameras(bag.topics)
        bgr = look(next(read_frames(bag, cameras, 1, 0)))[1]
        tasks = Recorder(card, [camera.name for camera in cameras], options.outputs).tasks
    predictor = Predictor(args.model, args.engine, args.threads, tasks=tasks)
    predictor.warm_up()
    alone, predicted, bags = [], [], []
    for _ in range(args.repeat):
        with tempfile.TemporaryDirectory() as folder:
            seconds, frames = timed(args.bag, Path(folder) / 'out', options)
        bags.append(frames / seconds)
        alone.append(1 / predictor.time(frames))
        begin = time.perf_counter()
        for _ in range(frames):
            predictor.predict(bgr)
        predicted.append(frames / (time.perf_counter() - begin))
    print(f'{predictor.card.name} on {predictor.engine.name} ({predictor.engine.reason}), '
          f'{bgr.shape[1]}x{bgr.shape[0]}, {frames} frames')
    engine = statistics.median(alone)
    for name, rates in (('engine alone', alone), ('Predictor.predict', predicted),
                        ('demt bag', bags)):
        rate = statistics.median(rates)
        print(f'{name:18} {rate:7.2f} a second, {rate / engine:.2f} of the engine alone')
    return 0


def timed(bag: Path, out: Path, options: Options) -> tuple[float, int]:
    """Return seconds from the loaded model to the written bag, and frames."""
    begin = 0.0

    def report(progress: Progress, total: int | None) -> None:
        nonlocal begin
        begin = begin or time.perf_counter()

    done = process(bag, out, options, report).done
    return time.perf_counter() - begin, done


if __name__ == '__main__':
    sys.exit(main())
