from collections.abc import Callable
from pathlib import Path

from bag_writing import write_mcap, write_sqlite3
import pytest


@pytest.fixture(params=['.db3', '.mcap'])
def write_storage(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """A function that writes rows into a storage file of either kind."""
    def write(stem: Path, rows: list[tuple[str, int, bytes]]) -> Path:
        path = stem.with_suffix(request.param)
        (write_sqlite3 if request.param == '.db3' else write_mcap)(path, rows)
        return path
    return write
