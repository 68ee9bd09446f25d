"""The card that travels with weights: everything needed to run a model and to judge it.

A model folder holds ``card.yaml``, the ONNX graph and, for training, the weights. Preprocessing
is never guessed: it is read from here.
"""

from dataclasses import asdict, dataclass, field, fields
import hashlib
import math
from pathlib import Path
import re
from typing import Any

import yaml

from demt_perception.tasks import get_tasks

CARD_FILE = 'card.yaml'
SHA256 = re.compile(r'[0-9a-f]{64}')
FILE_NAME = re.compile(r'\w[\w.+-]*')
MOST_VALUES = 10_000


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

    def _require(self, good: bool, key: str, seen: object, wanted: str) -> None:
        if not good:
            raise ModelCardError(f'model card {self.name!r}: {key} is {seen!r}, want {wanted}')


def load_card(folder: str | Path) -> ModelCard:
    """Read and check ``card.yaml`` of a model folder.

    Raises:
        ModelCardError: the file is missing, not YAML, or a value is missing, unknown or wrong.
    """
    path = Path(folder) / CARD_FILE
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ModelCardError(
            f'{path} cannot be read ({error}); a model folder holds {CARD_FILE} and the ONNX '
            'graph: see `demt models`') from error
    try:
        values = yaml.safe_load(text)
    except Exception as error:  # PyYAML lets anything escape, e.g. AttributeError for bad dates
        raise ModelCardError(f'{path} is not valid YAML: {error}') from error
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
    """Write the card as ``card.yaml`` into a model folder."""
    values = _plain(asdict(card))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=99)
    (Path(folder) / CARD_FILE).write_text(text, encoding='utf-8')


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
        content = path.read_bytes()
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


_OPTIONAL = ('metrics', 'training', 'licence')
_CONVERT: dict[str, Any] = {
    'name': _text, 'architecture': _text, 'onnx': _text, 'onnx_sha256': _text, 'licence': _text,
    'tasks': _texts, 'classes': _texts,
    'palette': lambda value: tuple(_integers(v) for v in _sequence(value)),
    'input_size': _integers, 'size_multiple': _integer,
    'mean': _numbers, 'std': _numbers, 'depth_range': _numbers,
    'focal': _number, 'assumed_hfov': _number,
    'metrics': _mapping, 'training': _mapping,
}


def _plain(value: Any) -> Any:
    """Turn tuples into lists, so that YAML holds plain values only."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
