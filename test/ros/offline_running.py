"""Run `demt bag` on a bag in this process, and read what it wrote."""

from pathlib import Path

from demt_perception.bags import open_bag
from demt_perception.bags.ros_types import decode
from demt_perception.ros.offline.processing import Options, process

ENGINE = {'engine': 'onnxruntime', 'threads': 1}


def options(tiny_model, **more):
    return Options(str(tiny_model), ENGINE, **more)


def run(bag, out, tiny_model, **more):
    return process(bag, out, options(tiny_model, **more), lambda progress, total: None)


def read(out: Path, topic: str):
    with open_bag(out) as bag:
        return [(m.time_ns, decode(m.data, bag.topics[topic].type)) for m in bag.messages([topic])]


def content(out: Path) -> bytes:
    (file,) = out.glob('*.mcap')
    return file.read_bytes()
