"""Load models for the node: at once, or aside while frames go on."""

from collections.abc import Callable
from dataclasses import replace
import time
from typing import Any, TypeVar

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.building_apart import BuildBusyError, load_or_build_apart
from demt_perception.inference.cpu import cpu_name, has_gpu
from demt_perception.inference.engines import AUTO_GPU, BUSY, BusyError, NotBuiltError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.spare_threads import Work
from demt_perception.ros.parameters import Settings

T = TypeVar('T')

MEANWHILE = 'onnxruntime:cpu'
"""The engine that serves while another one is built: it loads within a second, anywhere."""


def load_at_once(settings: Settings) -> tuple[Predictor, bool]:
    """Load what can be had without building, and tell whether the right engine is still to come.

    Where an engine has to be built first, or the GPU cannot run it now, onnxruntime on the CPU
    serves meanwhile, if it is there; else what ``auto`` takes in place of the right one. Also
    where the GPU is lost to the process: frames are to go on until that ends.
    """
    try:
        cached = Predictor(**_options(settings), build=Build(only_cached=True))
        return _warm(cached, settings), False
    except (NotBuiltError, BusyError):
        pass
    try:
        meanwhile = replace(settings, engine=MEANWHILE, precision='auto')
        return _warm(Predictor(**_options(meanwhile)), meanwhile), True
    except EngineError:
        pass
    try:
        predictor = load_or_build_apart(_silent, **_options(settings))
    except BusyError:
        predictor = Predictor(**_options(settings))   # what else ``auto`` takes
    return _warm(predictor, settings), _is_stand_in(predictor)


def load_or_build(settings: Settings, progress: Callable[[str], None]) -> Predictor:
    """Load the right engine, however long its building takes.

    Args:
        settings: what to load.
        progress: called with a line a step where an engine is to be built.

    Raises:
        BuildBusyError: it may be built at another time; also where ``auto`` would do without it.
        BusyError: the same, but that what the cache has is only to be loaded.
        Exception: as of ``load_or_build_apart``.
    """
    building = False

    def say(line: str) -> None:
        nonlocal building
        building = True
        progress(line)

    predictor = load_or_build_apart(say, **_options(settings))
    if _is_stand_in(predictor):
        predictor.close()
        raise (BuildBusyError if building else BusyError)(predictor.engine.reason)
    return _warm(predictor, settings)


def aside(load: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
    """Load in a thread; ``done`` gets the result or why there is none, once, in that thread."""
    def work() -> None:
        result: T | Exception
        try:
            result = load()
        except Exception as error:   # whose frames would keep what it took of a GPU
            result = error.with_traceback(None)
        done(result)

    Work(work, name='load_model').start()


def describe(predictor: Predictor, begin: float) -> str:
    """Return one line about a predictor that was loaded since ``begin`` (monotonic)."""
    engine = predictor.engine
    height, width = predictor.input_size
    return (f'model {predictor.card.name} at {width}x{height} on {engine.name}, {engine.device}, '
            f'{engine.precision} ({engine.reason}), loaded in {time.monotonic() - begin:.1f} s')


def _options(settings: Settings) -> dict[str, Any]:
    names = 'model', 'engine', 'threads', 'input_size', 'image_size', 'precision'
    return {name: getattr(settings, name) for name in names}


def _warm(predictor: Predictor, settings: Settings) -> Predictor:
    """Run it once; on a GPU frames of several cameras go together, where that is faster."""
    try:
        predictor.warm_up()
        if len(settings.cameras) > 1 and has_gpu() and predictor.engine.name != 'openvino' and (
                predictor.engine.device != cpu_name()):
            predictor.batch_with(len(settings.cameras))
    except BaseException:
        predictor.close()
        raise
    return predictor


def _is_stand_in(predictor: Predictor) -> bool:
    """Tell whether its engine was taken as one on the GPU was only busy."""
    return BUSY in predictor.engine.reason and predictor.engine.full_name not in AUTO_GPU


def _silent(line: str) -> None:
    """Tell nobody."""
