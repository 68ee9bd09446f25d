"""Targets: model cards, ONNX files and the engine cache."""

from contextlib import suppress
from functools import cache
import os
from pathlib import Path

from drawing import Draw
from fuzz_target import scratch_folder, Target
import yaml

from demt_perception.inference.cache.entry import DamagedError, HEADER, read_entry, write_entry
from demt_perception.inference.cache.key import EngineKey
from demt_perception.inference.cutting import batch_is_free, cut
from demt_perception.inference.external_data import has_external_data
from demt_perception.model_card import card_from_dict, load_card, ModelCard, ModelCardError

TINY = Path(__file__).parents[1] / 'data' / 'tiny_model'
OUTPUTS = ('semantic', 'depth', 'normals', 'boundary', 'confidence')
KEY = EngineKey('0' * 64, 'openvino', '1', 'cpu', '', 'f32', (1, 3, 32, 32))


@cache
def card_values() -> dict:
    return yaml.safe_load((TINY / 'card.yaml').read_text('utf-8'))


def card(data: bytes) -> None:
    """Values of a card, some of them wrong."""
    draw = Draw(data)
    try:
        good = card_from_dict(draw.changed(card_values(), (*card_values(), *OUTPUTS)))
    except ModelCardError:
        return
    try:
        assert isinstance(good.only([draw.pick((*good.tasks, 'depth', ''))]), ModelCard)
    except ModelCardError:
        raise
    except ValueError:
        pass


@cache
def card_folder() -> Path:
    return scratch_folder()


def card_file(data: bytes) -> None:
    """The text of a card."""
    (card_folder() / 'card.yaml').write_bytes(data)
    with suppress(ModelCardError):
        load_card(card_folder())


def card_texts() -> list[bytes]:
    whole = (TINY / 'card.yaml').read_bytes()
    return [whole, b'name: a\ntasks: [depth]\npalette: [[1, 2, 3]]\n', b'a: !!timestamp foo\n',
            b'a: &a [1, *a]\n', b'name: !!int ""\n? {a: b}\n: c\n', b'metrics: {a: 2001-01-01}']


def onnx(data: bytes) -> None:
    """A graph, as it is searched for weights in other files, and cut."""
    for read in (has_external_data, batch_is_free, lambda graph: cut(graph, OUTPUTS[:2])):
        with suppress(ValueError):
            read(data)


def onnx_seeds() -> list[bytes]:
    """Return small graphs with all that is read: inner graphs, sparse and outside tensors."""
    from onnx import helper, TensorProto

    def value(name: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ['batch', 3, 4, 4])

    weight = helper.make_tensor('w', TensorProto.FLOAT, [2], [1, 2])
    outside = helper.make_tensor('o', TensorProto.FLOAT, [2], [1, 2])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key='location', value='../x')
    inner = helper.make_graph([helper.make_node('Relu', ['image'], ['inner'])], 'inner', [],
                              [value('inner')])
    branch = helper.make_node('If', ['image'], ['depth'], then_branch=inner, else_branch=inner)
    relu = helper.make_node('Add', ['image', 'w'], ['semantic'])
    graphs = [
        helper.make_graph([relu, branch], 'g', [value('image')],
                          [value('semantic'), value('depth'), value('more')], [weight]),
        helper.make_graph([relu], 'g', [value('image')], [value('semantic')], [outside])]
    return [helper.make_model(graph).SerializeToString() for graph in graphs]


@cache
def cache_folder() -> tuple[Path, int]:
    folder = scratch_folder()
    return folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def engine_cache(data: bytes) -> None:
    """A file of the engine cache."""
    folder, handle = cache_folder()
    path = folder / f'{KEY.stem()}.engine'
    path.write_bytes(data)
    with suppress(DamagedError):
        read_entry(handle, KEY)


def entries() -> list[bytes]:
    folder, handle = cache_folder()
    write_entry(handle, KEY, b'engine' * 20)
    whole = (folder / f'{KEY.stem()}.engine').read_bytes()
    return [whole, whole[:HEADER.size]]


TARGETS = {
    'model card: values': Target(card, lambda: [bytes(8), bytes(range(64))], 256),
    'model card: text': Target(card_file, card_texts, 2048),
    'ONNX file': Target(onnx, onnx_seeds, 1024),
    'engine cache': Target(engine_cache, entries, 1024),
}
