"""Find model folders by name, without any ROS tool."""

import os
from pathlib import Path

from demt_perception.model_card import CARD_FILE, ModelCardError
from demt_perception.share import share_folders

DEFAULT_MODEL = 'demt_driving_fast'


def model_folders() -> list[Path]:
    """Return the folders searched for models: ``$DEMT_MODELS`` first, then ``share_folders``.

    DEMT_MODELS holds folders separated like those of PATH.
    """
    own = os.environ.get('DEMT_MODELS', '').split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in own if folder), *share_folders('models')]


def list_models() -> dict[str, Path]:
    """Return every model found, folder by name; where a name is found twice the first wins."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        for card in sorted(folder.glob(f'*/{CARD_FILE}')):
            found.setdefault(card.parent.name, card.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """Return a model folder: a name is looked up in ``model_folders``, else it is a path.

    Raises:
        ModelCardError: no such model; the text lists the models found and where it looked.
    """
    models = list_models()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if os.path.isfile(path / CARD_FILE):  # unlike Path.is_file, takes any text
        return path
    raise ModelCardError(
        f'model {str(name_or_path)!r} is neither a folder with {CARD_FILE} nor one of the models '
        f'found: {", ".join(models) or "none"} (searched {", ".join(map(str, model_folders()))}); '
        'give a model folder, or set DEMT_MODELS to the folder that holds it')
