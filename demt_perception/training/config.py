"""Training configuration: one dataclass, read from YAML; an unknown key is an error."""

from dataclasses import dataclass, field, fields
import difflib
from pathlib import Path
from typing import Any

import yaml

from demt_perception.tasks import DRIVING


@dataclass
class TrainConfig:
    """All that a training run needs.

    Attributes:
        camvid: folder of CamVid in the SegNet layout; photographs with classes.
        rendered: folder of ``demt generate``; classes, depth, normals, boundaries.
        out: run folder, for checkpoints and the log.
        render_share: share of rendered views in a batch.
        input_size: (height, width) of the network input.
        focal: canonical focal length in network-input pixels.
        far: depth of sky, in canonical metres.
        loss_weights: {task: weight}.
        sources: what the data are and their terms, by name; goes onto the model card.
    """

    camvid: str
    rendered: str
    out: str
    model: str = 'demt_light'
    backbone: str = 'efficientnet_lite0'
    model_options: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = DRIVING
    classes: int = 11
    render_share: float = 0.4
    input_size: tuple[int, int] = (288, 512)
    focal: float = 512.0
    far: float = 150.0
    iterations: int = 4000
    batch: int = 8
    lr: float = 1.5e-3
    encoder_lr: float = 4e-4
    weight_decay: float = 1e-2
    warmup: int = 100
    ema: float = 0.998
    loss_weights: dict[str, float] = field(default_factory=lambda: {
        'semseg': 1.0, 'depth': 1.0, 'normals': 0.7, 'edge': 5.0})
    sources: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    threads: int = 2
    bf16: bool = True
    workers: int = 1
    save_every: int = 250


def load_config(path: str | Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file; ``overrides`` are ``key=value`` texts with YAML values.

    Raises:
        ValueError: an unknown or missing key; the text names the nearest valid one.
    """
    values = yaml.safe_load(Path(path).read_text(encoding='utf-8')) or {}
    for text in overrides:
        key, equals, value = text.partition('=')
        if not equals:
            raise ValueError(f'override {text!r} is not of the form key=value')
        values[key] = yaml.safe_load(value)
    known = [f.name for f in fields(TrainConfig)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            raise ValueError(f'{path}: unknown key {key!r}' + (
                f'; did you mean {near[0]!r}?' if near else f'; known: {known}'))
    for key in ('tasks', 'input_size'):
        if key in values:
            values[key] = tuple(values[key])
    try:
        return TrainConfig(**values)
    except TypeError as error:
        raise ValueError(f'{path}: {error}; camvid, rendered and out are required') from error
