"""Whether a model was chosen by the very pictures that it is measured on."""

from pathlib import Path

from demt_perception.training.config import CONFIG, ConfigError, load_config


def was_chosen_by(folder: Path, root: str, split: str) -> bool:
    """Tell whether the best weights of a model's run are those that were best on this split.

    Args:
        folder: of the model; `demt export` puts the run's configuration into it, with the last
            names of the folders alone. Without one nothing is known.
        root: of the dataset.
        split: of it.
    """
    try:
        config = load_config(folder / CONFIG)
    except (OSError, ConfigError):
        return False
    return any(Path(source.root or config.root).name == Path(root).name
               and source.split in (split, '') for source in config.validation)
