"""Troubles in plain words, and how much of one it is."""

from dataclasses import dataclass

OK, WARN, ERROR = 0, 1, 2
"""Levels of diagnostic_msgs/DiagnosticStatus. ERROR: no output is worth anything."""


@dataclass(frozen=True)
class Reason:
    """One trouble.

    Attributes:
        name: of its score, see ``scores.scores``; ``moved`` is one that ``unknown`` becomes.
        level: WARN or ERROR.
        words: what it is.
        remedy: what to do.
    """

    name: str
    level: int
    words: str
    remedy: str


REASONS = {reason.name: reason for reason in (
    Reason('covered', ERROR, 'lens covered', 'most of the picture shows nothing: clean the lens'),
    Reason('frozen', ERROR, 'picture frozen', 'not one grey level changes: restart the camera'),
    Reason('dark', ERROR, 'too dark', 'hardly anything is brighter than black: light, exposure, '
                                      'or a cap on the lens'),
    Reason('noise', ERROR, 'noise instead of a picture', 'check cable, driver and encoding'),
    Reason('fog', WARN, 'fog', 'or steam, or a fogged lens: trust what is near only'),
    Reason('bright', WARN, 'too bright', 'much of the picture is white: exposure, or the sun'),
    Reason('blurred', WARN, 'out of focus', 'or shaken, or wet: focus the lens, mount it firmly'),
    Reason('moved', WARN, 'camera moved', 'the same colours as before lie elsewhere: check the '
                                          'mount'),
    Reason('unknown', WARN, 'outside what the model knows', 'another scene than it was trained '
                            'for, or a camera that hangs turned: do not trust its outputs'),
    Reason('jumps', WARN, 'predictions jump', 'classes change all over from frame to frame: a '
                                              'flickering light, lost frames, or two cameras on '
                                              'one topic'),
)}
"""By name, in the order in which they are told; what explains the rest comes first."""

_OF_THE_MODEL = ('moved', 'unknown', 'jumps')


def tell(troubles: set[str]) -> tuple[Reason, ...]:
    """Return the reasons worth telling.

    What the picture alone shows explains why the model does not know it.
    """
    told = [reason for name, reason in REASONS.items() if name in troubles]
    of_the_picture = tuple(reason for reason in told if reason.name not in _OF_THE_MODEL)
    return of_the_picture or tuple(told)
