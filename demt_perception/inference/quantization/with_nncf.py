"""Q and DQ nodes written by NNCF, OpenVINO's quantiser.

It also shifts each layer's bias by what rounding moves its mean, and takes a scale per channel
before depthwise convolutions. Symmetric: OpenVINO 2026.4 refuses graphs with shifted zero points
between attention's products. https://docs.openvino.ai/2025/openvino-workflow/model-optimization-guide
"""

from collections.abc import Sequence
import copy
import logging
import sys

import numpy as np
import onnx

sys.modules.setdefault('openvino_telemetry', None)   # type: ignore[arg-type]  # or it calls home
import nncf  # noqa: E402


def write(model: onnx.ModelProto, nodes: Sequence[str], images: Sequence[np.ndarray]) -> bytes:
    """Return the graph with these nodes in int8, weights by channel, ranges of these images."""
    others = {node.name for node in model.graph.node} - set(nodes)
    nncf.set_log_level(logging.ERROR)
    quantised = nncf.quantize(
        copy.deepcopy(model), nncf.Dataset(images, lambda image: {'image': image}),
        subset_size=len(images), preset=nncf.QuantizationPreset.PERFORMANCE,
        ignored_scope=nncf.IgnoredScope(names=sorted(others)))
    return bytes(quantised.SerializeToString())
