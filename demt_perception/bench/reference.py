"""Networks of the papers as model folders with random weights: time does not depend on them."""

from pathlib import Path

from demt_perception.bench.results import BenchError
from demt_perception.class_lists import voc_palette
from demt_perception.model_card import ModelCard


def export_random(label: str, out: Path) -> None:
    """Write a model folder of a network of ``demt models --table``, fused as ``demt export`` does.

    Raises:
        BenchError: there is no network of this label.
        ImportError: torch, or what exporting needs, is not installed.
    """
    from demt_perception.networks import fuse
    from demt_perception.networks.deploy import Deployed
    from demt_perception.networks.eager import find_row, MOST_METRES, plain_network
    from demt_perception.training.export import (
        architecture,
        export_network,
        NOT_YET,
        ONNX,
        SIZE_MULTIPLE,
    )

    try:
        row = find_row(label)
    except ValueError as error:
        raise BenchError(f'{label!r} is neither a model nor a network: {error}') from error
    model = plain_network(row).model
    count = model.tasks.get('semseg', 1)
    card = ModelCard(
        name=label, architecture=architecture(row.name, row.options, row.backbone),
        tasks=tuple(model.tasks), classes=tuple(f'class {index}' for index in range(count)),
        palette=voc_palette(count, first=1), input_size=row.size, size_multiple=SIZE_MULTIPLE,
        mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), focal=500.0,
        assumed_hfov=60.0, depth_range=(0.1, MOST_METRES), onnx=ONNX, onnx_sha256=NOT_YET,
        licence='random weights')
    deployed = Deployed(fuse(model), tuple(model.tasks), MOST_METRES, 'log')
    export_network(deployed, card, out, model)
