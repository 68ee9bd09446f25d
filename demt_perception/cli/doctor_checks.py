"""What ``demt doctor`` checks apart from ROS: Python, packages, processor, models, engines."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
import platform
import sys

from demt_perception.cli.finding import (
    bad,
    Finding,
    good,
    NO_ANSWER,
    note,
    numpy_remedy,
    try_python,
)
from demt_perception.extras import installing

OLDEST, NEWEST = (3, 10), (3, 14)
FEATURES = ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8', 'asimd')

USE_CV2 = """
import cv2, numpy
cv2.resize(numpy.zeros((4, 4), 'u1'), (2, 2))
print(cv2.__version__)
"""
RUN_ENGINE = """
import statistics, sys
import numpy
from demt_perception.inference import Predictor
predictor = Predictor(sys.argv[1], sys.argv[2])
predictor.warm_up()
image = numpy.full((720, 1280, 3), 128, numpy.uint8)
time = statistics.median(predictor.predict(image).timings['engine'] for _ in range(9))
engine = predictor.engine
print(f'{engine.precision} on {engine.device}, {time * 1000:.1f} ms a frame of '
      f'{predictor.card.name} ({engine.reason})')
"""


def python() -> Iterator[Finding]:
    """Check the version and say which Python this is."""
    seen = sys.version_info[:2]
    text = f'Python {platform.python_version()}, {sys.executable}'
    if not OLDEST <= seen <= NEWEST:
        yield bad(text, 'use Python 3.10 to 3.14: python3.11 -m venv .venv')
    else:
        yield good(text)


def packages() -> Iterator[Finding]:
    """Check what must import, and report versions of what is optional."""
    for name, code, remedy in (
            ('numpy', 'import numpy; print(numpy.__version__)', 'pip install numpy'),
            ('PyYAML', 'import yaml; print(yaml.__version__)', 'pip install PyYAML'),
            ('OpenCV', USE_CV2, 'pip install opencv-python-headless')):
        works, text = try_python('-c', code)
        yield good(f'{name} {text}') if works else bad(
            f'{name}: {text}', numpy_remedy(text) or remedy)
    for folder, opencvs in _opencvs().items():
        if len(opencvs) > 1:
            yield bad(f'{" and ".join(opencvs)} are installed over one another in {folder}',
                      f'pip uninstall -y {" ".join(opencvs)}; pip install opencv-python-headless')
    for name, purpose, remedy in (
            ('torch', 'to train, to export and for the engine torch', installing('train')),
            ('onnx', 'to export, to quantize, to calibrate and for the engines torch and tensorrt',
             'pip install onnx')):
        try:
            yield good(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            yield note(f'no {name}: only needed {purpose}', remedy)


def _opencvs() -> dict[Path, list[str]]:
    """Return the distributions of OpenCV by folder.

    One of a venv and one of the system, which it sees, do not disturb each other.
    """
    found: dict[Path, set[str]] = {}
    for one in metadata.distributions():
        name = str(one.metadata['Name'])
        if name.lower().startswith('opencv'):
            found.setdefault(Path(str(one.locate_file(''))).resolve(), set()).add(name)
    return {folder: sorted(names) for folder, names in found.items()}


def processor() -> Iterator[Finding]:
    """Report what counts for speed."""
    from demt_perception.inference.cpu import (
        cpu_flags,
        cpu_name,
        default_threads,
        usable_cores,
    )

    features = [feature for feature in FEATURES if feature in cpu_flags()]
    yield good(f'{cpu_name()}, {usable_cores()} cores usable, threads=0 takes '
               f'{default_threads()}')
    if not {'avx512_bf16', 'amx_bf16'} & set(features):
        yield note(f'{" ".join(features) or "no vector extensions known"}; no bf16: '
                   'networks run in float32')
    else:
        yield good(' '.join(features))


def models() -> Iterator[Finding]:
    """Check every model found: card and checksum."""
    from demt_perception.inference.engines import EngineError
    from demt_perception.inference.graph_file import read_graph
    from demt_perception.inference.models import DEFAULT_MODEL, list_models
    from demt_perception.model_card import load_card, ModelCardError

    found = list_models()
    for name, folder in found.items():
        try:
            card = load_card(folder)
            size = len(read_graph(card, folder))
        except (ModelCardError, EngineError) as error:
            yield bad(name, str(error))
        else:
            yield good(f'{name}: {", ".join(card.tasks)}, {size / 1e6:.1f} MB, {folder}')
    if DEFAULT_MODEL not in found:
        yield bad(f'the default model {DEFAULT_MODEL} is not there',
                  'install the package again, or set DEMT_MODELS to the folder that holds it')


def engines() -> Iterator[Finding]:
    """Run the default model, else any other, on every engine."""
    from demt_perception.inference.engines import ENGINES, INSTALL
    from demt_perception.inference.models import DEFAULT_MODEL, list_models

    found = list_models()
    if not found:
        yield bad('no model to run', 'install a model: see above')
        return
    folder = found.get(DEFAULT_MODEL) or next(iter(found.values()))
    working = 0
    for name in ENGINES:
        works, text = try_python('-c', RUN_ENGINE, str(folder), name)
        working += works
        # Building may take longer than this waits: done once, the cache has it.
        remedy = f'demt build --engine {name}' if NO_ANSWER in text else INSTALL[name]
        yield good(f'{name}: {text}') if works else note(f'{name}: {text}', remedy)
    if not working:
        yield bad('no engine works', 'pip install openvino onnxruntime')
