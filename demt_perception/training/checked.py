"""Dataclasses from YAML: an unknown key, or a value of another type, is an error that helps."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, MISSING
import difflib
import types
from typing import Any, get_args, get_origin, get_type_hints, Union


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the key, and the nearest valid one."""


def set_deep(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b.0.c`` in nested mappings and lists.

    Raises:
        ConfigError: there is no such place.
    """
    here: Any = values
    *parents, last = key.split('.')
    for name in parents:
        if isinstance(here, list):
            here = here[_index(here, name, key)]
        elif isinstance(here, dict):
            here = here.setdefault(name, {})
        if not isinstance(here, dict | list):
            raise ConfigError(f'override {key!r}: {name!r} holds a plain value')
    if isinstance(here, list):
        here[_index(here, last, key)] = value
    else:
        here[last] = value


def _index(items: list[Any], name: str, key: str) -> int:
    if not name.isdecimal() or int(name) >= len(items):
        raise ConfigError(f'override {key!r}: {name!r} is no place in a list of {len(items)}, '
                          'which are counted from 0')
    return int(name)


def read(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Return the dataclass ``kind`` with these values, each checked against its type.

    Args:
        kind: of texts, numbers, truth values, tuples, dicts, lists of dataclasses.
        values: as YAML gives them.
        where: name of the whole, for errors.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of another type.
    """
    known = {f.name: f for f in fields(kind)}
    hints = get_type_hints(kind)
    inside = f'{where}.' if where else ''
    given = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f'unknown key {inside}{key!r}' + nearest(str(key), tuple(known)))
        given[key] = _checked(value, hints[key], f'{inside}{key}')
    missing = [name for name, f in known.items() if name not in given
               and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ConfigError(f'missing {", ".join(inside + name for name in missing)}')
    return kind(**given)


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Return the value as its type wants it: lists as tuples, whole numbers as float."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        for one in arguments:
            try:
                return _checked(value, one, where)
            except ConfigError:
                continue
    elif origin is dict and isinstance(value, Mapping):
        return {_checked(k, arguments[0], where): _checked(v, arguments[1], f'{where}.{k}')
                for k, v in value.items()}
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(_checked(v, arguments[0], where) for v in value)
    elif origin is list and isinstance(value, list):
        return [_listed(v, arguments[0], f'{where}.{i}') for i, v in enumerate(value)]
    elif hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 takes 1e-4 for a text
        except (ValueError, OverflowError):
            pass
    elif hint in (str, int, bool) and type(value) is hint:
        return value
    raise ConfigError(f'{where}: {_seen(value)}, want {_named(hint)}')


def _listed(value: Any, kind: type, where: str) -> Any:
    """Return an entry of a list as its dataclass, which it may be already."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f'{where}: {_seen(value)}, want keys and values of a {kind.__name__}')
    return read(kind, value, where)


def _seen(value: Any) -> str:
    """Return a value as text; some have none: a whole number of 5,000 digits."""
    try:
        return repr(value)
    except ValueError:
        return f'a {type(value).__name__} that is too long to print'


def _named(hint: Any) -> str:
    return {str: 'a text', int: 'a whole number', float: 'a number',
            bool: 'true or false'}.get(hint, str(hint))


def nearest(key: str, known: Sequence[str]) -> str:
    """Return the end of an error text that names the nearest known key, or all."""
    near = difflib.get_close_matches(key, known, 1)
    return f'; did you mean {near[0]!r}?' if near else f'; known: {", ".join(known)}'
