"""At which size a network sees pictures."""

from collections.abc import Sequence
import math

from demt_perception.inference.preprocess import check_size
from demt_perception.model_card import ModelCard

LONGEST = 8192
PIXELS_MATTER = 0.25
"""How much a size costs for having more or fewer pixels than the card's, against stretching."""


class InputSizeError(ValueError):
    """A model cannot be run at a size, or none be found; the text says what is wanted."""


def check_input_size(card: ModelCard, wanted: Sequence[int]) -> tuple[int, int]:
    """Return (height, width) where a model can be run at them.

    Raises:
        InputSizeError: it cannot.
    """
    sides, multiple = tuple(wanted), card.size_multiple
    if len(sides) != 2 or not all(0 < side <= LONGEST and side % multiple == 0 for side in sides):
        raise InputSizeError(f'input_size is {sides}, want (height, width), two multiples of '
                             f'{multiple} up to {LONGEST}, e.g. {card.input_size}')
    return int(sides[0]), int(sides[1])


def fit_input_size(card: ModelCard, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the input size that suits pictures of a size: (height, width) both.

    It stretches them little and has about as many pixels as the card's own size, so that it takes
    about as long: the least of |log(stretch)| + 0.25 |log(pixels / pixels of the card)| over all
    multiples that the graph takes. The card's own size where the pictures have its shape.

    Raises:
        InputSizeError: the picture is empty or absurdly large.
    """
    height, width = image_size
    try:
        check_size(height, width, 'image')
    except ValueError as error:
        raise InputSizeError(str(error)) from None
    if math.isclose(width / height, card.input_size[1] / card.input_size[0], rel_tol=0.02):
        return card.input_size
    step, pixels = card.size_multiple, math.prod(card.input_size)

    def cost(size: tuple[int, int]) -> tuple[float, int]:
        stretch = (size[1] / size[0]) / (width / height)
        return (abs(math.log(stretch)) + PIXELS_MATTER * abs(math.log(math.prod(size) / pixels)),
                math.prod(size))

    top = LONGEST // step * step
    near = {}   # the widths just below and above the shape, for each height
    for high in range(step, top + 1, step):
        low = min(max(step, int(high * width / height // step) * step), top)
        near[high] = {low, min(low + step, top)}
    return min(((high, wide) for high, widths in near.items() for wide in widths), key=cost)
