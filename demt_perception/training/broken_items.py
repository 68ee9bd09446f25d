"""A picture or label that cannot be read: said by whoever meets it, a worker too, in one line."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import default_collate

from demt_perception.training.datasets.reading import DatasetError


class Broken(NamedTuple):
    """Takes the place of an item; an exception would come out of a worker with its traceback."""

    reason: str


class Told(Dataset):
    """The items of a dataset, ``Broken`` where a file of it is."""

    def __init__(self, items: Any):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.items[index]
        except (OSError, DatasetError) as error:
            return Broken(str(error))


def collate(items: Sequence[Any]) -> Any:
    """Return the batch of items, or the first broken one."""
    return next((item for item in items if isinstance(item, Broken)), None) or default_collate(
        list(items))


def whole(loader: DataLoader) -> Iterator[dict[str, Tensor]]:
    """Yield the batches of a loader of ``Told``, made by ``collate``.

    Raises:
        DatasetError: a file is broken or missing; the text names it.
    """
    for batch in loader:
        if isinstance(batch, Broken):
            raise DatasetError(f'{batch.reason}; run `demt data check` on the dataset, which '
                               'names every such file')
        yield batch
