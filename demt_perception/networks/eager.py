"""Networks of the papers in plain form, run by eager torch: what engines are compared with."""

import numpy as np
import torch

from demt_perception.networks import create_model
from demt_perception.networks.counting import Row, table
from demt_perception.networks.deploy import Deployed

MOST_METRES = 80.0


def find_row(label: str) -> Row:
    """Return a network of ``demt models --table``.

    Raises:
        ValueError: there is none of this label.
    """
    rows = {row.label: row for row in table()}
    if label not in rows:
        raise ValueError(f'network {label!r} is not in the table: want one of {", ".join(rows)}')
    return rows[label]


def plain_network(row: Row) -> Deployed:
    """Return the network with random weights, the same each time, and what deploys it."""
    torch.manual_seed(0)
    model = create_model(row.name, row.backbone, row.tasks, **row.options).eval()
    # As ours have it: untrained, the papers' own form is 0 nearly everywhere, and an error
    # relative to that says nothing. It costs the same.
    return Deployed(model, tuple(model.tasks), MOST_METRES, 'log').eval()


class Eager:
    """Runs a network of the table one operation at a time."""

    def __init__(self, label: str, threads: int) -> None:
        """Build it; see ``find_row`` and ``plain_network``."""
        torch.set_num_threads(threads)
        self._network = plain_network(find_row(label))

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return outputs by name of a float32 1x3xHxW image."""
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(image))
        return {name: value.numpy()
                for name, value in zip(self._network.names, outputs, strict=True)}
