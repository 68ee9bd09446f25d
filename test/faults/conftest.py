"""The bench of the faults: one node for all that leave it as it was, else one of their own."""

from contextlib import ExitStack
from pathlib import Path
import sys

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / 'ros'))   # its helpers


@pytest.fixture(scope='session')
def shared_bench():
    """Return a function that returns the bench that faults share, started by the first."""
    import campaign

    with ExitStack() as stack:
        started = {}

        def get(parameters):
            key = tuple(parameters.items())
            if key not in started:
                started[key] = stack.enter_context(campaign.bench(**parameters))
            return started[key]

        yield get


@pytest.fixture
def bench(request, shared_bench):
    """Return the bench that a fault wants; after it nothing may have been wrong."""
    import campaign

    fault = request.function.fault
    with ExitStack() as stack:
        bench = (stack.enter_context(campaign.bench(**fault.parameters)) if fault.own
                 else shared_bench(fault.parameters))
        bench.begin()
        yield bench
        assert not bench.check()
