"""What a configuration says for the model card, judged before the training and not after it."""

from collections.abc import Collection
import math
from typing import TYPE_CHECKING

from demt_perception.training.checked import ConfigError

if TYPE_CHECKING:
    from demt_perception.training.config import TrainConfig

MARGIN = 1.01
"""Of ``far`` over the range: interpolation and float16 take a little off the greatest depth."""


def check_card_values(config: 'TrainConfig') -> None:
    """Refuse values that no model card may have.

    Raises:
        ConfigError: names one, and what is wanted.
    """
    near_far = config.depth_range
    for name, good, wanted in (
            ('focal', 0 < config.focal < math.inf, 'pixels, more than 0'),
            ('far', 0 < config.far < math.inf, 'metres, more than 0'),
            ('assumed_hfov', 0 < config.assumed_hfov < 180, 'degrees between 0 and 180'),
            ('depth_range', len(near_far) == 2 and 0 < near_far[0] < near_far[1] < math.inf,
             '[nearest, farthest] metres, 0 < nearest < farthest'),
            ('mean', len(config.mean) == 3 and all(map(math.isfinite, config.mean)),
             'one number of red, green, blue each'),
            ('std', len(config.std) == 3 and all(0 < value < math.inf for value in config.std),
             'one number of red, green, blue each, more than 0')):
        if not good:
            raise ConfigError(f'{name}: {getattr(config, name)}, want {wanted}')


def check_depth_range(config: 'TrainConfig', tasks: Collection[str]) -> None:
    """Refuse a range that reaches the greatest depth which the network can say.

    With losses ``driving`` that is ``far``, which sky and all that is farther gets; only what lies
    beyond the range is published as unknown. A network that serves as a teacher needs no range,
    so that this is asked where a run begins and where it is exported, not of every configuration.

    Raises:
        ConfigError: it does.
    """
    if config.losses != 'driving' or 'depth' not in tasks:
        return
    farthest = config.depth_range[1]
    if config.far <= MARGIN * farthest:
        raise ConfigError(
            f'far {config.far:g} with depth_range {list(config.depth_range)}: sky, and all that '
            f'is farther, would be published as {config.far:g} m; want far above '
            f'{MARGIN * farthest:g} in a new run, or, of a run trained with it, depth_range '
            f'[{config.depth_range[0]:g}, {0.9 * config.far:g}]')
