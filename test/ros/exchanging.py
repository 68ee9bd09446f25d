"""A node with a model at work, in one process, whose loading of others waits to be let go on."""

from contextlib import contextmanager
from dataclasses import replace
import shutil
import threading

from node_testing import free_domain
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode

from demt_perception.inference import Predictor
from demt_perception.ros import exchange
from demt_perception.ros.exchange import Exchange
from demt_perception.ros.parameters import declare_parameters, read_settings
from demt_perception.ros.perception import Perception

SECONDS = 60


class Bench:
    """A node with a model at work, and what exchanges it."""

    def __init__(self, executor, node, folder):
        self.executor, self.folder = executor, folder
        self.go_on = threading.Event()   # that threads which load wait for
        self.go_on.set()
        settings = replace(read_settings(lambda name: node.get_parameter(name).value),
                           model=str(folder), engine='onnxruntime', threads=1)
        self.perception = Perception(node, settings, Predictor(folder, 'onnxruntime', 1))
        self.exchange = Exchange(node)

    def do(self, coroutine, *arguments, meanwhile=lambda: None):
        """Return what a coroutine gives; ``meanwhile`` is called once it waits for a thread."""
        self.go_on.clear()
        task = self.executor.create_task(coroutine, *arguments)
        while not (self.exchange.is_loading() or task.done()):
            self.executor.spin_once(1)
        meanwhile()
        self.go_on.set()
        self.executor.spin_until_future_complete(task, SECONDS)
        assert task.done()
        return task.result()

    @property
    def engine(self):
        return self.perception.inference()


@contextmanager
def exchanging(model, tmp_path, monkeypatch):
    """Yield a bench that runs a copy of a model, with an engine cache of its own."""
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'engines'))
    folder = shutil.copytree(model, tmp_path / 'model')
    context = Context()
    context.init(domain_id=free_domain())
    node = LifecycleNode('exchanged', context=context)
    declare_parameters(node)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    made = Bench(executor, node, folder)
    aside = exchange.aside
    monkeypatch.setattr(exchange, 'aside', lambda load, done: aside(
        lambda: made.go_on.wait(SECONDS) and load(), done))
    yield made
    made.go_on.set()
    if not made.perception.closed:
        made.perception.close()
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
