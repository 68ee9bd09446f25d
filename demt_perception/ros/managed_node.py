"""The perception node: wiring of lifecycle, parameters, services and reports.

Topics, services and parameters: ``config/perception.yaml`` and the README. Reception and
publication are in ``perception.py`` and what that imports; what runs the node, as a process, is in
``node_process.py``.
"""

import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from demt_perception.inference.spare_threads import keep_ready
from demt_perception.ros import stall
from demt_perception.ros.engine_care import HungError, PERIOD
from demt_perception.ros.exchange import Exchange
from demt_perception.ros.given_up import free_garbage, GivenUp
from demt_perception.ros.loading import describe, load_at_once
from demt_perception.ros.mishaps import Mishaps
from demt_perception.ros.optional_messages import demt_srvs, missing_text
from demt_perception.ros.parameters import (
    cameras_of,
    declare_cameras,
    declare_parameters,
    FIXED,
    read_settings,
    strange_camera,
    value_trouble,
)
from demt_perception.ros.perception import Perception
from demt_perception.ros.reports import Reports

# Works at once: inference, publication, a model that loads, tasks or pictures that are prepared
# for this model and for the one before, and as many again that were given up.
THREADS = 8
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PerceptionNode(LifecycleNode):
    """A managed node that turns cameras into dense predictions."""

    def __init__(self) -> None:
        """Declare parameters, report from the start on, and configure itself if wished."""
        super().__init__('demt_perception')
        keep_ready(THREADS)
        declare_parameters(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._state = 'unconfigured'
        self._failure = ''
        self._enabled = True
        self._saving = False
        self._perception: Perception | None = None
        self._given_up = GivenUp()
        self._mishaps = Mishaps()
        self._exchange = Exchange(self)
        self._reports = Reports(self)
        # Steady time: reports go on while a simulated clock stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            float(self.get_parameter('diagnostics_period').value), self._report, clock=steady)
        self.create_timer(PERIOD, self._look_after_engine, clock=steady)
        self.create_service(SetBool, '~/enable', self._on_enable)
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

    def outlive(self, error: Exception) -> bool:
        """Say that a callback failed; return whether the node goes on."""
        if isinstance(error, HungError):
            return False
        goes_on, text = self._mishaps.outlive(error)
        self.get_logger().error(text)
        return goes_on

    def close(self) -> None:
        """Stop all threads and free the model."""
        if self._perception is not None:
            self._perception.close()
            self._given_up.add(self._perception)
            self._perception = None
            self._given_up.free()

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the model and warm it up; FAILURE, with the reason said, where that fails."""
        with stall.disarmed():   # an engine may have to be built
            return self._configure()

    def _configure(self) -> TransitionCallbackReturn:
        begin = time.monotonic()
        self._state = 'configuring'
        self._report()   # the last one until then
        try:
            declare_cameras(self, cameras_of(self.get_parameter('cameras').value))
            settings = read_settings(lambda name: self.get_parameter(name).value)
            predictor, more = load_at_once(settings)
            try:
                self._perception = Perception(self, settings, predictor)
            except Exception:
                predictor.close()
                raise
        except Exception as error:
            self._state = 'unconfigured'
            self._fail(f'cannot be configured: {error}')
            return FAILURE
        self._failure = ''
        self._state = 'inactive'
        self.get_logger().info(describe(predictor, begin))
        if more:
            self._perception.building = 'begins'
            self.executor.create_task(self._exchange.finish_building, self._perception)
        return SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Begin to process frames; FAILURE, with the reason said, where that fails."""
        assert self._perception is not None  # configured: the state machine sees to it
        try:
            self._perception.activate(self._enabled)
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
        free_garbage()
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
        """Make the change, or refuse it and say why: yes is only said to what is then true."""
        # Subscriptions declare the others, which are not ours: from within such a change, too.
        new = {parameter.name: parameter.value for parameter in parameters
               if not parameter.name.startswith('qos_overrides.')}
        if not new:
            return SetParametersResult(successful=True)
        for name, value in new.items():
            if trouble := value_trouble(name, value):
                return SetParametersResult(successful=False, reason=trouble)
        if self._perception is not None and not self._saving:
            for name, value in new.items():
                if (trouble := strange_camera(name, self._perception.settings.cameras)) and (
                        _plain(value) != _plain(self.get_parameter(name).value)):
                    return SetParametersResult(successful=False, reason=trouble)
            for name, why in FIXED.items():
                if name in new and _plain(new[name]) != _plain(self.get_parameter(name).value):
                    return SetParametersResult(successful=False, reason=f'{name} {why}')
            try:
                now = self._perception.settings
                self._perception.apply(now.live(read_settings(
                    lambda name: new[name] if name in new else self.get_parameter(name).value)))
            except Exception as error:
                return SetParametersResult(successful=False, reason=str(error))
        if 'diagnostics_period' in new:
            self._timer.timer_period_ns = int(new['diagnostics_period'] * 1e9)
            self._timer.reset()   # or the next report would still come when the old period ends
        return SetParametersResult(successful=True)

    def _on_enable(self, request: Any, response: Any) -> Any:
        try:
            if self._perception is not None:
                self._perception.enable(request.data)
            self._enabled = request.data
            response.success = True
            response.message = self._shown_state()
        except Exception as error:   # an override of its quality of service that cannot be
            response.message = str(error)
            self.get_logger().error(response.message)
        return response

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
        perception = self._perception
        if perception is None:
            response.message = f'the node is {self._state}: configure it first'
            return response
        response.success, response.message = await self._exchange.load_model(
            perception, request.model, request.engine)
        if response.success:
            self._save(model=perception.settings.model, engine=perception.settings.engine)
            self.get_logger().info(response.message)
        else:
            self.get_logger().error(response.message)
        return response

    def _save(self, **values: Any) -> None:
        """Let parameters tell what is true by now."""
        self._saving = True
        try:
            self.set_parameters([Parameter(name, value=value) for name, value in values.items()])
        finally:
            self._saving = False

    def _report(self) -> None:
        """Publish the state, and follow the shape of the images where that is wished."""
        perception = self._perception
        if perception is not None and (size := perception.size_to_match()) is not None:
            self.executor.create_task(self._exchange.match_aspect, perception, size)
        self._reports.publish(self._shown_state(), self._failure, perception,
                              self._mishaps.take())
        self._given_up.look()

    def _look_after_engine(self) -> None:
        """Have an engine replaced that hangs or fails; raises HungError where that is no use."""
        perception = self._perception
        if perception is None:
            return
        if perception.look_after_engine():
            perception.care.begin()
            self.executor.create_task(self._exchange.restart_engine, perception)
            self.get_logger().error(perception.care.trouble)
            self._report()
        if perception.care.news:
            self.get_logger().error(perception.care.news)

    def _shown_state(self) -> str:
        return self._state if self._enabled else f'{self._state}, disabled by ~/enable'

    def is_loading(self) -> bool:
        """Tell whether a thread is loading or freeing a model or an engine."""
        return self._exchange.is_loading() or self._given_up.is_preparing()


def _plain(value: Any) -> Any:
    """Return arrays, which rclpy has of two kinds, as lists that compare."""
    return list(value) if hasattr(value, '__len__') and not isinstance(value, str) else value
