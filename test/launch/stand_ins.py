"""Launch files without launch: its classes only keep what they are given."""

from collections.abc import Callable
import importlib.util
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import pytest

from demt_perception.ros import launching

ROOT = Path(__file__).resolve().parents[2]


class Kept:
    """Stands for any action, with its arguments."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.args, self.keywords = args, keywords


class Context(dict[str, str]):
    """LaunchContext: nothing but its configurations."""

    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


class Configuration(Kept):
    """LaunchConfiguration."""

    def perform(self, context: dict[str, str]) -> str:
        if 'default' in self.keywords:
            return context.get(self.args[0], self.keywords['default'])
        return context[self.args[0]]


def kind(name: str) -> type:
    return type(name, (Kept,), {})


MODULES: dict[str, dict[str, Any]] = {
    'ament_index_python': {},
    'ament_index_python.packages': {'get_package_share_directory': lambda name: str(ROOT)},
    'launch': {'LaunchContext': Context, 'LaunchDescription': kind('LaunchDescription')},
    'launch.actions': {name: kind(name) for name in (
        'DeclareLaunchArgument', 'ExecuteProcess', 'IncludeLaunchDescription', 'LogInfo',
        'OpaqueFunction', 'SetEnvironmentVariable', 'SetLaunchConfiguration')},
    'launch.conditions': {'IfCondition': kind('IfCondition')},
    'launch.launch_description_sources': {'PythonLaunchDescriptionSource': kind('Source')},
    'launch.substitutions': {'LaunchConfiguration': Configuration},
    'launch_ros': {},
    'launch_ros.actions': {'Node': kind('Node')},
    'launch_ros.parameter_descriptions': {
        'ParameterValue': lambda value, value_type=None: value},
}


def stand_ins() -> dict[str, ModuleType]:
    """Return modules for ``sys.modules``."""
    modules = {name: ModuleType(name) for name in MODULES}
    for name, module in modules.items():
        vars(module).update(MODULES[name])
    return modules


def load(name: str) -> ModuleType:
    """Load a launch file as launch does."""
    path = ROOT / 'launch' / name
    spec = importlib.util.spec_from_file_location(path.stem.replace('.', '_'), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that loads a launch file, with stand-ins also where launch is there."""
    for name, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(launching, 'ADDED', {})   # this process needs what a launch takes back
    return load


@pytest.fixture
def run_launch(launch_file: Callable[[str], ModuleType]) -> Callable[..., list[Kept]]:
    """Return a function that runs a launch file, those it includes too, for all it would do.

    Arguments of the launch file are its keywords.
    """
    def run(file: str, **given: str) -> list[Kept]:
        context, done = Context(given), []

        def visit(actions: list[Kept]) -> None:
            for action in actions:
                what = type(action).__name__
                if what == 'DeclareLaunchArgument':
                    name = action.args[0]
                    if name not in context:
                        context[name] = action.keywords['default_value']
                    choices = action.keywords.get('choices')
                    assert not choices or context[name] in choices, f'{name}:={context[name]}'
                elif what == 'SetLaunchConfiguration':
                    context[action.args[0]] = action.args[1]
                elif what == 'OpaqueFunction':
                    visit(action.keywords['function'](context))
                elif what == 'IncludeLaunchDescription':
                    (path,) = action.args[0].args
                    context.update(action.keywords.get('launch_arguments', ()))
                    visit(description(Path(path).name))
                else:
                    done.append(action)

        def description(name: str) -> list[Kept]:
            return launch_file(name).generate_launch_description().args[0]

        visit(description(file))
        return done

    return run
