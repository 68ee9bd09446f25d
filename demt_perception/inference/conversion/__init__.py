"""ONNX graphs in a lower precision, for engines that take it from the graph: strongly typed."""

from demt_perception.inference.engines import EngineError

__all__ = ['converted']


def converted(graph: bytes, precision: str) -> bytes:
    """Return an ONNX graph that calculates in ``bf16`` or ``f16``; in ``f32`` the graph itself.

    Inputs and outputs keep their types. What is sensitive stays in f32: see ``sensitive.py``.

    Raises:
        EngineError: the package onnx is missing, or the graph cannot be converted.
    """
    if precision == 'f32':
        return graph
    try:
        from demt_perception.inference.conversion.lower import lower
    except ImportError as error:
        raise EngineError(f'{precision} needs the package onnx ({error}): pip install onnx, or '
                          'use precision f32') from error
    try:
        return lower(graph, precision)
    except ValueError as error:
        raise EngineError(f'the graph cannot be converted to {precision}: {error}; use precision '
                          'f32') from error
