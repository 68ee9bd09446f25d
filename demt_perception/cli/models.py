"""List the models found, with their figures and licences."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import median
import sys
import textwrap
from typing import Any

from demt_perception.model_card import load_card, ModelCard, ModelCardError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt models``."""
    parser.add_argument('--table', action='store_true',
                        help="print the papers' networks instead, with parameters and operations, "
                        'plain and fused (needs torch)')
    parser.add_argument('--time', metavar='NETWORK', help='time a network of that table in eager '
                        'torch, plain against fused, e.g. "DeMT Swin-T NYUD" (needs torch)')
    parser.add_argument('--threads', type=_positive, default=1,
                        help='threads of --time (default 1)')


def run(args: argparse.Namespace) -> int:
    """Print every model; return 1 where none is found or a card is wrong."""
    if args.table:
        return _print_table()
    if args.time:
        return _print_times(args.time, args.threads)
    from demt_perception.inference.models import DEFAULT_MODEL, list_models, model_folders

    models = list_models()
    if not models:
        print('no model found; searched ' + ', '.join(map(str, model_folders()))
              + '; set DEMT_MODELS to the folder that holds yours', file=sys.stderr)
        return 1
    failures = 0
    for name, folder in models.items():
        try:
            card = load_card(folder)
        except ModelCardError as error:
            failures += 1
            print(f'{name}: {error}\n', file=sys.stderr)
            continue
        print(f'{name} (default)' if name == DEFAULT_MODEL else name)
        for key, value in _lines(card, folder):
            print(textwrap.fill(f'{key:10} {value}', 99, initial_indent='  ',
                                subsequent_indent=' ' * 13))
        print()
    return 1 if failures else 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: want a whole number of at least 1')
    return int(text)


def _print_table() -> int:
    """Print a Markdown table of the networks, row by row as they are counted."""
    from demt_perception.networks.counting import count, table

    print('| network | image | parameters M | GMAC | fused GMAC | head, fused / plain |\n'
          '|---|---|---|---|---|---|')
    for row in table():
        seen = count(row)
        print(f'| {row.label} | {row.size[0]}x{row.size[1]} | {seen.parameters / 1e6:.3f} '
              f'| {seen.plain / 1e9:.2f} | {seen.fused / 1e9:.2f} '
              f'| {seen.fused_head / seen.plain_head:.2f} |', flush=True)
    return 0


def _print_times(label: str, threads: int) -> int:
    """Print latency and memory of one network of the table."""
    from demt_perception.networks.counting import table
    from demt_perception.networks.timing import time_pair

    rows = {row.label: row for row in table()}
    if label not in rows:
        print(f'demt models: network {label!r} is not in the table: want one of\n  '
              + '\n  '.join(rows), file=sys.stderr)
        return 2
    row = rows[label]
    seen = time_pair(row, threads=threads)
    print(f'{label}, {row.size[0]}x{row.size[1]}, eager torch, {threads} threads, '
          f'{len(seen.plain)} pairs')
    for form, seconds, memory in (('plain', seen.plain, seen.plain_memory),
                                  ('fused', seen.fused, seen.fused_memory)):
        print(f'  {form}  median {median(seconds) * 1e3:.0f} ms ({min(seconds) * 1e3:.0f} to '
              f'{max(seconds) * 1e3:.0f}), peak memory {memory:.0f} MiB')
    print(f'  {seen.speedup:.2f} times faster; outputs differ by {seen.difference:.1e} at most')
    return 0


def _lines(card: ModelCard, folder: Path) -> Iterator[tuple[str, str]]:
    yield 'folder', str(folder)
    yield 'network', card.architecture
    yield 'tasks', ', '.join(card.tasks)
    yield 'classes', f'{len(card.classes)}: {", ".join(card.classes)}'
    yield 'input', f'{card.input_size[1]}x{card.input_size[0]} pixels'
    yield 'depth', f'{card.depth_range[0]:g} to {card.depth_range[1]:g} m'
    graph = folder / card.onnx
    yield 'graph', f'{graph.stat().st_size / 1e6:.1f} MB' if graph.is_file() else (
        f'{card.onnx} is missing: restore the model folder')
    for key, value in card.metrics.items():
        yield 'metrics', f'{key}: {_flat(value)}'
    yield 'licence', card.licence or 'not stated'


def _flat(value: Any) -> str:
    """Return nested figures on one line."""
    if isinstance(value, dict):
        return ', '.join(
            f'{key} ({_flat(v)})' if isinstance(v, dict) else f'{key} {_flat(v)}'
            for key, v in value.items())
    return f'{value:.4g}' if isinstance(value, float) else str(value)
