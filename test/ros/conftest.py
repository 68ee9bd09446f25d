"""Fixtures of the tests over real DDS: one tester, and one node shared by many tests."""

import os
from typing import Any, NamedTuple

import pytest


class Ros(NamedTuple):
    """What every test over DDS needs."""

    tester: Any
    environ: dict[str, str]
    start: Any


@pytest.fixture(scope='session')
def ros():
    """Return the tester, the environment of nodes, and how to start one; ends what is left."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    import node_testing

    environ, domain = node_testing.environment()
    with pytest.MonkeyPatch.context() as patch:
        # Fast DDS reads them when the tester's participant is made, here and now.
        for name in environ.keys() - os.environ.keys():
            patch.setenv(name, environ[name])
        for name in os.environ.keys() - environ.keys():
            patch.delenv(name)
        tester = node_testing.Tester(domain)
    nodes = []

    def start(*arguments, **parameters):
        nodes.append(node_testing.NodeProcess(environ, *arguments, **parameters))
        return nodes[-1]

    yield Ros(tester, environ, start)
    for node in nodes:
        node.stop()
    tester.close()


@pytest.fixture(scope='session')
def tester(ros):
    """Return the tester."""
    return ros.tester


@pytest.fixture
def start_node(ros):
    """Return a function that starts a node; it is stopped after the test."""
    started = []

    def start(*arguments, **parameters):
        started.append(ros.start(*arguments, **parameters))
        return started[-1]

    yield start
    for node in started:
        node.stop()


@pytest.fixture(scope='session')
def shared_node(ros, tiny_model):
    """Return an active node with default names, for every test that leaves it as it was."""
    tester = ros.tester
    node = ros.start('-r', '__node:=shared', '-r', 'image:=/cam/image', model=tiny_model)
    tester.spin_until(lambda: 'loaded in' in node.log() or node.process.poll() is not None,
                      'the shared node')
    tester.spin_until(lambda: tester.state('/shared') == 'active', 'the shared node')
    return node


@pytest.fixture
def freed(closes_of):
    """Return the list of the predictors that are closed."""
    from demt_perception.inference import Predictor
    return closes_of(Predictor)
