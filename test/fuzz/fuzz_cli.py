"""Targets: what is typed after `demt`."""

import argparse
import contextlib
from functools import cache
import importlib
import io

from drawing import Draw
from fuzz_target import Target

from demt_perception.cli.input_size import input_size
from demt_perception.cli.main import VERBS

WORDS = ('', 'auto', '0', '1', '-1', '1e400', 'nan', '288x512', '99999999999x1', '--', '-', '@',
         'a.mcap', '1.5', '=', '--help', '²', '٣x٣', '9' * 5000)


@cache
def parser(verb: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f'demt_perception.cli.{verb.replace("-", "_")}')
    made = argparse.ArgumentParser(f'demt {verb}', description=module.__doc__)
    module.add_arguments(made)
    return made


@cache
def options(verb: str) -> tuple[str, ...]:
    """Return the options of a verb and the names of what is below it."""
    found: list[str] = []
    for action in parser(verb)._actions:
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found += [name, *(o for a in below._actions for o in a.option_strings)]
    return tuple(found)


def arguments(data: bytes) -> None:
    """Arguments of a verb: taken, or refused with exit code 2."""
    draw = Draw(data)
    verb = draw.pick(VERBS)[0]
    words = []
    for _ in range(draw.unsigned() % 8):
        kind = draw.unsigned() % 4
        words.append(draw.pick(options(verb)) if kind < 2 else
                     draw.pick(WORDS) if kind == 2 else draw.text())
    quiet = io.StringIO()
    with contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
        code = exit_code(verb, words)
    assert code in (0, 2), code


def exit_code(verb: str, words: list[str]) -> object:
    try:
        parser(verb).parse_args(words)
    except SystemExit as end:
        return end.code
    return 0


def size(data: bytes) -> None:
    """A size of the network's input."""
    with contextlib.suppress(argparse.ArgumentTypeError):
        found, _ = input_size(data.decode('utf-8', 'surrogateescape'))
        assert found is None or all(0 <= side < 10000 for side in found)


TARGETS = {
    'arguments of verbs': Target(arguments, lambda: [bytes([n]) + bytes(range(40))
                                                     for n in range(len(VERBS))], 128),
    'argument: size': Target(size, lambda: [b'auto', b'288x512'], 16),
}
