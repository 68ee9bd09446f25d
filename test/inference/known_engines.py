"""Engines of known speed and error, and a trial that compares with one that never errs."""

import time

import numpy as np

from demt_perception.inference.engines.precision import Trial

SHAPE = (1, 3, 96, 160)


class Clock:
    """An engine of known speed and error: it only has to be measured."""

    name = reason = 'clock'

    def __init__(self, precision, milliseconds=0.0, error=0.0):
        self.precision, self.error, self.loops = precision, error, int(milliseconds * 1000)
        self.closed = False

    def run(self, image):
        end = time.perf_counter() + self.loops * 1e-6
        while time.perf_counter() < end:
            pass
        return {'depth': np.full((1, 4, 4), 10 * (1 + self.error), np.float32)}

    def close(self):
        self.closed = True


class Compared(Trial):
    """A trial whose reference is a clock that never errs."""

    def __init__(self):
        self.inputs, self.against, self._limits = [None], 'a clock', {}
        self._quantised = False
        self._progress, self._wanted = lambda line: None, [Clock('f32').run(None)]
