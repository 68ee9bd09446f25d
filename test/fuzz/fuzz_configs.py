"""Targets: YAML and JSON that people write: parameters, calibrations, training configurations."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from drawing import Draw
from fuzz_target import scratch_folder, Target
import yaml

from demt_perception.bench.results import BenchError, load_report
from demt_perception.ros.camera_info_file import (
    CameraInfoError,
    fit_camera_info,
    read_camera_info,
)
from demt_perception.ros.parameters import read_settings, strange_camera
from demt_perception.training.checked import read
from demt_perception.training.config import (
    ConfigError,
    load_config,
    save_config,
    Source,
    TrainConfig,
)

REPOSITORY = Path(__file__).parents[2]
KEYS = ('model', 'tasks', 'data', 'out', 'size', 'more_sizes', 'depth_range', 'validation',
        'nyud', 'driving', 'inf', '1e-4')


@cache
def folder() -> Path:
    return scratch_folder()


def plain_config() -> dict[str, Any]:
    return {'model': 'demt', 'tasks': {'depth': 1}, 'out': 'out', 'iterations': 10,
            'data': [{'root': 'data', 'label_maps': {'semantic': {1: 2}}}], 'size': [64, 64],
            'loss_weights': {'depth': 1.0}, 'palette': [[1, 2, 3]], 'mean': [1.0, 2.0, 3.0]}


def config(data: bytes) -> None:
    """Values of a training configuration."""
    values = Draw(data).changed(plain_config(), KEYS)
    if not isinstance(values, dict):   # refused before
        return
    with suppress(ConfigError):
        found = read(TrainConfig, values, '')
        assert all(isinstance(source, Source) for source in (*found.data, *found.validation))


def config_file(data: bytes) -> None:
    """The text of a training configuration, and an override; what is taken is written alike."""
    override, _, text = data.partition(b'\n')
    (folder() / 'train.yaml').write_bytes(text)
    with suppress(ConfigError):
        found = load_config(folder() / 'train.yaml',
                            [override.decode('utf-8', 'replace')] if override else [])
        save_config(found, folder() / 'again.yaml')
        again = load_config(folder() / 'again.yaml')
        assert repr(again) == repr(found), (again, found)


def config_texts() -> list[bytes]:
    text = yaml.safe_dump(plain_config()).encode()
    return [b'size=[96, 64]\n' + text, b'data.0.root=x\n' + text, b'\na: 2001-99-99\n',
            b'\nmodel: demt\ntasks: nyud\ndata: [{}]\nout: o\nepochs: 1\n']


CALIBRATION = b"""image_width: 640
image_height: 480
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
camera_matrix: {rows: 3, cols: 3, data: [600, 0, 320, 0, 600, 240, 0, 0, 1]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [600, 0, 320, 0, 0, 600, 240, 0, 0, 0, 1, 0]}
"""


def calibration(data: bytes) -> None:
    """The text of a calibration as camera_calibration writes it."""
    calibration_of(data)


def calibration_values(data: bytes) -> None:
    """Values of a calibration."""
    draw = Draw(data)
    values = draw.changed(yaml.safe_load(CALIBRATION), ('rows', 'cols', 'data'))
    try:
        text = yaml.safe_dump(values)
    except UnicodeEncodeError:   # a lone surrogate: no file can hold it
        return
    calibration_of(text.encode('utf-8', 'replace'))


def calibration_of(text: bytes) -> None:
    (folder() / 'camera.yaml').write_bytes(text)
    with suppress(CameraInfoError):
        info = read_camera_info(folder() / 'camera.yaml')
        fit_camera_info(info, 320, 240)


PARAMETERS: dict[str, tuple[str, Any]] = {
    'cameras': ('texts', ['']), 'model': ('text', 'm'), 'engine': ('text', 'auto'),
    'precision': ('text', 'auto'), 'threads': ('whole', 0), 'input_size': ('wholes', [0, 0]),
    'match_aspect': ('flag', False), 'image_transport': ('text', 'raw'),
    'output_scale': ('number', 1.0), 'max_age': ('number', 0.5),
    'no_frame_timeout': ('number', 5.0), 'confidence': ('flag', True), 'classes': ('texts', [''])}
REGION, SCALE = ('wholes', [0, 0, 0, 0]), ('number', 1.0)


def parameters(data: bytes) -> None:
    """The node's parameters, of the types that rclpy lets through."""
    draw = Draw(data)
    known: dict[str, Any] = {}

    def drawn(kind: str) -> Any:
        return {'flag': lambda: bool(draw.unsigned() % 2), 'text': draw.text,
                'whole': lambda: max(-2 ** 63, min(2 ** 63 - 1, draw.whole())),
                'number': lambda: draw.number() if draw.unsigned() % 2 else draw.plain(),
                'wholes': lambda: [draw.unsigned(2) - 9 for _ in range(draw.unsigned() % 6)],
                'texts': lambda: [draw.pick(('', 'a', 'front', '1', draw.text()))
                                  for _ in range(draw.unsigned() % 4)]}[kind]()

    def get(name: str) -> Any:
        if name not in known:
            kind, default = PARAMETERS.get(name) or (
                REGION if name.endswith('roi') else
                SCALE if name.endswith('depth_scale') else ('whole', 1))
            known[name] = default if draw.unsigned() % 4 else drawn(kind)
        return known[name]

    try:
        found = read_settings(get)
    except ValueError:
        return
    assert 0.01 <= found.output_scale <= 4 and found.max_age >= 0
    strange_camera(f'{draw.text()}.roi', found.cameras)


def figures(data: bytes) -> None:
    """A report of demt bench."""
    path = folder() / 'figures.json'
    path.write_bytes(data)
    with suppress(BenchError):
        load_report(path)


def reports() -> list[bytes]:
    found = [path.read_bytes() for path in sorted((REPOSITORY / 'benchmarks').rglob('*.json'))
             if path.stat().st_size < 4096]
    return [*found, b'{"version": 1}']


TARGETS = {
    'training configuration: values': Target(config, lambda: [bytes(range(64))], 256),
    'training configuration: text': Target(config_file, config_texts, 1024),
    'calibration: text': Target(calibration, lambda: [CALIBRATION], 1024),
    'calibration: values': Target(calibration_values, lambda: [bytes(range(64))], 256),
    'parameters': Target(parameters, lambda: [bytes(range(90)), bytes([9] * 60)], 256),
    'report of demt bench': Target(figures, reports),
}
