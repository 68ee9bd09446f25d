"""One camera to semantic classes, metric depth, surface normals and boundaries, in real time."""

import os

_SETTINGS = {
    # From 1.29 on, onnxruntime tells Microsoft about every process and model, and writes an
    # identifier into the user's home, unless this is set before it is imported. A robot must do
    # none of that.
    'ORT_DISABLE_TELEMETRY': '1',
    # The limits of inference/preprocess.py once more, for what OpenCV itself takes a header to
    # say: it made 3 GB of a few hundred bytes. It reads these when it is imported first.
    'OPENCV_IO_MAX_IMAGE_WIDTH': '16384',
    'OPENCV_IO_MAX_IMAGE_HEIGHT': '16384',
    'OPENCV_IO_MAX_IMAGE_PIXELS': '67108864',
}
# Those that the user has not set: the launch files take them back.
ADDED = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
os.environ.update(ADDED)

__version__ = '0.1.0'
