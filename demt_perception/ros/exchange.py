"""Other models and engines for a node at work: loaded aside, and then gone on with."""

from collections.abc import Callable
from dataclasses import replace
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from demt_perception.inference import Predictor
from demt_perception.inference.building_apart import BuildBusyError
from demt_perception.inference.engines import BusyError, LostError
from demt_perception.ros.engine_care import HungError, LONGEST, pause
from demt_perception.ros.loading import aside, describe, load_at_once, load_or_build
from demt_perception.ros.parameters import Settings
from demt_perception.ros.perception import Perception

LONGEST_OF_BUILDS = 3600.0
"""Seconds at most between two builds in vain: each takes memory, and a core for minutes, from what
serves meanwhile, and a GPU that is too small stays so."""


class Exchange:
    """Coroutines of the node's executor; frames go on meanwhile.

    Where the node is cleaned up, or another model comes while one is loaded, what was loaded is
    freed again.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Begin with nothing to load."""
        self._node = node
        self._loading = 0
        self._matching = False
        self._building: list[tuple[Perception, int]] = []   # after which of its exchanges

    def is_loading(self) -> bool:
        """Tell whether a thread is loading a model or an engine."""
        return self._loading > 0

    async def load_model(self, perception: Perception, model: str, engine: str,
                         ) -> tuple[bool, str]:
        """Go on with another model or engine; return whether that worked, and what to say."""
        def wanted() -> Settings:
            now = perception.settings
            return replace(now, model=model or now.model, engine=engine or now.engine)

        begin, asked = time.monotonic(), wanted()
        loaded = await self._load(lambda: load_or_build(asked, _silent))
        if isinstance(loaded, Exception):
            return False, f'the old model stays: {loaded}'
        if perception.closed:
            loaded.close()
            return False, 'the node was cleaned up meanwhile: nothing was changed'
        try:
            # Other settings may have changed meanwhile, but it was loaded for this shape.
            perception.replace(loaded, replace(wanted(), image_size=asked.image_size))
        except Exception as error:
            loaded.close()
            return False, f'the old model stays: {error}'
        perception.building = ''   # of the old one
        return True, describe(loaded, begin)

    async def finish_building(self, perception: Perception) -> None:
        """Build the engine that is wanted, and go on with it.

        Without effect while that is at work, which an engine that fails meanwhile does not change.

        Raises:
            HungError: the GPU is lost to this process.
        """
        exchanges, engine = perception.exchanges, perception.settings.engine
        begin, order = time.monotonic(), (perception, exchanges)
        if order in self._building:
            return
        self._building.append(order)

        def say(line: str) -> None:
            perception.building = f'{time.monotonic() - begin:.0f} s: {line}'

        say('begins')
        loaded = await self._wait_for(perception, say)
        self._building.remove(order)
        if all(other is not perception for other, _ in self._building):
            perception.building = ''
        if isinstance(loaded, Exception):
            text = f'engine {engine} cannot be built: {loaded}'
            if _is_current(perception, exchanges):
                self._node.get_logger().error(text)
                perception.failure = text
        elif _is_current(perception, exchanges, loaded):
            if why_not := _take_over(perception, loaded, perception.settings):
                perception.failure = f'engine {engine} was built in vain: {why_not}'
                self._node.get_logger().error(perception.failure)
            else:
                self._node.get_logger().info(f'built: {describe(loaded, begin)}')

    async def _wait_for(self, perception: Perception, say: Callable[[str], None],
                        ) -> Predictor | Exception:
        """Return the engine that is wanted, when it is no longer busy; or why there is none.

        A lost GPU may be lost to the next process, too. So this one serves for a while before it
        ends, and frames go on most of the time.
        """
        exchanges, settings, tries = perception.exchanges, perception.settings, 0
        while True:
            loaded = await self._load(lambda: load_or_build(settings, say))
            if not isinstance(loaded, BusyError) or not _is_current(perception, exchanges):
                return loaded
            tries += 1
            why, lost = str(loaded), isinstance(loaded, LostError)
            longest = LONGEST_OF_BUILDS if isinstance(loaded, BuildBusyError) else LONGEST
            del loaded   # with what it holds of the GPU
            seconds = LONGEST if lost else pause(tries, longest)
            say(f'{why}; the {"process ends" if lost else "next try is"} in {seconds:.0f} s')
            self._node.get_logger().warning(
                f'engine {settings.engine} has to wait, {perception.building}' + (
                    '' if lost else f'; pauses double, up to {longest:.0f} s'))
            while seconds > 0:   # in steps: what is no longer wanted is not held for an hour
                await self._sleep(min(seconds, LONGEST))
                seconds -= LONGEST
                if not _is_current(perception, exchanges):
                    return BusyError(why)
            if lost:
                raise HungError(why)

    async def match_aspect(self, perception: Perception, size: tuple[int, int]) -> None:
        """Go on with the model for images of this (height, width).

        Where that fails, it stays as it is for good. Without effect while it is at work, and while
        the engine is being built: two builds at once would take twice the memory.
        """
        if self._matching or perception.building:
            return
        self._matching = True
        exchanges = perception.exchanges
        begin = time.monotonic()
        wanted = replace(perception.settings, image_size=size)
        loaded = await self._load(lambda: load_or_build(wanted, _silent))
        self._matching = False
        if isinstance(loaded, Exception):
            why_not = _words(loaded)
        elif _is_current(perception, exchanges, loaded):
            why_not = _take_over(perception, loaded, replace(perception.settings, image_size=size))
        else:
            return
        if not why_not:
            self._node.get_logger().info(f'in the shape of the images: {describe(loaded, begin)}')
            return
        self._node.get_logger().error(f'the input keeps its shape: {why_not}')
        if _is_current(perception, exchanges):
            perception.keeps_shape = True

    async def restart_engine(self, perception: Perception) -> None:
        """Load the engine anew, as ``perception.care`` has begun to want it, and go on with it.

        Raises:
            HungError: the GPU is lost to this process.
        """
        exchanges, begin, settings = perception.exchanges, time.monotonic(), perception.settings
        said = self._node.get_logger()
        loaded = await self._load(lambda: load_at_once(settings))
        if isinstance(loaded, LostError) and _is_current(perception, exchanges):
            raise HungError(str(loaded))
        if isinstance(loaded, Exception):
            perception.care.end(str(loaded))
            said.error(perception.care.trouble)
            return
        predictor, more = loaded
        if not _is_current(perception, exchanges, predictor):
            perception.care.end('another model came meanwhile')
            return
        if why_not := _take_over(perception, predictor, perception.settings):
            perception.care.end(why_not)
            said.error(perception.care.trouble)
            return
        perception.care.end()
        said.warning(f'the engine was loaded anew: {describe(predictor, begin)}')
        if more:
            await self.finish_building(perception)

    async def _sleep(self, seconds: float) -> None:
        over: Future = Future(executor=self._node.executor)
        over.add_done_callback(lambda _: None)  # wakes the executor
        timer = self._node.create_timer(seconds, lambda: over.set_result(None),
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        await over
        self._node.destroy_timer(timer)

    def _load(self, load: Callable[[], Any]) -> Future:
        """Return a future of what a function loads, or of the exception why there is nothing."""
        future: Future = Future(executor=self._node.executor)
        future.add_done_callback(lambda _: None)  # wakes the executor
        self._loading += 1   # before the thread is there: a signal may come in between

        def done(result: Any) -> None:
            future.set_result(result)
            self._loading -= 1

        aside(load, done)
        return future


def _is_current(perception: Perception, exchanges: int, loaded: Predictor | None = None) -> bool:
    """Tell whether nothing else came meanwhile; frees what was loaded if not."""
    if not perception.closed and perception.exchanges == exchanges:
        return True
    if loaded is not None:
        loaded.close()
    return False


def _take_over(perception: Perception, loaded: Predictor, settings: Settings) -> str:
    """Go on with the same model, loaded anew; return why not, where it is freed."""
    why_not = f'{loaded.folder} holds another model by now, which ~/load_model takes over'
    try:
        if perception.runs(loaded.card):
            perception.go_on_with(loaded, settings)
            return ''
    except Exception as error:   # as in ``Perception.go_on_with``
        why_not = _words(error)
    loaded.close()
    return why_not


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__   # MemoryError has no words


def _silent(line: str) -> None:
    """Tell nobody."""
