"""The ONNX graph of a model folder, as everything here reads it: verified, and all in one file."""

from pathlib import Path

from demt_perception.inference.engines import EngineError
from demt_perception.inference.external_data import has_external_data
from demt_perception.model_card import ModelCard, read_onnx


def read_graph(card: ModelCard, folder: str | Path) -> bytes:
    """Return the content of a model's graph, whose SHA-256 is that of the card.

    Raises:
        ModelCardError: the file is missing or its content is not what the card says.
        EngineError: it is no ONNX graph, or keeps weights in another file.
    """
    path, graph = Path(folder) / card.onnx, read_onnx(card, folder)
    try:
        external = has_external_data(graph)
    except (ValueError, RecursionError) as error:
        raise EngineError(f'{path}: {error}; export the model again') from error
    if external:
        raise EngineError(f'{path} keeps weights in another file, which its SHA-256 does not '
                          'cover: export it again as one file (external_data=False)')
    return graph
