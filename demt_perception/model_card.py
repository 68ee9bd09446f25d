"""The card that travels with weights: everything needed to run a model and to judge it.

A model folder holds ``card.yaml``, the ONNX graph and, for training, the weights. Preprocessing
is never guessed: it is read from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
import hashlib
import math
import os
from pathlib import Path
import re
from typing import Any

import yaml

from demt_perception.outside import read_file, read_yaml
from demt_perception.tasks import get_tasks

CARD_FILE, WEIGHTS = 'card.yaml', 'weights.safetensors'
SHA256 = re.compile(r'[0-9a-f]{64}')
FILE_NAME = re.compile(r'\w[\w.+-]*')
MOST_VALUES = 10_000
MOST_ONNX = 2**31  # bytes: protobuf has no larger messages
BANDS = 9
"""Bands of rows that a picture has in `usual_bands`, from the top."""


class ModelCardError(ValueError):
    """A model card, or a file that it names, is missing or wrong; the text says the remedy."""


@dataclass(frozen=True)
class ModelCard:
    """What a model is, how it is fed and how good it is.

    Attributes:
        name: name of the model folder.
        architecture: one line, e.g. ``DeMT, EfficientNet-Lite0, 64 channels``.
        tasks: task names of ``tasks.py``, in the order of the network.
        classes: semantic class names; the index is the id.
        palette: one (r, g, b) 0-255 for each class.
        input_size: (height, width) in pixels that the graph is run at by default.
        size_multiple: both input sides must be multiples of this.
        mean, std: per RGB channel in 0-255; the graph is fed ``(rgb - mean) / std`` as
            float32 1x3xHxW.
        focal: focal length in pixels of the input, at which the depth output is in metres.
        assumed_hfov: horizontal field of view in degrees assumed where no camera_info is known.
        depth_range: (near, far) metres; a depth outside is published as NaN, as is what the
            network puts beyond far before scaling by the focal length: sky.
        onnx: file name of the graph, inside the model folder.
        onnx_sha256: its SHA-256, in lower-case hexadecimal.
        weights_sha256: that of ``weights.safetensors``, for training; '' where there are none.
        temperature: that the graph divides the scores of classes by before it takes
            ``confidence``: above 1 the network is too sure of itself; 1 if never calibrated.
        uncertainty_factor: that the graph multiplies ``depth_uncertainty`` by; 1 if never
            calibrated; 0: the graph has no such output.
        limits: by ONNX output, how far an engine may be off where that is not the default of
            ``inference/parity.py``: the least share of equal classes, the greatest relative error
            of depth, mean angle of normals in degrees, error of a probability.
        usual: for the self-check: by figure of the outputs, its usual value and that of the oddest
            pictures that the model knows (``inference/self_check/usual.py``); empty if unknown.
        usual_bands: for the self-check: one line for each class with its share, per mille, of
            each of ``BANDS`` bands of rows; empty if unknown.
        metrics: measured figures, by data set.
        training: data and schedule that it was trained with.
        licence: terms of the weights.
    """

    name: str
    architecture: str
    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    input_size: tuple[int, int]
    size_multiple: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    focal: float
    assumed_hfov: float
    depth_range: tuple[float, float]
    onnx: str
    onnx_sha256: str
    weights_sha256: str = ''
    temperature: float = 1.0
    uncertainty_factor: float = 0.0
    limits: dict[str, float] = field(default_factory=dict)
    usual: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    usual_bands: tuple[tuple[int, ...], ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ''

    def __post_init__(self) -> None:
        """Check every value, so that nothing downstream has to."""
        try:
            get_tasks(self.tasks)
        except ValueError as error:
            raise ModelCardError(f'model card {self.name!r}: {error}') from error
        self._require(bool(self.name), 'name', self.name, 'a non-empty name')
        self._require(0 < len(self.classes) <= 255, 'classes', len(self.classes), '1 to 255')
        self._require(
            len(self.palette) == len(self.classes)
            and all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in self.palette),
            'palette', self.palette, f'{len(self.classes)} triples of 0 to 255')
        self._require(self.size_multiple > 0, 'size_multiple', self.size_multiple, 'at least 1')
        self._require(
            len(self.input_size) == 2
            and all(0 < v <= 8192 and v % self.size_multiple == 0 for v in self.input_size),
            'input_size', self.input_size, f'two multiples of {self.size_multiple}, to 8192')
        self._require(len(self.mean) == 3 and all(map(math.isfinite, self.mean)),
                      'mean', self.mean, 'three finite values')
        self._require(len(self.std) == 3 and all(0 < v < math.inf for v in self.std),
                      'std', self.std, 'three positive finite values')
        self._require(math.isfinite(self.focal) and self.focal > 0,
                      'focal', self.focal, 'positive pixels')
        self._require(0 < self.assumed_hfov < 180,
                      'assumed_hfov', self.assumed_hfov, 'degrees between 0 and 180')
        self._require(len(self.depth_range) == 2
                      and 0 < self.depth_range[0] < self.depth_range[1] < math.inf,
                      'depth_range', self.depth_range, '0 < near < far, finite')
        self._require(FILE_NAME.fullmatch(self.onnx) is not None,
                      'onnx', self.onnx, 'the name of a file inside the model folder')
        self._require(SHA256.fullmatch(self.onnx_sha256) is not None,
                      'onnx_sha256', self.onnx_sha256, '64 lower-case hexadecimal digits')
        self._require(not self.weights_sha256 or SHA256.fullmatch(self.weights_sha256) is not None,
                      'weights_sha256', self.weights_sha256, '64 lower-case hexadecimal digits')
        self._require(0 < self.temperature < math.inf,
                      'temperature', self.temperature, 'a positive finite number')
        self._require(0 <= self.uncertainty_factor < math.inf, 'uncertainty_factor',
                      self.uncertainty_factor, '0 (no such output) or a positive finite number')
        self._require(not self.uncertainty_factor or any(
            task.uncertainty for task in get_tasks(self.tasks)), 'uncertainty_factor',
            self.uncertainty_factor, f'0 with the tasks {", ".join(self.tasks)}')
        self._require(all(name in self.outputs and 0 <= limit < math.inf
                          for name, limit in self.limits.items()), 'limits', self.limits,
                      f'finite numbers of 0 and more for {", ".join(self.outputs)}')
        self._require(all(len(pair) == 2 and -math.inf < pair[1] < pair[0] < math.inf
                          for pair in self.usual.values()), 'usual', self.usual,
                      'two finite numbers for each figure, the first one greater')
        self._require(len(self.usual_bands) in (0, len(self.classes)) and all(
            len(line) == BANDS and min(line) >= 0 for line in self.usual_bands), 'usual_bands',
            self.usual_bands, f'{BANDS} numbers of 0 and more for each class')

    @property
    def outputs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """What the graph gives, by name: see ``Task.outputs``."""
        outputs = {}
        for task in get_tasks(self.tasks):
            outputs.update(task.outputs)
            if task.uncertainty and self.uncertainty_factor:
                outputs[task.uncertainty] = outputs[task.topic]
        return outputs

    def only(self, names: Iterable[str]) -> 'ModelCard':
        """Return the card of this model cut to some of its tasks, in its own order.

        Raises:
            ValueError: a name is unknown, given twice, or no task of the model; or none is given.
        """
        chosen = {task.name for task in get_tasks(names)}
        if missing := sorted(chosen.difference(self.tasks)):
            raise ValueError(f'model {self.name} has no task {", ".join(missing)}; it has '
                             f'{", ".join(self.tasks)}')
        tasks = tuple(name for name in self.tasks if name in chosen)
        unsure = any(task.uncertainty for task in get_tasks(tasks))
        outputs = {name for task in get_tasks(tasks) for name in task.kinds}
        return replace(self, tasks=tasks, uncertainty_factor=self.uncertainty_factor * unsure,
                       limits={name: v for name, v in self.limits.items() if name in outputs})

    def _require(self, good: bool, key: str, seen: object, wanted: str) -> None:
        if not good:
            raise ModelCardError(f'model card {self.name!r}: {key} is {seen!r}, want {wanted}')


def load_card(folder: str | Path) -> ModelCard:
    """Read and check ``card.yaml`` of a model folder.

    Raises:
        ModelCardError: the file is missing, not YAML, or a value is missing, unknown or wrong.

    >>> from demt_perception.inference import find_model
    >>> card = load_card(find_model('demt_driving_fast'))
    >>> card.classes[3], card.input_size, card.depth_range
    ('road', (288, 512), (0.5, 100.0))
    """
    path = Path(folder) / CARD_FILE
    try:
        values = read_yaml(path)
    except OSError as error:
        raise ModelCardError(
            f'{path} cannot be read ({error}); a model folder holds {CARD_FILE} and the ONNX '
            'graph: see `demt models`') from error
    except ValueError as error:
        raise ModelCardError(f'{path} is {error}') from error
    return card_from_dict(values, str(path))


def card_from_dict(values: object, source: str = 'model card') -> ModelCard:
    """Build a card from plain YAML values.

    Raises:
        ModelCardError: a key is missing or unknown, or a value has the wrong type or range.
    """
    if not isinstance(values, dict):
        raise ModelCardError(f'{source}: want a mapping of keys, got {type(values).__name__}')
    known = [f.name for f in fields(ModelCard)]
    unknown = sorted(key if isinstance(key, str) else f'a {type(key).__name__}'
                     for key in values if key not in known)
    missing = [key for key in known if key not in values and key not in _OPTIONAL]
    if unknown or missing:
        raise ModelCardError(f'{source}: unknown keys {unknown}, missing keys {missing}')
    converted = {}
    for key, value in values.items():
        try:
            converted[key] = _CONVERT[key](value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelCardError(f'{source}: {key} is wrong: {error}') from error
    return ModelCard(**converted)


def save_card(card: ModelCard, folder: str | Path) -> None:
    """Write the card as ``card.yaml`` into a model folder: all of it, or what was there stays."""
    values = _plain(asdict(card))
    # Lists of numbers on one line each.
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=99,
                          default_flow_style=None)
    part = Path(folder) / f'{CARD_FILE}.part'
    with open(part, 'w', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, Path(folder) / CARD_FILE)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest() if hasattr(
            hashlib, 'file_digest') else hashlib.sha256(file.read()).hexdigest()


def read_onnx(card: ModelCard, folder: str | Path) -> bytes:
    """Return the content of the model's ONNX graph after verifying its SHA-256.

    The bytes verified are the bytes returned, so that no change of the file can slip in between.

    Raises:
        ModelCardError: the file is missing or its content is not what the card says.
    """
    path = Path(folder) / card.onnx
    try:
        content = read_file(path, MOST_ONNX)
    except OSError as error:
        raise ModelCardError(
            f'{path} cannot be read ({error}); restore the model folder') from error
    seen = hashlib.sha256(content).hexdigest()
    if seen != card.onnx_sha256:
        raise ModelCardError(
            f'{path} has SHA-256 {seen}, the card says {card.onnx_sha256}: the file is damaged '
            'or foreign; restore it or export the model again')
    return content


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not text')
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(v) for v in _sequence(value))


def _sequence(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f'{value!r} is not a list')
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f'{value!r} is not a number')
    return float(value)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(_number(v) for v in _sequence(value))


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{value!r} is not a whole number')
    if value.bit_length() > 63:
        raise ValueError('a number is too large')
    return value


def _integers(value: Any) -> tuple[int, ...]:
    return tuple(_integer(v) for v in _sequence(value))


def _mapping(value: Any) -> dict[str, Any]:
    """Accept a mapping of plain values; refuse YAML whose aliases loop or multiply."""
    if not isinstance(value, dict):
        raise TypeError(f'{value!r} is not a mapping')
    rest: list[Any] = [value]
    for _ in range(MOST_VALUES):
        if not rest:
            return value
        inner = rest.pop()
        if isinstance(inner, dict):
            rest.extend(inner.values())
        elif isinstance(inner, list | tuple):
            rest.extend(inner)
    raise ValueError(f'more than {MOST_VALUES} values, or one that contains itself')


_OPTIONAL = ('weights_sha256', 'temperature', 'uncertainty_factor', 'limits', 'usual',
             'usual_bands', 'metrics', 'training', 'licence')
_CONVERT: dict[str, Any] = {
    'name': _text, 'architecture': _text, 'onnx': _text, 'onnx_sha256': _text, 'licence': _text,
    'weights_sha256': _text,
    'tasks': _texts, 'classes': _texts,
    'palette': lambda value: tuple(_integers(v) for v in _sequence(value)),
    'input_size': _integers, 'size_multiple': _integer,
    'mean': _numbers, 'std': _numbers, 'depth_range': _numbers,
    'focal': _number, 'assumed_hfov': _number, 'temperature': _number,
    'uncertainty_factor': _number,
    'limits': lambda value: {_text(k): _number(v) for k, v in _mapping(value).items()},
    'usual': lambda value: {_text(k): _numbers(v) for k, v in _mapping(value).items()},
    'usual_bands': lambda value: tuple(_integers(v) for v in _sequence(value)),
    'metrics': _mapping, 'training': _mapping,
}


def _plain(value: Any) -> Any:
    """Turn tuples into lists, so that YAML holds plain values only."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
