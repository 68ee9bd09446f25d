"""Choose between exact and fast arithmetic: by comparing the outputs, and by measuring."""

from collections.abc import Callable, Sequence
import hashlib
import json
import logging
import time
from typing import TypeVar

import numpy as np

from demt_perception import __version__
from demt_perception.inference.cache import cached, EngineKey, LOADED
from demt_perception.inference.cpu import gpu_name
from demt_perception.inference.engines import (
    BusyError,
    Engine,
    EngineError,
    NotBuiltError,
    Order,
)
from demt_perception.inference.engines.building import Build, is_quantised
from demt_perception.inference.parity import compare, Figure, MEASURES, trouble

SPEED_UP = 1.15
"""Slower than this many times the speed of f32, a lower precision is not worth its rounding."""

RULES = {'speed up': SPEED_UP, **{kind: measure.limit for kind, measure in MEASURES.items()},
         **{f'{kind} in f32': measure.exact for kind, measure in MEASURES.items()}}
"""All of them: where one changes, what was chosen by it is chosen again."""

CONVERSION = 1
"""One more whenever the graphs that ``conversion/`` makes, or what torch makes of graphs, change:
what was compared is no more. A release counts as a change in any case."""

WRONG = ('use another engine, or, where this one takes TF32 for f32 (onnxruntime:tensorrt), set '
         'NVIDIA_TF32_OVERRIDE=0')
"""What helps where f32 is too far off: no limit of a card widens those of f32."""

ROUNDS, SECONDS = 7, 3.0

E = TypeVar('E', bound=Engine)


class Trial:
    """Compares engines of one graph with onnxruntime in f32.

    Attributes:
        inputs: real pictures as the network is fed them.
        against: what is compared with, for people.
    """

    def __init__(self, graph: bytes, shape: tuple[int, int, int, int], threads: int,
                 build: Build) -> None:
        """Run onnxruntime on the pictures, where it is installed and takes the graph."""
        self.inputs = build.check.inputs(shape)
        self._limits = build.check.limits
        self._quantised = is_quantised(graph)   # whose f32 is that of what is not in int8
        self._progress = build.progress
        self.against = ''
        try:
            from demt_perception.inference.engines import onnxruntime
            engine = onnxruntime.load_cpu(graph, shape, threads, '')
        except (ImportError, EngineError):
            self._wanted: list[dict[str, np.ndarray]] | None = None
            return
        build.progress('running onnxruntime in f32 on real pictures, to compare with')
        self._wanted = [engine.run(image) for image in self.inputs]
        self.against = 'onnxruntime f32'
        engine.close()

    def figures(self, engine: Engine, exact: Callable[[], Engine]) -> list[Figure]:
        """Return how far an engine is off; one in f32 only rounds, and has limits of its own.

        Args:
            engine: to judge.
            exact: returns one to compare with where there is no onnxruntime.
        """
        if self._wanted is None:
            other = exact()
            try:
                self._wanted = [other.run(image) for image in self.inputs]
            finally:
                if other is not engine:
                    other.close()
            self.against = f'{other.name} {other.precision}'
        self._progress(f'comparing {engine.name} {engine.precision} with {self.against}')
        return compare(self._wanted, [engine.run(image) for image in self.inputs], self._limits,
                       engine.precision == 'f32' and not self._quantised)


def settle(asked: str, candidates: Sequence[str], make: Callable[[str], E],
           trial: Callable[[], Trial]) -> tuple[E, str]:
    """Return an engine in the first precision within the limits, and one line why.

    Args:
        asked: ``auto`` or the precision that it must be.
        candidates: in the order to try; the last is to be compared with where there is no
            onnxruntime.
        make: loads the engine in a precision.
        trial: returns what compares; called where something is to be compared.

    Raises:
        BusyError: what might work at another time failed.
        EngineError: none is within the limits, or the one that was asked for is not.
    """
    refused: list[str] = []
    for precision in candidates if asked == 'auto' else (asked,):
        engine = None
        try:
            engine = make(precision)
            seen = trial()
            figures = seen.figures(engine, lambda: make(candidates[-1]))
        except BaseException as error:
            if engine is not None:
                engine.close()
            # What only fails now would be refused for good: the choice is kept.
            if not isinstance(error, EngineError) or isinstance(
                    error, NotBuiltError | BusyError) or (
                    asked != 'auto' or precision == candidates[-1]):
                raise
            refuse(f'not {precision}: {error}', refused)
            continue
        if not (outside := trouble(figures)):
            return engine, ', '.join([f'{precision}, {describe(figures, seen)}', *refused])
        engine.close()
        text = f'{precision} is too far off {seen.against} ({outside})'
        if asked != 'auto':
            remedy = WRONG if asked == 'f32' else (
                f"use precision auto or {candidates[-1]}, or widen the limits on the model's card")
            raise EngineError(f'{engine.name}: {text}: {remedy}')
        refuse(text, refused)
    raise EngineError(f'no precision is close enough: {", ".join(refused)}: {WRONG}')


def load_chosen(order: Order, name: str, version: str, candidates: Sequence[str],
                make: Callable[[str], E]) -> E:
    """Load an engine in the precision that ``settle`` chooses; the choice is kept in the cache.

    Args:
        order: what is asked for.
        name: of engine and device, for the cache.
        version: of the engine.
        candidates: see ``settle``.
        make: see ``settle``.
    """
    if is_quantised(order.graph):
        candidates = ('f32',)   # of what is not in int8
    key = EngineKey(
        graph_sha256=hashlib.sha256(order.graph).hexdigest(), engine=f'{name} choice',
        version=version, device=gpu_name(), capabilities='', precision=order.precision,
        shape=order.shape, options={**RULES, 'package': __version__, 'conversion': CONVERSION,
                                    **order.build.rules})
    made: list[E] = []
    rebuilt: dict[str, E] = {}

    def decide() -> list[str]:
        if order.build.only_cached:
            raise NotBuiltError(f'{name} has not been built yet: see demt build')
        engine, why = settle(
            order.precision, candidates, lambda name: rebuilt.pop(name, None) or make(name),
            lambda: Trial(order.graph, order.shape, order.threads, order.build))
        made[:] = [engine]
        return [engine.precision, why]

    def restored(payload: bytes) -> list[str]:
        precision, why = json.loads(payload)
        engine = make(precision)
        if 'built in' in engine.reason:   # what was compared is no more
            rebuilt[precision] = engine
            raise EngineError('the engine is another one')
        made[:] = [engine]
        return [precision, why]

    try:
        (_, why), kept = cached(
            key, decide, lambda choice: json.dumps(choice).encode(), restored,
            order.build.progress, 0 if order.build.only_cached else PATIENCE, order.build.fresh,
            passed_on=(NotBuiltError, BusyError))
    finally:
        for unused in rebuilt.values():
            unused.close()
    engine = made[0]
    before = ', as chosen before' if kept == LOADED else ''
    engine.reason = f'{why}{before}; {engine.reason}'
    return engine


PATIENCE = 1800.0
"""Seconds to wait for another process that builds the same: the slowest builds take 20 minutes."""


def refuse(text: str, refused: list[str]) -> None:
    """Note aloud that a precision is not taken."""
    refused.append(text)
    logging.getLogger(__name__).warning(text)


def describe(figures: Sequence[Figure], trial: Trial) -> str:
    """Return how close an engine is, on one line."""
    return f'within the limits of {trial.against} ({", ".join(map(str, figures))})'


def speed_up(exact: Engine, fast: Engine, image: np.ndarray) -> float:
    """Return how many times as fast one engine is as another.

    Runs both in turn, so that other load meets both alike.
    """
    times: dict[int, list[float]] = {0: [], 1: []}
    ratio = 0.0
    for _ in range(2):  # a bad moment of the machine is not to decide for every later start
        start = time.perf_counter()
        for _ in range(ROUNDS):
            for index, engine in enumerate((exact, fast)):
                before = time.perf_counter()
                engine.run(image)
                times[index].append(time.perf_counter() - before)
            if time.perf_counter() - start >= SECONDS:
                break
        # The best of each: on a busy machine anything else measures the neighbours.
        ratio = min(times[0]) / min(times[1])
        if ratio >= SPEED_UP:
            break
    return ratio
