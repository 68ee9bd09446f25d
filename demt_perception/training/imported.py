"""From official weights to a model folder."""

from collections.abc import Mapping
from pathlib import Path

from demt_perception.class_lists import NYUD, PASCAL, voc_palette
from demt_perception.hashes import HashError, read_published
from demt_perception.model_card import CARD_FILE, ModelCard, WEIGHTS
from demt_perception.networks import fuse, load_official
from demt_perception.networks.checkpoint import CheckpointError, read_checkpoint
from demt_perception.networks.deploy import Deployed, logit_stride
from demt_perception.networks.detect import build, Description, detect
from demt_perception.tasks import get_tasks
from demt_perception.training.export import (
    architecture,
    export_network,
    for_engine,
    NOT_YET,
    ONNX,
    SIZE_MULTIPLE,
)

# Of ImageNet, as all official training code uses them.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
INDOOR_SIZE, PHOTO_SIZE = (448, 576), (512, 512)
# Focal length in pixels of NYUD's Kinect. Training divides depth by the factor that it enlarges
# an image by, so what counts is pixels, whatever the size of the input.
KINECT_FOCAL = 518.8
KINECT_HFOV = 63.3
INDOOR_RANGE = (0.5, 10.0)


def import_checkpoint(file: str | Path, out: str | Path, *, name: str = '', licence: str = '',
                      input_size: tuple[int, int] | None = None,
                      task: str | None = None,
                      engine: str = 'any', sha256: str = '') -> tuple[Description, ModelCard]:
    """Read official weights, check every key and shape, and write a model folder.

    Args:
        file: see ``read_checkpoint``.
        out: folder to write ``model.onnx``, ``weights.safetensors`` and ``card.yaml`` to.
        name: of the model; default the folder's.
        licence: terms of the weights, for the card.
        input_size: (height, width); default that of the paper's data set.
        task: name of the task of a single-task network.
        engine: see ``export.for_engine``.
        sha256: of the file, as its publisher names it; '' for any.

    Raises:
        CheckpointError: the file cannot be read or would be written over, its weights do not
            fit, or a task is not in the table of tasks or has other channels there; nothing is
            written.
        UnknownNetworkError: the weights are of no network that is known.
        ModelCardError: ``input_size`` is not valid.
        RuntimeError: ONNX Runtime disagrees with torch.
    """
    file, out = Path(file), Path(out)
    if any((out / ours).resolve() == file.resolve() for ours in (WEIGHTS, ONNX, CARD_FILE)):
        raise CheckpointError(f'{file} would be written over by the model, give another --out')
    try:
        content, digest = read_published(file, sha256)
    except (HashError, OSError) as error:
        raise CheckpointError(str(error)) from error
    state = read_checkpoint(file, content)
    found = detect(state, task)
    _check_channels(file, found)
    model = build(found).eval()
    try:
        load_official(model, state)
    except ValueError as error:
        raise CheckpointError(f'{file}: {error}') from error
    card = make_card(found, name or out.resolve().name, licence, input_size, {
        'imported from': file.name, 'sha256': digest})
    deployed = Deployed(for_engine(fuse(model), engine), tuple(found.tasks), card.depth_range[1],
                        depth='linear', stride=logit_stride(model))
    return found, export_network(deployed, card, out, model)


def _check_channels(file: Path, found: Description) -> None:
    """Refuse a task whose output would mean something else than it does here."""
    try:
        tasks = get_tasks(found.tasks)
    except ValueError as error:
        raise CheckpointError(f'{file}: {error}') from error
    for task in tasks:
        channels = found.tasks[task.name]
        # One channel with a sigmoid or two with a softmax: both are known.
        wanted = (1, 2) if task.kind == 'probability' else (task.channels,)
        if task.channels is not None and channels not in wanted:
            raise CheckpointError(f'{file}: task {task.name} has {channels} channels, want '
                                  f'{" or ".join(map(str, wanted))}: is it this task?')


def make_card(found: Description, name: str, licence: str, input_size: tuple[int, int] | None,
              training: Mapping[str, str]) -> ModelCard:
    """Return the card, complete but for the graph's hash."""
    classes = found.tasks.get('semseg', 0)
    known = {len(NYUD): (NYUD, voc_palette(len(NYUD), first=1)),
             len(PASCAL): (PASCAL, voc_palette(len(PASCAL)))}
    names, palette = known.get(classes) or (
        tuple(f'class {index}' for index in range(max(1, classes))),
        voc_palette(max(1, classes), first=1))
    indoor = 'depth' in found.tasks or classes == len(NYUD)
    return ModelCard(
        name=name, architecture=architecture(found.name, found.options, found.backbone),
        tasks=tuple(found.tasks), classes=names, palette=palette,
        input_size=input_size or (INDOOR_SIZE if indoor else PHOTO_SIZE),
        size_multiple=SIZE_MULTIPLE, mean=MEAN, std=STD, focal=KINECT_FOCAL,
        assumed_hfov=KINECT_HFOV, depth_range=INDOOR_RANGE, onnx=ONNX, onnx_sha256=NOT_YET,
        training=dict(training), licence=licence)
