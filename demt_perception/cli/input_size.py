"""At which size a network sees pictures: the argument that verbs share."""

import argparse
from collections.abc import Callable
import re
from typing import Any


def add_input_size(parser: argparse.ArgumentParser) -> None:
    """Declare the size of the network's input."""
    parser.add_argument(
        '--input-size', type=input_size, default=(None, False), metavar='SIZE',
        help="what the network sees pictures at: card (default), the card's; auto, the shape of "
        'the first picture at about as many pixels; or HEIGHTxWIDTH')


def input_size(text: str) -> tuple[tuple[int, int] | None, bool]:
    """Return what was asked for: a size, if one was given, and whether to find one.

    Raises:
        argparse.ArgumentTypeError: it is none of the three.
    """
    if text in ('card', 'auto'):
        return None, text == 'auto'
    match = re.fullmatch(r'(\d{1,4})x(\d{1,4})', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r}: want card, auto or HEIGHTxWIDTH, 288x512')
    return (int(match[1]), int(match[2])), False


def size_options(asked: tuple[tuple[int, int] | None, bool],
                 image_size: Callable[[], tuple[int, int] | None]) -> dict[str, Any]:
    """Return what `Predictor` is to be given.

    Args:
        asked: from `input_size`.
        image_size: finds (height, width) of the first picture; called where it matters.
    """
    size, fit = asked
    return {'input_size': size, 'image_size': image_size() if fit else None}
