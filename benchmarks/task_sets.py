"""What is saved where only some tasks of a model are run, and what a batch costs an image.

Engines run in turn, one thread, and processor time counts, so that other load of the machine
matters little; the smallest of all rounds is taken. Run: python benchmarks/task_sets.py [MODEL]
[ENGINE] [ROUNDS]
"""

from itertools import combinations
import sys
import time

import numpy as np

from demt_perception.inference import DEFAULT_MODEL, Engine, find_model, Predictor
from demt_perception.inference.cutting import batch_is_free
from demt_perception.inference.engines import create_engine
from demt_perception.model_card import load_card, read_onnx

BATCHES = (2, 3, 4)


def main(model: str = DEFAULT_MODEL, engine: str = 'openvino', rounds: str = '50') -> None:
    """Print a table."""
    folder = find_model(model)
    card = load_card(folder)
    engines: dict[str, tuple[Engine, int]] = {'all': (_predictor(folder, engine, card.tasks), 1)}
    for count in range(1, len(card.tasks)):
        for tasks in combinations(card.tasks, count):
            engines[', '.join(tasks)] = _predictor(folder, engine, tasks), 1
    graph = read_onnx(card, folder)
    if batch_is_free(graph):
        for count in BATCHES:
            shape = (count, 3, *card.input_size)
            engines[f'all, {count} images'] = create_engine(engine, graph, shape, 1, 'f32'), count
    best = dict.fromkeys(engines, float('inf'))
    for _ in range(int(rounds)):
        for name, (runner, count) in engines.items():
            images = np.zeros((count, 3, *card.input_size), np.float32)
            begin = time.process_time()
            runner.run(images)
            best[name] = min(best[name], (time.process_time() - begin) / count)
    print(f'{card.name} at {card.input_size[1]}x{card.input_size[0]}, {engine} f32, 1 thread')
    for name, seconds in best.items():
        print(f'{name:32} {1e3 * seconds:7.1f} ms an image, {seconds / best["all"]:.2f} of all')


def _predictor(folder: object, engine: str, tasks: tuple[str, ...]) -> Engine:
    return Predictor(str(folder), engine, 1, precision='f32', tasks=tasks).engine


if __name__ == '__main__':
    main(*sys.argv[1:])
