"""Build an engine in a process of its own, and load it from the cache: see ``apart.py``."""

from collections.abc import Callable
from typing import Any

from demt_perception.inference.apart import cache_is_on, run_apart, Say, serve
from demt_perception.inference.engines import BusyError, LostError, NotBuiltError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.predictor import Predictor


class BuildBusyError(BusyError):
    """A builder may succeed at another time; the next try would build once more."""


def load_or_build_apart(progress: Callable[[str], None], **options: Any) -> Predictor:
    """Load from the cache; where it has no engine, build one in another process first.

    Where the cache is off, or cannot keep it, this process builds.

    Args:
        progress: called with a line whenever another step of building begins, and not at all
            where the cache has the engine.
        options: arguments of ``Predictor`` but ``build``.

    Raises:
        BuildBusyError: it may be built at another time; also where the other process lost the
            GPU.
        BusyError: what is built may be loaded at another time.
        EngineError: the build failed or crashed.
        ModelCardError, ValueError: see ``Predictor``.
    """
    try:
        return Predictor(**options, build=Build(only_cached=True))
    except NotBuiltError:
        progress('the cache has no such engine: it is built')
    try:
        if not cache_is_on():
            return Predictor(**options, build=Build(progress=progress))
        name, reason = run_apart(__name__, options, progress)
    except LostError:
        raise
    except BusyError as error:   # whose frames would keep what it took of a GPU
        why = str(error)
    else:
        return _loaded(name, reason, options, progress)
    raise BuildBusyError(why)


def _loaded(name: str, reason: str, options: dict[str, Any], progress: Callable[[str], None],
            ) -> Predictor:
    """Load what was built: that engine, chosen for that reason."""
    if options.get('engine', 'auto') != 'auto':
        return Predictor(**options, build=Build(progress=progress))
    # Those that it could not have need not be tried once more, and in this process.
    predictor = Predictor(**{**options, 'engine': name}, build=Build(progress=progress))
    predictor.engine.reason = reason
    return predictor


def _build(options: dict[str, Any], progress: Say) -> tuple[str, str]:
    """Build, in the other process; return the engine's full name, and why it was chosen."""
    predictor = Predictor(**options, build=Build(progress=progress))
    predictor.close()
    return predictor.engine.full_name, predictor.engine.reason


if __name__ == '__main__':
    serve(_build)
