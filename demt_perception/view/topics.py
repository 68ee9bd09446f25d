"""What can be looked at: the image topics of a node, as the page knows them."""

from dataclasses import dataclass

PICTURE = 'picture'
"""Kind of a topic whose colours are all that it says."""
COLORED_VECTOR = 'colored vector'
"""Kind of a topic whose colours are vectors: red, green, blue are (x, y, z) from -1 to 1."""


@dataclass(frozen=True)
class Topic:
    """One image topic.

    Attributes:
        name: full name.
        title: for people.
        camera: which one, where a node has several; else ''.
        kind: one of the two above, or ``tasks.Task.kind``: classes, scalar, probability.
        shown: it can be looked at as it is. Metres and vectors cannot.
        default: place among those that a new page shows, from 1; 0: not one of them.
        input: it comes from the camera: the outputs with its stamp follow.
        names: of the values of a topic of classes, where the label table does not have them.
    """

    name: str
    title: str
    camera: str = ''
    kind: str = PICTURE
    shown: bool = True
    default: int = 0
    input: bool = False
    names: tuple[str, ...] = ()

    @property
    def valued(self) -> bool:
        """A pixel's value can be said."""
        return self.kind != PICTURE
