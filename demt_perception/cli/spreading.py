"""How work is spread: the arguments that verbs share."""

import argparse


def add_spreading(parser: argparse.ArgumentParser) -> None:
    """Declare how work is spread, for every verb that can."""
    parser.add_argument('--processes', type=positive, default=1, metavar='N',
                        help='processes at a time (default 1; with --ray: a core each)')
    parser.add_argument('--ray', nargs='?', const='local', metavar='ADDRESS',
                        help='spread over a Ray cluster: its address, or nothing for a Ray of '
                        'this machine')


def positive(text: str) -> int:
    """Return a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: want a whole number of at least 1')
    return int(text)
