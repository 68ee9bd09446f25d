"""Launch files without launch: its classes only keep what they are given."""

from collections.abc import Callable
import importlib.util
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Kept:
    """Stands for any action, with its arguments."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.args, self.keywords = args, keywords


class Configuration(Kept):
    """LaunchConfiguration; a context is a dictionary of texts."""

    def perform(self, context: dict[str, str]) -> str:
        if 'default' in self.keywords:
            return context.get(self.args[0], self.keywords['default'])
        return context[self.args[0]]


def kind(name: str) -> type:
    return type(name, (Kept,), {})


MODULES: dict[str, dict[str, Any]] = {
    'ament_index_python': {},
    'ament_index_python.packages': {'get_package_share_directory': lambda name: str(ROOT)},
    'launch': {'LaunchContext': dict, 'LaunchDescription': kind('LaunchDescription')},
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


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that loads a launch file, with stand-ins also where launch is there."""
    for name, content in MODULES.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    def load(name: str) -> ModuleType:
        path = ROOT / 'launch' / name
        spec = importlib.util.spec_from_file_location(path.stem.replace('.', '_'), path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_launch(launch_file: Callable[[str], ModuleType]) -> Callable[..., list[Kept]]:
    """Return a function that runs a launch file, those it includes too, for all it would do.

    Arguments of the launch file are its keywords.
    """
    def run(file: str, **given: str) -> list[Kept]:
        context, done = dict(given), []

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
