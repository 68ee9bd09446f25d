"""Image in, predictions out: the one inference path of node, command line and benchmarks."""

from demt_perception.inference.engines import Engine, EngineError, ENGINES, PRECISIONS
from demt_perception.inference.models import DEFAULT_MODEL, find_model, list_models
from demt_perception.inference.predictions import Predictions
from demt_perception.inference.predictor import Predictor

__all__ = [
    'DEFAULT_MODEL',
    'ENGINES',
    'PRECISIONS',
    'Engine',
    'EngineError',
    'Predictions',
    'Predictor',
    'find_model',
    'list_models',
]
