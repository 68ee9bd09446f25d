"""What the pages tell people to type exists: verbs, options, make targets, launch arguments."""

import argparse
import importlib
from pathlib import Path
import re
import shlex
import subprocess
from types import ModuleType

import pytest

from demt_perception.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])


def lines(page: Path) -> list[str]:
    """Return the commands of a page's code blocks, continued lines joined, comments off."""
    kept, fence = [], None
    for line in page.read_text(encoding='utf-8').splitlines():
        if line.lstrip().startswith('```'):
            fence = None if fence is not None else line.strip(' `')
        elif fence in ('', 'sh', 'bash') or (fence is None and line.startswith('    ')):
            kept.append(line)
    text = '\n'.join(kept).replace('\\\n', ' ')
    return [re.sub(r'\s#\s.*', '', line).strip() for line in text.splitlines()]


def words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:   # a line of a table or of output
        return []


def found(pattern: str) -> list:
    """Return page and words from the match on of every command that the pattern starts."""
    return [pytest.param(words(match[0]), id=f'{page.name}: {match[0]}'[:90])
            for page in PAGES for line in lines(page)
            for match in [re.search(rf'(?:^|[ /]){pattern}.*', line)] if match]


def module_of(verb: str) -> ModuleType:
    return importlib.import_module(f'demt_perception.cli.{verb.replace("-", "_")}')


def parser_of(verb: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f'demt {verb}')
    module_of(verb).add_arguments(parser)
    return parser


def options(parser: argparse.ArgumentParser) -> set[str]:
    known = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            known |= set().union(*map(options, action.choices.values()))
    return known


@pytest.mark.parametrize('command', found(r'demt [a-z]'))
def test_demt_takes_the_commands(command, capsys):
    verb = command[1]
    assert verb in dict(VERBS), f'demt {verb}: no such verb'
    rest = command[2:]
    if cut := [index for index, word in enumerate(rest) if re.fullmatch(r'[|;&>]+|2>&1', word)]:
        rest = rest[:cut[0]]
    parser = parser_of(verb)
    parse = getattr(module_of(verb), 'PARSE', argparse.ArgumentParser.parse_args)
    try:
        parse(parser, rest)
    except SystemExit:
        pytest.fail(capsys.readouterr().err)
    known = options(parser)   # argparse takes abbreviations, too
    for word in rest:
        if re.match(r'--?[a-z]', word):
            assert word.partition('=')[0].rstrip(':;,') in known, f'demt {verb} has no {word}'


@pytest.mark.parametrize('command', found(r'make [a-z]'))
def test_make_knows_the_targets_and_variables(command):
    makefile = (ROOT / 'Makefile').read_text()
    for word in command[1:]:
        name, equals, _ = word.partition('=')
        wanted = rf'^{name} \?=' if equals else rf'^{name}:'
        if re.fullmatch(r'\w+', name):
            assert re.search(wanted, makefile, re.MULTILINE), f'make: nothing is called {word}'


@pytest.mark.parametrize('command', found(r'ros2 launch demt_perception'))
def test_launch_files_and_arguments_exist(command):
    files = {path.name: path.read_text() for path in (ROOT / 'launch').glob('*.launch.py')}
    assert command[3] in files or command[3].isupper(), f'no launch file {command[3]}'
    # Files include camera.launch.py and hand everything on.
    declared = ''.join(files.values())
    for name in re.findall(r'\b(\w+):=', ' '.join(command[4:])):
        assert f"'{name}'" in declared or name == 'NAME', f'no launch argument {name}'


@pytest.mark.parametrize('command', found(r'ros2 run demt_perception'))
def test_executables_and_parameters_exist(command):
    setup = (ROOT / 'setup.py').read_text()
    assert f"'{command[3]} = " in setup, f'no executable {command[3]}'
    known = (ROOT / 'docs/reference/parameters.md').read_text(encoding='utf-8')
    for name in re.findall(r'-p (\S+?):=', ' '.join(command[4:])):
        assert f'`{name}`' in known or name == 'use_sim_time', f'no parameter {name}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding='utf-8')
    ours = 'benchmarks|config|launch|models|requirements|test|demt_perception|demt_msgs|docs'
    for path in re.findall(
            rf'(?:^|[`\s(])((?:{ours})/[\w./-]+\.(?:py|yaml|md|txt|xml|json))', text):
        if not (ROOT / path).exists():
            # Of the user: models/mine, or what a command writes.
            assert re.match(r'models/(?!demt_driving_fast)', path), f'{page.name}: no {path}'


def test_the_makefile_can_be_read():
    result = subprocess.run(['make', '-n', 'demo', 'SOURCE=x', 'MODEL=y', 'SECONDS=1'], cwd=ROOT,
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "demt demo --out 'out/demo' --seconds '1'" in result.stdout
