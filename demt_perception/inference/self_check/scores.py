"""From figures to scores: 0 is usual, 1 is where trouble begins.

The limits of what a picture shows are constants: they hold for any camera and any model. They lie
outside of all clean pictures of CamVid's train and val and of the driving video that
docs/self_check.md names; by how much was settled with spoilt pictures of val.
"""

from collections.abc import Callable, Mapping
import math

Figures = Mapping[str, float]

# Share of the picture that changes class from one check to the next; a worse scene does not last.
_JUMPS = 0.3
# Seconds without a change of a single grey level, which no sensor is capable of.
_FROZEN = 3.0


def _between(value: float, usual: float, limit: float) -> float:
    return (value - usual) / (limit - usual)


def _between_logs(value: float, usual: float, limit: float) -> float:
    return _between(math.log(max(value, 1e-3)), math.log(usual), math.log(limit))


def _covered(figures: Figures) -> float:
    """Smooth all over; or in most of the picture, and the model does not know what it sees.

    A motorway under a clear sky is smooth in most of the picture, too: that, a model knows.
    """
    flat = figures['flat']
    return max(_between(flat, 0.3, 0.9),
               min(_between(flat, 0.3, 0.7), figures.get('unknown', -math.inf)))


def _blurred(figures: Figures) -> float:
    """Blurred all over, or very much along one line; a sharp bend smears a little, along rows."""
    return (_between(figures['grain'], 1.3, 0.9) + _between(figures['sharpness'], 1.45, 0.95)) / 2


def _bright(figures: Figures) -> float:
    """White in the picture, and nothing dark in the distance."""
    return min(_between(figures['white'], 0.05, 0.3), _between(figures['haze'], 40, 85))


def _fog(figures: Figures) -> float:
    """Nothing dark in the distance, and little detail."""
    return min(_between(figures['haze'], 40, 120), _between_logs(figures['detail'], 4.5, 1.3))


_SCORES: dict[str, tuple[str, Callable[[Figures], float]]] = {
    'covered': ('flat', _covered),
    'dark': ('brightest', lambda figures: _between_logs(figures['brightest'], 170, 70)),
    'bright': ('white', _bright),
    'noise': ('grain', lambda figures: _between(figures['grain'], 1.5, 2.2)),
    'blurred': ('sharpness', _blurred),
    'fog': ('haze', _fog),
    'frozen': ('frozen', lambda figures: figures['frozen'] / _FROZEN),
    'unknown': ('unknown', lambda figures: figures['unknown']),
    'jumps': ('changed', lambda figures: figures['changed'] / _JUMPS),
}
"""By the name of a reason: the figure that it cannot be judged without, and its score."""


def scores(figures: Figures) -> dict[str, float]:
    """Return the score of each trouble that can be judged by these figures; never below 0.

    Args:
        figures: of ``picture.picture_figures``; ``unknown``, see ``usual.Unusual``;
            ``changed`` and ``frozen``, see ``steadiness.Steadiness``. Any of them may be missing.
    """
    return {name: max(0.0, score(figures)) for name, (needed, score) in _SCORES.items()
            if needed in figures}
