"""Two threads behind the subscriptions: one converts and infers, one publishes. No rclpy.

    receptions -> slots (each camera's newest frame) -> inference -> slot -> publication

Inference takes a frame only when its last result has been taken, so the frame is the newest that
there is, of the camera whose turn was longest ago. Publication holds Python's global lock (rclpy
copies and sends under it), but the engine and OpenCV do not: that is what makes the two threads
worth having.

An engine may hang, and its thread cannot be ended. It is given up: what it may still return is
thrown away, and another thread goes on as soon as there are other predictors.
"""

from collections.abc import Callable, Sequence
import threading
import time
from typing import Any, NamedTuple

from demt_perception.inference import EngineError
from demt_perception.inference.scheduling import FairSlots
from demt_perception.inference.spare_threads import Work
from demt_perception.inference.task_sets import TaskSets
from demt_perception.model_card import ModelCard
from demt_perception.ros.failures import Failures
from demt_perception.ros.frame import check_age, Frame, Picture, Result, Source, Wanted
from demt_perception.ros.frame_guard import guard, words
from demt_perception.ros.hang_watch import HangWatch
from demt_perception.ros.publication import Publication

TIMES, FEWEST = 20.0, 2.0
"""An engine hangs when it takes so many times what it usually takes, and so many seconds. Twice as
many after each that hung, until one gives a result."""

FIRST = 60.0
"""The same for the first picture of a size, which a GPU may have to be prepared for."""

PATIENCE = 5.0
"""Seconds that ``stop`` waits for the work in hand."""


class Job(NamedTuple):
    """A frame that the model is to be run on."""

    camera: Source
    frame: Frame
    wanted: Wanted
    picture: Picture
    stages: dict[str, float]


class _Worker:
    """An inference thread: the predictors and the cameras that it is at work with."""

    def __init__(self, run: Callable[['_Worker'], None]) -> None:
        self.watch = HangWatch()
        self.inside: TaskSets | None = None
        self.cameras: list[Source] = []
        self.given_up = False
        self.thread = Work(run, self, name='inference')
        self.thread.start()


class Pipeline:
    """Runs a model on the newest frames of cameras; started and stopped once.

    Attributes:
        publication: of what it makes.
    """

    def __init__(self, predictors: TaskSets, cameras: Sequence[Source]) -> None:
        """Keep the parts; ``start`` begins.

        Args:
            predictors: of a model; warm. Whoever gives them closes them after ``stop``.
            cameras: whose frames may be submitted.
        """
        self._predictors = predictors
        self._arrived: FairSlots[Source, Frame] = FairSlots(cameras)
        self.publication = Publication()
        self._changed = threading.Condition()   # who is at work with which predictors
        self._worker: _Worker | None = None
        self._lost: list[Work] = []
        self._hung_in_a_row = 0
        self._failures = Failures()   # of these predictors, since the last success
        self._works = False   # whether these predictors have given a result

    def start(self) -> None:
        """Start both threads."""
        self._worker = _Worker(self._run_inference)
        self.publication.thread.start()

    def stop(self) -> None:
        """Finish the work in hand, throw away what waits, and end both threads.

        One that does not come back from its work within ``PATIENCE`` is given up: see ``lost``.
        """
        self._arrived.close()
        self.publication.results.close()
        with self._changed:
            worker = self._worker
        for thread in [self.publication.thread] + ([worker.thread] if worker else []):
            thread.join(PATIENCE)
            if thread.is_alive():
                self._lost.append(thread)
                if thread is self.publication.thread:   # it sends nothing more when it comes back
                    self.publication.given_up.set()
        if worker is not None:
            with self._changed:
                worker.given_up = True

    def submit(self, camera: Source, message: Any, stamp: int) -> None:
        """Hand over a frame of a camera. Never blocks."""
        if self._arrived.put(camera, Frame(message, stamp, time.monotonic())):
            camera.statistics.drop('superseded')

    def go_on_with(self, predictors: TaskSets) -> threading.Thread:
        """Take other predictors from the next frame on; nothing is lost, and nobody waits.

        Returns a running thread that closes those before once the frame in them is done.
        """
        with self._changed:
            old, self._predictors = self._predictors, predictors
            self._failures, self._works = Failures(), False
            users = [worker for worker in (self._worker,) if worker and worker.inside is old]

        def retire() -> None:
            with self._changed:
                self._changed.wait_for(lambda: all(user.inside is not old for user in users))
            old.close()   # where one is lost in them: when it comes back

        thread = threading.Thread(target=retire, name='retire_model', daemon=True)
        thread.start()
        if self._worker is None:
            self._worker = _Worker(self._run_inference)
        return thread

    @property
    def lost(self) -> int:
        """Return how many threads were given up, and have not come back."""
        self._lost = [thread for thread in self._lost if thread.is_alive()]
        return len(self._lost)

    def give_up_hung(self, step: float) -> str:
        """Give up the inference thread where it hangs; return why, '' where it does not.

        Frames wait then until ``go_on_with`` brings other predictors.

        Args:
            step: seconds since the last call.
        """
        with self._changed:
            worker = self._worker
            if worker is None:
                return ''
            if worker.inside is not None and worker.inside.first:
                worker.watch.allow(self._patience(FIRST * len(worker.cameras)))
            if not (seconds := worker.watch.look(step)):
                return ''
            worker.given_up = True
            self._lost.append(worker.thread)
            self._hung_in_a_row += 1
            # Where other predictors have come meanwhile, they go on at once.
            hopeless = worker.inside is self._predictors
            self._worker = None if hopeless else _Worker(self._run_inference)
        text = f'the engine has not come back from a frame for {seconds:.1f} s'
        for camera in worker.cameras:
            camera.report_drop('engine_hung', text)
        return text if hopeless else ''

    @property
    def failure(self) -> str:
        """Return why the engine counts as broken: it fails on each frame; '' where it does not."""
        return self._failures.text

    @property
    def works(self) -> bool:
        """Tell whether the predictors at work have given a result."""
        return self._works

    def _patience(self, seconds: float) -> float:
        return seconds * 2 ** min(self._hung_in_a_row, 8)

    def _run_inference(self, worker: _Worker) -> None:
        results = self.publication.results
        while not worker.given_up and results.wait_empty() and (
                taken := self._arrived.take(self._predictors.together)):
            for result in self._infer(worker, taken):
                if results.wait_empty():
                    results.put(result)

    def _infer(self, worker: _Worker, taken: Sequence[tuple[Source, Frame]]) -> list[Result]:
        """Return what frames of different cameras give; nothing where the worker was given up."""
        with self._changed:
            predictors = worker.inside = self._predictors   # these for all of the frames
            worker.cameras = [camera for camera, _ in taken]
            worker.watch.enter(self._patience(
                max(FEWEST, TIMES * predictors.usual * len(taken))))
        results: list[Result] = []
        try:
            results = self._work(worker, predictors, taken)
        finally:
            with self._changed:
                worker.watch.leave()
                worker.inside = None
                self._changed.notify_all()
                if results and not worker.given_up:
                    self._hung_in_a_row = 0
        return [] if worker.given_up else results

    def _work(self, worker: _Worker, predictors: TaskSets,
              taken: Sequence[tuple[Source, Frame]]) -> list[Result]:
        """Run frames at once where they are alike."""
        def drop(camera: Source, reason: str, text: str) -> None:
            if self._settle(worker, camera):
                camera.report_drop(reason, text)

        jobs = []
        for camera, frame in taken:
            with guard(camera, 'engine_error', drop):
                job = _prepare(camera, frame, predictors.whole.card)
                if job is not None:
                    jobs.append(job)
                elif self._settle(worker, camera):
                    camera.statistics.rest()
        batches = [jobs] if len({
            (job.wanted.tasks, job.wanted.output_scale) for job in jobs}) == 1 else [
            [job] for job in jobs]
        results: list[Result] = []
        for batch in batches:
            if len(batch) > 1:
                try:
                    results += self._run(predictors, batch)
                    continue
                except Exception:   # which of them is at fault shows one by one
                    if worker.given_up:
                        return []
            for job in batch:
                with guard(job.camera, 'engine_error', drop):
                    results += self._run(predictors, [job])
        return results

    def _settle(self, worker: _Worker, camera: Source) -> bool:
        """Tell whether a frame is still to be accounted for, which it then is."""
        with self._changed:
            if worker.given_up:
                return False
            worker.cameras.remove(camera)
            return True

    def _run(self, predictors: TaskSets, jobs: Sequence[Job]) -> list[Result]:
        """Run frames for which the same is wanted."""
        try:
            made = predictors.predict_batch(
                [job.picture.bgr for job in jobs], [job.picture.focal for job in jobs],
                jobs[0].wanted.output_scale, jobs[0].wanted.tasks)
        except ValueError:   # the picture's fault
            raise
        except EngineError as error:
            self._count(predictors, str(error))
            raise
        except Exception as error:   # of a library below it
            self._count(predictors, words(error))
            raise
        self._count(predictors)
        return [Result(job.camera, job.frame, predictions, job.picture.camera_info,
                       job.wanted.topics, job.stages, time.monotonic(), self.publication.given_up)
                for job, predictions in zip(jobs, made, strict=True)]

    def _count(self, predictors: TaskSets, failure: str = '') -> None:
        with self._changed:
            if predictors is not self._predictors:   # given up: the next begin anew
                return
            self._failures = self._failures.another(failure) if failure else Failures()
            self._works |= not failure


def _prepare(camera: Source, frame: Frame, card: ModelCard) -> Job | None:
    """Return a frame ready for the model; None where nothing is to be done with it."""
    begin = time.monotonic()
    check_age(camera, frame)
    wanted = camera.wanted(card)
    if wanted is None:
        return None
    picture = camera.look(frame.message, card)
    return Job(camera, frame, wanted, picture, {
        'wait': begin - frame.received, 'convert': time.monotonic() - begin})
