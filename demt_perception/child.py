"""Python processes of our own: they find modules where this one does, not where they stand.

``python -m`` and ``-c`` look in the current folder before anywhere else. It may be a stranger's: a
folder of recordings with a ``yaml.py`` in it. (PYTHONSAFEPATH is only known to Python 3.11 on.)
"""

from functools import cache
from pathlib import Path
import sys

# multiprocessing gives its own `-c` and code after it.
_TAKE_NEXT = 'code = sys.argv[2]; del sys.argv[1:3]; exec(code)'


def python_command(option: str, what: str, *arguments: str) -> list[str]:
    """Return the command of a process of this Python.

    Args:
        option: ``-m`` for a module, ``-c`` for code.
        what: the module's name, or the code.
        arguments: for it.
    """
    code = what if option == '-c' else (
        f"import runpy; runpy.run_module({what!a}, run_name='__main__', alter_sys=True)")
    return [sys.executable, '-c', f'{_begin()}\n{code}', *arguments]


@cache
def guard_multiprocessing() -> None:
    """Have it start its processes likewise: those that are spawned, and their tracker."""
    from multiprocessing import util
    name = '_args_from_interpreter_flags'   # what of a command comes before `-c`
    options = getattr(util, name)
    setattr(util, name, lambda: [*options(), '-c', f'{_begin()}; {_TAKE_NEXT}'])


def _begin() -> str:
    """Return code that has a process look for modules where this one does.

    Of where either stands, it takes only ourselves.
    """
    home = str(Path(__file__).parents[1])
    places = [place for place in sys.path if isinstance(place, str)]
    return 'import sys; sys.path[:] = ' + ascii(
        [place or home for place in places if place or home not in places])
