"""What a built engine depends on: where any of it differs, the engine is built anew."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
import hashlib
import json
import re

FORMAT = 1
"""Version of the cache's files; one more whenever ``entry.py`` or an engine's payload changes."""


@dataclass(frozen=True)
class EngineKey:
    """Identity of one built engine.

    Attributes:
        graph_sha256: of the ONNX file, in hexadecimal.
        engine: its name, e.g. ``openvino``.
        version: of the engine, as exactly as it tells.
        device: the hardware's own name.
        capabilities: what the device can do, e.g. its instruction sets.
        precision: what was asked for, e.g. ``f32``; ``auto`` where the payload tells the choice.
        shape: of the input, 1x3xHxW.
        threads: CPU threads; 0 where they do not matter.
        driver: version of the device's driver; '' where there is none.
        options: everything else that changes the result, by name.
    """

    graph_sha256: str
    engine: str
    version: str
    device: str
    capabilities: str
    precision: str
    shape: tuple[int, ...]
    threads: int = 0
    driver: str = ''
    options: Mapping[str, str | float] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the key as JSON that is the same, byte for byte, for the same key."""
        fields = {**asdict(self), 'format': FORMAT}
        return json.dumps(fields, sort_keys=True, separators=(',', ':')).encode('ascii')

    def stem(self) -> str:
        """Return the name of the key's files without an ending: engine, graph, hash of the key."""
        digest = hashlib.sha256(self.to_json()).hexdigest()[:32]
        engine = re.sub(r'[^a-z0-9]', '_', self.engine.lower())
        graph = re.sub(r'[^a-z0-9]', '_', self.graph_sha256[:8].lower())
        return f'{engine}-{graph}-{digest}'
