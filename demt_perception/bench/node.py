"""The node's figures, of the processes that ``ros/bench`` runs."""

import importlib
from pathlib import Path

from demt_perception.bench.figures import spread
from demt_perception.bench.results import (
    BenchError,
    Combination,
    NodeMeasurement,
    Spread,
    Trial,
)
from demt_perception.bench.worker import Job
from demt_perception.bench.workers import Worker
from demt_perception.model_card import load_card
from demt_perception.progress import Progress


def measure_node(
    model: Path, engine: str, precision: str, input_size: tuple[int, int] | None, threads: int,
    image_size: tuple[int, int], source: str, rate: float | None, seconds: float, folder: Path,
    progress: Progress, output_scale: float = 1.0,
) -> NodeMeasurement:
    """Run camera, node and listener; return the figures.

    Args:
        model: folder.
        engine: as the node's parameter of this name; also those that follow.
        precision: of the engine.
        input_size: (height, width) of the network's input; None takes the card's.
        threads: 0: the node's choice.
        image_size: (height, width) of the camera's images.
        source: of the pictures, '' for those of the package.
        rate: Hz; None searches for the peak, and measures somewhat below it.
        seconds: of each rate.
        folder: for logs.
        progress: is told what is done.
        output_scale: the node's parameter of this name.

    Raises:
        BenchError: nothing arrived at that rate, or a process ended early.
        ImportError: ROS 2 is not installed.
    """
    importlib.import_module('rclpy')  # before three processes fail for want of it
    from demt_perception.ros.bench.run import run_bench, Setup
    from demt_perception.ros.processes import ProcessError

    name = f'{engine} {precision}, {image_size[1]}x{image_size[0]}'
    cache = folder / 'node_cache'
    progress.show(f'{name}: building the engine')
    # What the node starts from, and not what the user's own cache happens to hold.
    size = input_size or load_card(model).input_size
    Worker(Job(Combination(model.name, engine, precision, size, 1, threads),
               str(model.resolve()), image_size, ''), cache, folder / 'build.log').close()
    try:
        found = run_bench(
            Setup(str(model), engine, precision, threads, input_size, image_size, source, cache,
                  output_scale),
            rate, seconds, folder, lambda text: progress.show(f'{name}: {text}'))
    except ProcessError as error:
        raise BenchError(str(error)) from error
    finally:
        progress.close()
    if not found['complete'] or found['engine'] is None or 'total' not in found['stages']:
        raise BenchError(f'of {found["sent"]} frames at {found["rate"]:g} Hz none came '
                         'out with all outputs: give a lower --rate, or more --seconds')
    stages = {stage: (row['p50_ms'], row['p95_ms']) for stage, row in found['stages'].items()}
    named = dict(zip(('model', 'engine', 'precision', 'device'), found['engine'], strict=True))
    return NodeMeasurement(
        **named, threads=threads, image_size=image_size, rate=found['rate'],
        seconds=float(found['seconds']), sent=found['sent'], lost=found['lost'],
        lost_where=found['lost_where'], latency=spread(found['complete']),
        topics={topic: _two(spread(times)) for topic, times in found['topics'].items() if times},
        stages=stages, overhead=1 - stages['engine'][0] / stages['total'][0],
        memory_mb=found['memory_mb'], peak_memory_mb=found['peak_memory_mb'], cpu=found['cpu'],
        first_frame_s=found['first_frame_s'], torch_loaded=found['torch_loaded'],
        peak_hz=found['peak_hz'], trials=tuple(Trial(**one) for one in found['trials']),
        input_size=size, output_scale=output_scale)


def _two(times: Spread) -> tuple[float, float]:
    return times.median, times.p95
