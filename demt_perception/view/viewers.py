"""Who looks: viewers that asked lately, and for some minutes those that paused and went silent."""

from dataclasses import dataclass, field
import time

from demt_perception.view.frame import Frame

MAX_VIEWERS = 8
LEASE = 3.0
"""Seconds without a request after which a viewer has gone."""
PAUSE = 600.0
"""Seconds for which a paused viewer that has gone, to another tab perhaps, finds its values."""
MAX_PAUSED = 4
"""Viewers whose values are kept so, as values of large images are tens of megabytes."""


class TooManyViewersError(Exception):
    """So many look already; the text says what to do."""


@dataclass
class Viewer:
    """One page.

    Attributes:
        shown: topics that it wants pictures of; none while it is paused.
        probing: it wants values, too.
        until: when its lease ends, monotonic seconds.
        turn: counts its requests.
        stamp: of the pictures that it has; None: it has none.
        values: that belong to these, by topic.
    """

    shown: frozenset[str] = frozenset()
    probing: bool = False
    until: float = 0.0
    turn: int = 0
    stamp: int | None = None
    values: dict[str, Frame] = field(default_factory=dict)


class Viewers:
    """The viewers of a hub, which locks."""

    def __init__(self) -> None:
        """Begin with none."""
        self._here: dict[str, Viewer] = {}
        self._paused: dict[str, Viewer] = {}

    def enter(self, name: str) -> Viewer:
        """Return the viewer of this name: a new one where it is not known, or no longer.

        Raises:
            TooManyViewersError: it is one too many.
        """
        if name not in self._here:
            if len(self._here) >= MAX_VIEWERS:
                raise TooManyViewersError(
                    f'{MAX_VIEWERS} viewers are connected already: close another page')
            self._here[name] = self._paused.pop(name, Viewer())
        return self._here[name]

    def find(self, name: str) -> Viewer | None:
        """Return the viewer of this name, where it is known."""
        return self._here.get(name) or self._paused.get(name)

    def here(self) -> list[Viewer]:
        """Return those who asked lately; the others go."""
        now = time.monotonic()
        for name in [name for name, viewer in self._here.items() if viewer.until < now]:
            viewer = self._here.pop(name)
            if viewer.values and not viewer.shown:
                self._paused[name] = viewer
        for count, (name, viewer) in enumerate(reversed(list(self._paused.items()))):
            if count >= MAX_PAUSED or viewer.until + PAUSE < now:
                del self._paused[name]
        return list(self._here.values())
