"""What a build is told and how it answers, for all engines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from demt_perception.inference.parity import Check

QUANTISED = b'\x22\x0eQuantizeLinear'
"""Protobuf of ``op_type = 'QuantizeLinear'`` of an ONNX node: field 4, 14 bytes."""


def _silent(line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Build:
    """How an engine is built and checked.

    Attributes:
        check: what it is compared with onnxruntime in f32 on, and the limits.
        progress: called with a line whenever another step begins; from any thread.
        fresh: build and check anew what the cache has already.
        only_cached: build nothing: raise ``NotBuiltError`` instead.
    """

    check: Check = field(default_factory=Check)
    progress: Callable[[str], None] = _silent
    fresh: bool = False
    only_cached: bool = False

    @property
    def rules(self) -> Mapping[str, Any]:
        """Return the limits, for the key of the cache: where one changes, all is built anew."""
        return {f'limit of {name}': value for name, value in sorted(self.check.limits.items())}


def is_quantised(graph: bytes) -> bool:
    """Tell whether an ONNX graph carries int8 arithmetic of its own."""
    return QUANTISED in graph
