"""A pipeline whose engines and publications hang or fail while they are told to."""

from contextlib import contextmanager
import threading

from test_pipeline import Camera, IMAGE, SECOND, wait_for

from demt_perception.inference import Predictor
from demt_perception.inference.task_sets import TaskSets
from demt_perception.ros import failures
from demt_perception.ros.engine_care import PERIOD
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.pipeline import Pipeline


class Work:
    """A pipeline of one camera whose engines hang while they are told to."""

    def __init__(self, model):
        self._model = model
        self.go_on = threading.Event()
        self.hang, self.fail = False, None   # what it fails with
        self.inside = 0
        self.camera = Camera(Statistics())
        self.predictors = [self.predictor()]
        self.pipeline = Pipeline(self.predictors[0], [self.camera])
        self.pipeline.start()
        self.sent = 0

    def predictor(self):
        predictor = Predictor(self._model, 'onnxruntime', 1)
        run = predictor.engine.run

        def hanging(image):
            if self.fail:
                raise self.fail
            if self.hang:
                self.inside += 1
                assert self.go_on.wait(30)
                self.inside -= 1
            return run(image)

        predictor.engine.run = hanging
        return TaskSets(predictor)

    def send(self):
        self.sent += 1
        self.pipeline.submit(self.camera, IMAGE, 100 * SECOND - 1000 + self.sent)

    def lose(self):
        """Send a frame that the engine does not come back from."""
        self.hang = True
        before = self.inside
        self.send()
        wait_for(lambda: self.inside == before + 1)
        self.hang = False

    def replace(self):
        self.predictors.append(self.predictor())
        return self.pipeline.go_on_with(self.predictors[-1])

    @property
    def drops(self):
        return self.camera.statistics.snapshot().drops


@contextmanager
def working(model):
    work = Work(model)
    yield work
    work.go_on.set()
    work.camera.may_publish.set()
    work.pipeline.stop()
    wait_for(lambda: not work.pipeline.lost)
    for predictors in work.predictors:
        predictors.close()


def looks(care, pipeline, seconds, begin=0.0):
    """Look as often as the node does; return whether an engine was wanted, and the time."""
    wanted, now = False, begin
    while now < begin + seconds:
        now += PERIOD
        wanted |= care.look(pipeline, now)
        if wanted:
            break
    return wanted, now


def fail_until_it_counts(work):
    """Send frames that the engine fails on until it counts as broken."""
    for _ in range(failures.FRAMES):
        before = work.drops.get('engine_error', 0)
        work.send()
        wait_for(lambda before=before: work.drops.get('engine_error') == before + 1)


def hold_up(work, topic):
    """Send a frame whose publication does not come back from a topic; '': from something else."""
    work.camera.may_publish.clear()
    work.camera.sending = topic
    work.send()
    wait_for(lambda: work.pipeline.publication._watch._turn % 2)
