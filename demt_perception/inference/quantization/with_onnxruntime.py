"""Q and DQ nodes written by onnxruntime's own quantisation: signed, symmetric."""

from collections.abc import Sequence
import copy
import logging
from pathlib import Path
import tempfile

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, quantize_static, QuantType


def write(model: onnx.ModelProto, nodes: Sequence[str], images: Sequence[np.ndarray]) -> bytes:
    """Return the graph with these nodes in int8, weights by channel, ranges of these images."""
    logging.disable(logging.WARNING)   # advice that is followed or of no use here, for root
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'model.onnx'
            quantize_static(
                copy.deepcopy(model), str(path), _Reader(images), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=['Conv', 'ConvTranspose', 'Gemm', 'MatMul'],
                per_channel=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                nodes_to_quantize=list(nodes),
                # Biases stay: TensorRT takes no INT32 DequantizeLinear, and onnxruntime's own int8
                # kernels take them as they are.
                extra_options={'ActivationSymmetric': True, 'WeightSymmetric': True,
                               'QuantizeBias': False})
            return path.read_bytes()
    finally:
        logging.disable(logging.NOTSET)


class _Reader:
    """Gives the pictures to onnxruntime's calibration, once."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._rest = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input, or None."""
        image = next(self._rest, None)
        return None if image is None else {'image': image}

    def __iter__(self) -> '_Reader':
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if (value := self.get_next()) is None:
            raise StopIteration
        return value
