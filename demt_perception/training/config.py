"""Training configuration: one dataclass, read from YAML; an unknown key is an error."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from demt_perception.outside import MOST_YAML, parse_yaml, read_file
from demt_perception.training.card_values import check_card_values
from demt_perception.training.checked import ConfigError, nearest, read, set_deep

__all__ = ['CONFIG', 'ConfigError', 'Source', 'TrainConfig', 'load_config', 'save_config']
CONFIG = 'config.yaml'
"""Of a run, and of the model that was made of it."""


@dataclass
class Source:
    """One dataset of a run.

    Attributes:
        root: folder; '' for ``root`` of the configuration.
        layout: a name of ``datasets.LAYOUTS``; '' finds it.
        split: of the layout, e.g. ``train``; '' for everything.
        weight: how often its pictures are drawn, relative to the other datasets; 0: as often as
            it has pictures.
        label_maps: {task: {id in this dataset: id in the run}}; ids not listed are ignored.
        people: only pictures with human parts, as the released code when it trains these alone.
    """

    root: str = ''
    layout: str = ''
    split: str = ''
    weight: float = 0.0
    label_maps: dict[str, dict[int, int]] = field(default_factory=dict)
    people: bool = False


@dataclass
class TrainConfig:
    """All that a training run needs; every run folder keeps its own as ``config.yaml``.

    Attributes:
        model: see ``networks.list_models``.
        tasks: task set (``nyud``, ``pascal_context``, ``driving``) or {task: channels}.
        data: datasets to train on.
        out: run folder: checkpoints, log, pictures.
        root: folder of the datasets that name none of their own.
        validation: datasets to measure on; none: nothing is measured.
        backbone: see ``networks.list_backbones``.
        model_options: of the network's class, see docs/networks.md.
        pretrained: weights of the backbone: a file of ``demt import-backbone``, or ``package``
            for those of the installed package; '' for random ones.
        start_from: file of weights of an earlier run to begin with, as `weights.safetensors`, or
            a folder that has it; what it lacks, e.g. a new head, begins as without it; or a model
            folder without, whose graph tells, with ``freeze_norms: ['']``; '' for none.
        freeze: parts of the network that do not learn, e.g. ``backbone.stem``; the BatchNorm in
            what does not learn keeps its statistics, too.
        learn: the only parts that learn, e.g. ``head.uncertainty``; () for all but ``freeze``.
        freeze_norms: parts whose BatchNorm keeps its statistics; '' in the list is everything.
        protocol: of the transforms: ``demt``, ``mtl_nyud``, ``mtl_pascal`` or ``driving``.
        size: (height, width) of the network input.
        more_sizes: others for ``driving``, each step draws one; so that the network serves
            cameras of any shape.
        stretch: for ``driving``, the greatest logarithm of how much wider or narrower than they
            are pictures are shown. What is used without ``--input-size auto`` sees 4:3 by -0.29
            and 3.3:1 by 0.62 in an input of 16:9.
        losses: table of losses: see ``objective.TABLES``.
        loss_options: {task: name of another loss for it}, see ``objective.OTHERS``.
        loss_weights: {task: weight}; what is not listed has the papers' weight, with losses
            ``driving`` that of the shipped models.
        weighting: ``fixed``, ``uncertainty``, ``gradnorm`` or ``dwa``.
        teacher: trained networks to learn from while training: run folders, or weights beside
            the config.yaml of their run.
        distill: {task: weight} of what teachers say of a picture, there and then or in the soft
            labels of ``demt label``.
        agreement: {task: weight} of the agreement with the running average, which sees an easier
            view of a picture, where there is no label (Mean Teacher, FixMatch); needs ``ema``.
        temperature: that softens the classes of ``distill`` and ``agreement``.
        least_confidence: probability of the likeliest class that counts there.
        consistency: weight of the agreement between predicted depth and normals.
        standing: weight of the agreement, where depth has no label, between the depth of what
            stands and that of the ground at its foot.
        uncertainty: weight of the likelihood that depth's uncertainty learns from, where the
            network has one (``model_options.uncertainty``); depth itself never feels it.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        lr: learning rate at the start.
        backbone_lr: that of the backbone; 0: the same.
        momentum: of SGD.
        weight_decay: on everything that learns.
        schedule: ``poly``, per iteration, or ``poly_epoch``, per epoch; both of power 0.9 to 0.
        warmup: iterations that the rate climbs for.
        iterations: how long; or
        epochs: how often every picture is seen.
        batch: pictures of one step, over all processes.
        accumulate: parts that each process cuts its batch into, to save memory.
        clip: greatest norm of the gradient; 0: unlimited.
        ema: decay of the running average of the weights; 0: none. Over less than an eleventh of
            the steps so far it never averages less: 0.998 begins to matter after 5,000.
        precision: ``fp32``, ``bf16`` or ``fp16``: of matrix products and convolutions.
        channels_last: memory order of pictures and features; faster on most hardware.
        compile: let torch.compile fuse the network's operations.
        strategy: over several processes: ``ddp`` (copies) or ``fsdp`` (shards).
        accelerator: ``auto``, ``cpu`` or ``cuda``.
        seed: of weights, order and augmentation.
        workers: processes that load data, for each process that trains.
        threads: of each training process on the CPU; 0: as torch chooses.
        save_every: iterations between checkpoints.
        validate_every: iterations between measurements; 0: only at the end.
        log_every: iterations between lines of the log.
        panels: pictures drawn at each measurement.
        single_task: JSON of single-task figures, {task: figure}: the best weights are then
            those of the greatest Delta_m against them, else against the first measurement.
        classes: names of the classes; () takes those of the first dataset that has the run's own
            ids: no label_maps of semseg.
        palette: their colours; () likewise.
        focal: focal length in network-input pixels: for ``driving`` the canonical one, else that
            of the training pictures; goes onto the model card.
        far: depth of sky in canonical metres, for ``driving``; beyond ``depth_range``.
        assumed_hfov: horizontal field of view in degrees of a camera that does not say, for the
            card.
        depth_range: nearest and farthest metres that the card promises; what a network of losses
            ``driving`` puts beyond is published as unknown: the sky, which it puts at ``far``.
        mean: of the pictures, RGB of 0..255, for ``driving``; the papers' protocols have theirs.
        std: likewise.
        sky: id of the class without depth limit, for ``driving``, see ``transforms.Driving``.
        ground: ids of the level classes, likewise.
        stands: ids of the classes that stand upright on them, for ``standing``.
        class_shares: share of each class among labelled pixels: rare ones weigh more in
            ``driving``, by 1 / log(1.1 + share) (ENet's rule, Paszke et al. 2016, with a gentler
            constant); () weighs all alike.
        sources: what the data are and their terms, by name; goes onto the model card.
    """

    model: str
    tasks: str | dict[str, int]
    data: list[Source]
    out: str
    root: str = ''
    validation: list[Source] = field(default_factory=list)
    backbone: str = 'hrnet18'
    model_options: dict[str, Any] = field(default_factory=dict)
    pretrained: str = ''
    start_from: str = ''
    freeze: tuple[str, ...] = ()
    learn: tuple[str, ...] = ()
    freeze_norms: tuple[str, ...] = ()
    protocol: str = 'demt'
    size: tuple[int, int] = (448, 576)
    more_sizes: tuple[tuple[int, int], ...] = ()
    stretch: float = 0.15
    losses: str = 'demt_nyud'
    loss_options: dict[str, str] = field(default_factory=dict)
    loss_weights: dict[str, float] = field(default_factory=dict)
    weighting: str = 'fixed'
    teacher: tuple[str, ...] = ()
    distill: dict[str, float] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    temperature: float = 2.0
    least_confidence: float = 0.5
    consistency: float = 0.0
    standing: float = 0.0
    uncertainty: float = 1.0
    optimizer: str = 'sgd'
    lr: float = 1e-3
    backbone_lr: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = 'poly'
    warmup: int = 0
    iterations: int = 0
    epochs: int = 0
    batch: int = 8
    accumulate: int = 1
    clip: float = 0.0
    ema: float = 0.0
    precision: str = 'fp32'
    channels_last: bool = False
    compile: bool = False
    strategy: str = 'ddp'
    accelerator: str = 'auto'
    seed: int = 0
    workers: int = 2
    threads: int = 0
    save_every: int = 1000
    validate_every: int = 0
    log_every: int = 20
    panels: int = 4
    single_task: str = ''
    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    focal: float = 512.0
    far: float = 150.0
    assumed_hfov: float = 60.0
    depth_range: tuple[float, float] = (0.5, 100.0)
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    sky: int = -1
    ground: tuple[int, ...] = ()
    stands: tuple[int, ...] = ()
    class_shares: tuple[float, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = [read(Source, s, 'data') if isinstance(s, Mapping) else s for s in self.data]
        self.validation = [read(Source, s, 'validation') if isinstance(s, Mapping) else s
                           for s in self.validation]
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f'{name}: {getattr(self, name)!r}' + nearest(
                    str(getattr(self, name)), known))
        if not self.data:
            raise ConfigError('data: no dataset, want at least one')
        if bool(self.iterations) == bool(self.epochs):
            raise ConfigError(f'iterations {self.iterations} and epochs {self.epochs}: want one '
                              'of them')
        for name in ('batch', 'accumulate', 'save_every', 'log_every'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name}: {getattr(self, name)}, want 1 or more')
        for name in ('iterations', 'epochs', 'warmup', 'clip', 'workers', 'threads', 'panels',
                     'validate_every', 'weight_decay', 'consistency', 'standing', 'uncertainty',
                     'backbone_lr', 'stretch'):
            if getattr(self, name) < 0:
                raise ConfigError(f'{name}: {getattr(self, name)}, want 0 or more')
        if not self.lr > 0:
            raise ConfigError(f'lr: {self.lr}, want more than 0')
        if not self.temperature > 0 or not 0 <= self.least_confidence <= 1:
            raise ConfigError(f'temperature {self.temperature} and least_confidence '
                              f'{self.least_confidence}: want more than 0, and 0 to 1')
        if not 0 <= self.ema < 1:
            raise ConfigError(f'ema: {self.ema}, want at least 0 and below 1')
        check_card_values(self)
        for name, size in (('size', self.size), *(('more_sizes', s) for s in self.more_sizes)):
            if len(size) != 2 or min(size) < 32:
                raise ConfigError(f'{name}: {size}, want [height, width] of 32 or more')
            if self.distill and any(side % 4 for side in size):
                raise ConfigError(f'{name}: {size} with distill, want multiples of 4: soft labels '
                                  'are a quarter of the picture')
        if self.more_sizes and self.protocol != 'driving':
            raise ConfigError(f'more_sizes: {self.more_sizes} with protocol {self.protocol}, '
                              'want none: only driving takes them')


CHOICES: dict[str, tuple[str, ...]] = {
    'protocol': ('demt', 'mtl_nyud', 'mtl_pascal', 'driving'),
    'losses': ('demt_nyud', 'demt_pascal', 'mtl', 'mtl_partial', 'driving'),
    'weighting': ('fixed', 'uncertainty', 'gradnorm', 'dwa'),
    'optimizer': ('sgd', 'adam', 'adamw'), 'schedule': ('poly', 'poly_epoch'),
    'precision': ('fp32', 'bf16', 'fp16'), 'strategy': ('ddp', 'fsdp'),
    'accelerator': ('auto', 'cpu', 'cuda')}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file.

    Args:
        path: the file.
        overrides: ``key=value`` texts with YAML values; a key may go deeper by dots, into
            mappings and into lists by number: ``model_options.depth=2``, ``data.0.root=DIR``.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of another type; the text names
            the nearest valid key.
        OSError: the file cannot be read.
    """
    values = _parse(read_file(path, MOST_YAML), str(path)) or {}
    if not isinstance(values, dict):
        raise ConfigError(f'{path}: want keys and values, see config/training/')
    for text in overrides:
        key, equals, value = text.partition('=')
        if not equals:
            raise ConfigError(f'override {text!r} is not of the form key=value')
        set_deep(values, key, _parse(value, text))
    try:
        config: TrainConfig = read(TrainConfig, values, '')
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    return config


def save_config(config: TrainConfig, path: Path) -> None:
    """Write a configuration that ``load_config`` reads back unchanged."""
    path.write_text(yaml.safe_dump(_plain(asdict(config)), sort_keys=False), encoding='utf-8')


def _parse(text: str | bytes, where: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f'{where}: {error}') from error


def _plain(value: Any) -> Any:
    """Return what YAML has words for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
