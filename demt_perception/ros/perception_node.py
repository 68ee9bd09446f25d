"""The perception node: wiring of lifecycle, parameters, services and reports.

Topics, services and parameters: ``config/perception.yaml`` and the README. Reception and
publication are in ``perception.py`` and what that imports.
"""

from dataclasses import replace
import sys
import threading
import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future

from demt_perception.inference import Predictor
from demt_perception.ros.frame_statistics import Snapshot
from demt_perception.ros.health import Inference, verdict
from demt_perception.ros.optional_messages import demt_srvs, missing_text
from demt_perception.ros.parameters import (
    declare_parameters,
    read_settings,
    Settings,
    value_trouble,
)
from demt_perception.ros.perception import describe, load_predictor, Perception
from demt_perception.ros.reports import Reports

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PerceptionNode(LifecycleNode):
    """A managed node that turns one camera into dense predictions."""

    def __init__(self) -> None:
        """Declare parameters, report from the start on, and configure itself if wished."""
        super().__init__('demt_perception')
        declare_parameters(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._state = 'unconfigured'
        self._failure = ''
        self._trouble = ''
        self._perception: Perception | None = None
        self._reports = Reports(self)
        # Steady time: reports go on while a simulated clock stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(float(self.get_parameter('diagnostics_period').value), self._report,
                          clock=steady)
        if demt_srvs:
            self.create_service(demt_srvs.SetTasks, '~/set_tasks', self._on_set_tasks)
            # A group of its own: while a model loads, everything else goes on.
            self.create_service(demt_srvs.LoadModel, '~/load_model', self._on_load_model,
                                callback_group=MutuallyExclusiveCallbackGroup())
        if missing_text():
            self.get_logger().info(missing_text())
        if self.get_parameter('autostart').value:
            # From within spin, so that it works with `ros2 run` and on every distribution.
            self._autostart = self.create_timer(0.0, self._on_autostart, clock=steady)

    def close(self) -> None:
        """Stop all threads and free the model."""
        if self._perception is not None:
            self._perception.close()
            self._perception = None

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the model and warm it up; FAILURE, with the reason said, where that fails."""
        begin = time.monotonic()
        try:
            settings = read_settings(self)
            predictor = load_predictor(settings)
            try:
                self._perception = Perception(self, settings, predictor)
            except Exception:
                predictor.close()
                raise
        except Exception as error:
            self._fail(f'cannot be configured: {error}')
            return FAILURE
        self._failure = ''
        self._state = 'inactive'
        self.get_logger().info(describe(predictor, begin))
        return SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Begin to process frames; FAILURE, with the reason said, where that fails."""
        assert self._perception is not None  # configured: the state machine sees to it
        try:
            self._perception.activate()
        except Exception as error:
            self._perception.deactivate()
            self._fail(f'cannot be activated: {error}')
            return FAILURE
        self._failure = ''
        self._state = 'active'
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Stop to process frames; the model stays loaded."""
        assert self._perception is not None
        self._perception.deactivate()
        self._state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Free the model."""
        self.close()
        self._state, self._failure = 'unconfigured', ''
        return SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Free the model, for good."""
        self.close()
        self._state, self._failure = 'finalized', ''
        return SUCCESS

    def on_error(self, state: State) -> TransitionCallbackReturn:
        """Free what an unforeseen error in a transition left, so that configuring works again."""
        self.get_logger().error(f'a transition from {state.label} failed unexpectedly')
        return self.on_cleanup(state)

    def _fail(self, text: str) -> None:
        self._failure = text
        self.get_logger().error(text)
        self._report()

    def _on_autostart(self) -> None:
        self.destroy_timer(self._autostart)
        if self._state == 'unconfigured' and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse what would not take effect: say yes only to what is then true."""
        for parameter in parameters:
            if trouble := value_trouble(parameter.name, parameter.value):
                return SetParametersResult(successful=False, reason=trouble)
        fixed = [p.name for p in parameters
                 if self._perception is not None and p.name in Settings.__dataclass_fields__
                 and _plain(p.value) != _plain(self.get_parameter(p.name).value)]
        if fixed:
            return SetParametersResult(
                successful=False, reason=f'{", ".join(fixed)} is taken over by configure: '
                'deactivate and clean up first')
        return SetParametersResult(successful=True)

    def _on_set_tasks(self, request: Any, response: Any) -> Any:
        if self._perception is None:
            response.message = f'the node is {self._state}: configure it first'
            return response
        try:
            self._perception.set_tasks(list(request.tasks))
            response.success = True
        except ValueError as error:
            response.message = str(error)
        response.tasks = list(self._perception.tasks)
        return response

    async def _on_load_model(self, request: Any, response: Any) -> Any:
        """Load aside in a thread, then go on with the new model."""
        perception = self._perception
        if perception is None:
            response.message = f'the node is {self._state}: configure it first'
            return response
        now = perception.settings
        wanted = replace(now, model=request.model or now.model,
                         engine=request.engine or now.engine)
        begin = time.monotonic()
        loaded = await self._load_aside(wanted)
        if isinstance(loaded, Exception):
            response.message = f'the old model stays: {loaded}'
            self.get_logger().error(response.message)
        elif self._perception is not perception:
            loaded.close()
            response.message = 'the node was cleaned up meanwhile: nothing was changed'
        else:
            perception.replace(loaded, wanted)
            response.success, response.message = True, describe(loaded, begin)
            self.get_logger().info(response.message)
        return response

    def _load_aside(self, settings: Settings) -> Future:
        """Return a future of a Predictor, or of the exception why there is none."""
        future: Future = Future(executor=self.executor)
        future.add_done_callback(lambda _: None)  # wakes the executor

        def load() -> None:
            result: Predictor | Exception
            try:
                result = load_predictor(settings)
            except Exception as error:
                result = error
            future.set_result(result)

        threading.Thread(target=load, name='load_model', daemon=True).start()
        return future

    def _report(self) -> None:
        """Judge the state, publish it, and log a trouble of the input when it begins."""
        perception = self._perception
        snapshot = Snapshot() if perception is None else perception.statistics.snapshot()
        trouble = self._input_trouble(snapshot)
        if trouble and not self._trouble:
            self.get_logger().warning(trouble)
        self._trouble = trouble
        level, text = verdict(self._state, self._failure, snapshot, trouble)
        self._reports.publish(
            level, text, Inference() if perception is None else perception.inference(), snapshot,
            -1.0 if perception is None else perception.frame_age())

    def _input_trouble(self, snapshot: Snapshot) -> str:
        if self._perception is None or self._perception.reception is None:
            return ''
        watch = self._perception.reception.watch
        if snapshot.silence > self._perception.settings.no_frame_timeout:
            return watch.silence(snapshot)
        return watch.loss(snapshot)


def _plain(value: Any) -> Any:
    """Return arrays, which rclpy has of two kinds, as lists that compare."""
    return list(value) if hasattr(value, '__len__') and not isinstance(value, str) else value


def main(args: list[str] | None = None) -> int:
    """Run the node until it is stopped; return the exit code."""
    rclpy.init(args=args)
    node = None
    try:
        node = PerceptionNode()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal takes the context away from a callback that is just publishing.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
