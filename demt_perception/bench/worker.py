"""The process that runs one combination, and nothing else: its memory and start are its own.

Started by ``workers.py`` with a job on its command line; then it obeys commands, and answers each,
in JSON, one object a line, on standard input and output.
"""

from dataclasses import dataclass
import json
import os
import sys
import time
from typing import Any, Protocol

import cv2
import numpy as np

from demt_perception.bench import EAGER
from demt_perception.bench.results import Combination
from demt_perception.inference import Predictor
from demt_perception.inference.memory import keep_freed_memory, resident_mb
from demt_perception.inference.parity import Check
from demt_perception.model_card import load_card, ModelCard
from demt_perception.ros.bench.pictures import load_pictures
from demt_perception.ros.outputs import outputs_of

COMPARED = 2
"""Pictures on which outputs are compared."""


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        combination: in what way.
        folder: of the model.
        image_size: (height, width) of the pictures.
        source: of the pictures, see ``load_pictures``.
    """

    combination: Combination
    folder: str
    image_size: tuple[int, int]
    source: str


class Runner(Protocol):
    """Runs moments.

    Attributes:
        used: precision, engine and device in fact, and after a colon why these.
    """

    used: str

    def moment(self) -> dict[str, float]:
        """Run once for each camera; return seconds by stage."""

    def outputs(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's outputs of a float32 1x3xHxW input."""


class EngineRunner:
    """Pictures through a Predictor, to all outputs at their size."""

    def __init__(self, job: Job, pictures: list[np.ndarray]) -> None:
        """Load the engine."""
        way = job.combination
        self._predictor = Predictor(job.folder, way.engine, way.threads, way.size,
                                    precision=way.precision)
        engine = self._predictor.engine
        self.used = f'{engine.precision} on {engine.name}, {engine.device}: {engine.reason}'
        card = self._predictor.card
        self._wanted = [output.attribute for output in outputs_of(card.tasks, card.outputs)]
        self._cameras = way.cameras
        self._pictures = pictures
        self._next = 0

    def moment(self) -> dict[str, float]:
        """See ``Runner``."""
        stages: dict[str, float] = {}
        for _ in range(self._cameras):
            picture = self._pictures[self._next % len(self._pictures)]
            self._next += 1
            predictions = self._predictor.predict(picture)
            for name in self._wanted:
                getattr(predictions, name)
            for stage, seconds in predictions.timings.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        return stages

    def outputs(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """See ``Runner``."""
        return self._predictor.engine.run(image)


class EagerRunner:
    """The plain network in eager torch: only its own time, for nothing else differs."""

    def __init__(self, job: Job, card: ModelCard) -> None:
        """Build the network."""
        from demt_perception.networks.eager import Eager

        way = job.combination
        self._network = Eager(way.model, way.threads)
        self.used = 'f32, the plain network in eager torch'
        self._images = Check(card.mean, card.std).inputs((1, 3, *way.size))
        self._cameras = way.cameras

    def moment(self) -> dict[str, float]:
        """See ``Runner``."""
        begin = time.perf_counter()
        for index in range(self._cameras):
            self._network.run(self._images[index % len(self._images)])
        return {'engine': time.perf_counter() - begin}

    def outputs(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """See ``Runner``."""
        return self._network.run(image)


def timed_moment(runner: Runner) -> dict[str, float]:
    """Return milliseconds by stage, of ``moment`` as a whole and of ``other``, its rest."""
    begin = time.perf_counter()
    stages = runner.moment()
    moment = time.perf_counter() - begin
    stages |= {'other': moment - sum(stages.values()), 'moment': moment}
    return {stage: 1000 * seconds for stage, seconds in stages.items()}


def run_for(runner: Runner, seconds: float, warm: bool) -> dict[str, Any]:
    """Return milliseconds by stage of moments one after the other, one at least; and how many ran.

    The first is not counted, for the others of the round have left the caches full of their own;
    but it is where the runner is warm and the moments are so long that this does not matter.
    """
    begin = time.perf_counter()
    moments = [timed_moment(runner)]
    uncounted = 0
    if not warm or moments[0]['moment'] < 1000 * seconds / 5:
        moments, uncounted = [timed_moment(runner)], 1
    while time.perf_counter() - begin < seconds:
        moments.append(timed_moment(runner))
    return {'times': {stage: [one[stage] for one in moments] for stage in moments[0]},
            'ran': len(moments) + uncounted}


def obey(job: Job, runner: Runner, card: ModelCard, command: dict[str, Any]) -> dict[str, Any]:
    """Do what a command says and return the answer."""
    if 'run' in command:
        return run_for(runner, command['run'], command['warm'])
    if 'outputs' in command:
        images = Check(card.mean, card.std).inputs((1, 3, *job.combination.size))[:COMPARED]
        arrays = {f'{index} {name}': value for index, image in enumerate(images)
                  for name, value in runner.outputs(image).items() if name in card.outputs}
        np.savez(command['outputs'], **arrays)  # type: ignore[arg-type]
        return {}
    return {'peak_mb': resident_mb()[1], 'torch_loaded': 'torch' in sys.modules}


def main() -> int:
    """Load, run the first moment, then obey until the input ends."""
    keep_freed_memory()
    # Engines print what they like: that goes to the log, answers to the pipe.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        imported = time.monotonic()
        content = json.loads(sys.argv[1])
        way = Combination(**{**content['combination'],
                             'size': tuple(content['combination']['size'])})
        job = Job(way, content['folder'], tuple(content['image_size']), content['source'])
        if way.threads:
            cv2.setNumThreads(way.threads)
        card = load_card(job.folder)
        pictures = load_pictures(job.source, job.image_size)
        prepared = time.monotonic()
        runner: Runner = EagerRunner(job, card) if way.engine == EAGER else (
            EngineRunner(job, pictures))
        loaded = time.monotonic()
        runner.moment()
        first = time.monotonic()
    except Exception as error:
        answer(error=f'{error}' or type(error).__name__)
        return 1
    # The pictures would come from the camera: reading them is no part of the start.
    reading = prepared - imported
    answer(imported=imported, loaded=loaded - reading, first=first - reading, used=runner.used)
    for line in sys.stdin:
        try:
            answer(**obey(job, runner, card, json.loads(line)))
        except Exception as error:
            answer(error=f'{error}' or type(error).__name__)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
