"""What the classes of a run are called, from its data to the model card: never by a guess."""

from collections.abc import Sequence
from dataclasses import replace

from demt_perception.class_lists import NYUD, PASCAL, voc_palette
from demt_perception.training.config import ConfigError, Source, TrainConfig
from demt_perception.training.datasets.files import FileDataset

CAMVID_CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
                  'pedestrian', 'bicyclist')
# Cityscapes' colours for the classes that both have: what people are used to read.
CAMVID_PALETTE = ((70, 130, 180), (70, 70, 70), (153, 153, 153), (128, 64, 128), (244, 35, 232),
                  (107, 142, 35), (220, 220, 0), (190, 153, 153), (0, 0, 142), (220, 20, 60),
                  (119, 11, 32))
KNOWN_CLASSES = {
    len(CAMVID_CLASSES): (CAMVID_CLASSES, CAMVID_PALETTE), len(NYUD): (NYUD, voc_palette(
        len(NYUD), first=1)), len(PASCAL): (PASCAL, voc_palette(len(PASCAL)))}
CAMVID_LAYOUTS = ('camvid', 'rendered')
Palette = tuple[tuple[int, int, int], ...]


def named(config: TrainConfig, datasets: Sequence[FileDataset]) -> TrainConfig:
    """Return the configuration of a run of classes with their names and colours.

    Args:
        config: as the user gave it.
        datasets: of ``config.data``, in its order.

    Raises:
        ConfigError: neither the user nor any dataset with the run's own ids says the names.
    """
    if config.classes:
        return config
    for source, dataset in zip(config.data, datasets, strict=True):
        if dataset.classes and 'semseg' not in source.label_maps:
            return replace(config, classes=tuple(dataset.classes),
                           palette=config.palette or tuple(dataset.palette))
    raise ConfigError('no dataset says what the classes of the run are called: all have none, or '
                      'label_maps of semseg to other ids; want classes: [name of id 0, ...]')


def check_classes(sources: Sequence[Source], datasets: Sequence[FileDataset], config: TrainConfig,
                  count: int, names: Sequence[str] = ()) -> None:
    """Refuse datasets whose ids mean other classes than the run's.

    Args:
        sources: of the configuration.
        datasets: these, opened.
        config: with ``classes`` as the user gave them: these may have other names than the
            datasets', but no other order.
        count: classes of the network.
        names: of the run's classes, where its data have said them already.

    Raises:
        ConfigError: one does, or has another number of classes.
    """
    renamed = bool(config.classes)
    names = config.classes or tuple(names)
    for source, dataset in zip(sources, datasets, strict=True):
        if not dataset.classes or 'semseg' in source.label_maps:
            continue
        root = source.root or config.root
        if len(dataset.classes) != count:
            raise ConfigError(
                f'{root} has {len(dataset.classes)} classes, the network {count}: set '
                f'tasks.semseg={len(dataset.classes)}, or label_maps')
        names = names or dataset.classes
        moved = any(name in names and names.index(name) != number
                    for number, name in enumerate(dataset.classes))
        if moved or (not renamed and names != dataset.classes):
            raise ConfigError(
                f'{root} has the classes {", ".join(dataset.classes)}, the run '
                f'{", ".join(names)}: give it label_maps of semseg; or classes, where they only '
                'have other names')


def card_classes(config: TrainConfig, count: int) -> tuple[tuple[str, ...], Palette]:
    """Return names and colours of a run's classes: its own, or of a published set of this number.

    Args:
        config: of the run.
        count: classes of the network; of one without, 0, the card has a single one nevertheless.

    Raises:
        ConfigError: there are more or fewer names than classes; or none, and protocol ``driving``,
            which anyone's pictures are learned with.
    """
    if not count:
        return ('class 0',), voc_palette(1, first=1)
    names, colors = KNOWN_CLASSES.get(count, ((), ()))
    if config.protocol == 'driving' and not config.classes and not (
            names == CAMVID_CLASSES and any(
                source.layout in CAMVID_LAYOUTS and 'semseg' not in source.label_maps
                for source in config.data)):
        raise ConfigError(f'{count} classes without names: nothing says which of the '
                          "configuration's data has names for its ids; want classes: [name of id "
                          "0, ...], on the command line 'classes=[...]'")
    names = config.classes or names or tuple(f'class {index}' for index in range(count))
    if len(names) != count:
        raise ConfigError(f'{len(names)} names of classes for a network of {count}: set classes')
    if config.palette:
        colors = config.palette
    return names, colors if len(colors) == count else voc_palette(count, first=1)
