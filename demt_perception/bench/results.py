"""The figures of a benchmark, and the JSON file that holds them."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass, MISSING
import json
import math
import os
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, Union

from demt_perception.outside import read_json

VERSION = 1


class BenchError(Exception):
    """A benchmark cannot be made or read; the text says why, and the remedy."""


@dataclass(frozen=True)
class Combination:
    """What is measured: a model at work in one way.

    Attributes:
        model: its folder's name, or its path where several have that; or the label of a network
            of ``demt models --table``.
        engine: as ``Predictor`` takes it, or ``torch-eager``: the plain network in torch.
        precision: as ``Predictor`` takes it.
        size: (height, width) of the network's input.
        cameras: pictures that make one moment, run one after the other through one Predictor.
        threads: of the engine, OpenCV and OpenMP.
    """

    model: str
    engine: str
    precision: str
    size: tuple[int, int]
    cameras: int
    threads: int

    def __str__(self) -> str:
        """Return one line that tells it from others."""
        cameras = f', {self.cameras} cameras' if self.cameras > 1 else ''
        return (f'{self.model} {self.size[0]}x{self.size[1]} {self.engine} {self.precision}, '
                f'{self.threads} threads{cameras}')


@dataclass(frozen=True)
class Spread:
    """Percentiles of times in milliseconds, and how many there were."""

    median: float
    p90: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True)
class Start:
    """A start in a fresh process: seconds from its beginning.

    Attributes:
        imported: Python and what every model needs are loaded.
        loaded: the engine is ready, built where the cache had none.
        first: the first moment's outputs are there.
    """

    imported: float
    loaded: float
    first: float


@dataclass(frozen=True)
class Measurement:
    """One combination's figures; a moment is one picture of each camera.

    Attributes:
        combination: what was measured.
        used: precision, engine and device in fact, and after a colon why these.
        moment: a moment with preprocessing and all outputs at the size of the pictures.
        engine: the engine's part of it.
        moment_rounds, engine_rounds: median of each round, ms.
        stages: median of each part of a moment, ms.
        per_second: moments a second, from the mean.
        peak_mb: greatest resident memory of the process.
        joules: for each moment, of the whole machine while it ran; None where it does not tell.
        cold: start with an empty engine cache.
        warm: start with the cache that it left.
        torch_loaded: torch was imported.
        agreement: outputs against those of the first combination, where both are alike.
    """

    combination: Combination
    used: str
    moment: Spread
    engine: Spread
    moment_rounds: tuple[float, ...]
    engine_rounds: tuple[float, ...]
    stages: dict[str, float]
    per_second: float
    peak_mb: float
    joules: float | None
    cold: Start
    warm: Start
    torch_loaded: bool
    agreement: str


@dataclass(frozen=True)
class Trial:
    """One rate of the search: Hz asked for, Hz that the camera reached, share of frames lost."""

    rate: float
    sent_rate: float
    lost: float


@dataclass(frozen=True)
class NodeMeasurement:
    """The node at work over DDS; latency is from the camera's stamp to reception, ms.

    Attributes:
        model: as ``Combination`` has it.
        engine, precision, device: as the node reports them.
        threads: asked for; 0: the node's choice.
        image_size: (height, width) of the camera's pictures.
        rate: Hz of the measured phase.
        seconds: its length.
        sent: frames in it.
        lost: share of them of which not every output arrived.
        lost_where: frames lost before the node, in it by reason, and behind it.
        latency: of the last output of each frame.
        topics: p50 and p95 by output.
        stages: the node's own p50 and p95 of each part of the work.
        overhead: share of the time from stamp to publication that is not the engine's.
        memory_mb, peak_memory_mb: of the node.
        cpu: processor seconds a second, by process.
        first_frame_s: from the start of the node's process to the first output's reception.
        torch_loaded: the node had mapped torch's library.
        peak_hz: greatest rate with less than 1 % lost; None: not searched for.
        trials: of that search.
        input_size: (height, width) of the network's input; None: an older file.
        output_scale: size of the outputs over that of the pictures.
    """

    model: str
    engine: str
    precision: str
    device: str
    threads: int
    image_size: tuple[int, int]
    rate: float
    seconds: float
    sent: int
    lost: float
    lost_where: dict[str, int]
    latency: Spread
    topics: dict[str, tuple[float, float]]
    stages: dict[str, tuple[float, float]]
    overhead: float
    memory_mb: float
    peak_memory_mb: float
    cpu: dict[str, float]
    first_frame_s: float
    torch_loaded: bool
    peak_hz: float | None
    trials: tuple[Trial, ...]
    input_size: tuple[int, int] | None = None
    output_scale: float = 1.0


@dataclass(frozen=True)
class Report:
    """A file's content.

    Attributes:
        host: what the machine is: see ``host.py``.
        command: arguments of ``demt bench``.
        load: average number of processes that wanted a core, 1 minute: before and after.
        energy: what tells joules, or why nothing does.
        engines, nodes: the figures.
        failures: combinations that could not be measured, and why.
        image_size: (height, width) of the pictures that engines ran on; None: there were only
            nodes, which tell it themselves, or it is an older file.
        source: of the pictures; '' for those of the package.
    """

    host: dict[str, str]
    command: str
    load: tuple[float, float]
    energy: str
    engines: tuple[Measurement, ...] = ()
    nodes: tuple[NodeMeasurement, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    source: str = ''
    version: int = VERSION


def save_report(report: Report, path: str | Path) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + '.part')
    part.write_text(json.dumps(asdict(report), indent=1, allow_nan=False) + '\n', 'utf-8')
    os.replace(part, path)


def load_report(path: str | Path) -> Report:
    """Read a file that ``save_report`` wrote.

    Raises:
        BenchError: it is none.
        OSError: it cannot be read.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise BenchError(f'{path} is not JSON ({error}): want a file of demt bench --json'
                         ) from error
    if not isinstance(content, dict) or content.get('version') != VERSION:
        seen = content.get('version') if isinstance(content, dict) else None
        raise BenchError(f'{path} is of version {seen!r}, want {VERSION}: a file of demt bench '
                         '--json; measure again')
    try:
        report: Report = decode(Report, content, 'report')
    except ValueError as error:
        raise BenchError(f'{path}: {error}; measure again') from error
    return report


def decode(kind: Any, value: Any, where: str) -> Any:
    """Return what JSON holds as a value of a type made of dataclasses, tuples and dicts.

    Raises:
        ValueError: it is not of that type; the text says where.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else decode(inner[0], value, where)
    if is_dataclass(kind):
        _require(isinstance(value, dict), where, value, 'an object')
        hints = get_type_hints(kind)
        names = {f.name for f in fields(kind)}
        # What has a default has come to be later than some files.
        needed = {f.name for f in fields(kind)
                  if f.default is MISSING and f.default_factory is MISSING}
        _require(needed <= value.keys() <= names, where, sorted(value), f'keys {sorted(names)}')
        assert isinstance(kind, type)
        return kind(**{name: decode(hints[name], item, f'{where}.{name}')
                       for name, item in value.items()})
    if origin is tuple:
        _require(isinstance(value, list), where, value, 'a list')
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        _require(len(kinds) == len(value), where, value, f'{len(kinds)} values')
        return tuple(decode(one, item, f'{where}[{index}]')
                     for index, (one, item) in enumerate(zip(kinds, value, strict=True)))
    if origin is dict:
        _require(isinstance(value, dict), where, value, 'an object')
        return {key: decode(inner[1], item, f'{where}[{key!r}]') for key, item in value.items()}
    if kind is float:
        _require(type(value) in (int, float) and math.isfinite(value), where, value, 'a number')
        return float(value)
    _require(type(value) is kind, where, value, kind.__name__)
    return value


def _require(good: bool, where: str, seen: Any, wanted: str) -> None:
    if not good:
        raise ValueError(f'{where} is {seen!r}'[:200] + f', want {wanted}')
