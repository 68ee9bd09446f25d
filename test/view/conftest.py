"""Fixtures: a hub with the topics of a node, and a server of the page on a free port."""

import threading

import pytest
from view_testing import NAMES, state, TOPICS

from demt_perception.view.hub import Hub
from demt_perception.view.server import ViewServer


@pytest.fixture
def hub():
    """Return a hub that knows the topics."""
    hub = Hub(state(topics=[]))
    hub.set_state(state(), TOPICS, {'': NAMES})
    yield hub
    hub.close()


@pytest.fixture
def server(hub):
    """Return a server of that hub, serving."""
    with ViewServer('127.0.0.1', 0, hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        hub.close()
        server.shutdown()
        thread.join()
