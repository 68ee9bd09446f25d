from dataclasses import replace
import hashlib
import math
import shutil

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest
import yaml

from demt_perception.model_card import (
    CARD_FILE,
    card_from_dict,
    file_sha256,
    load_card,
    ModelCard,
    ModelCardError,
    read_onnx,
    save_card,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(),
    st.binary(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8)


@pytest.fixture
def values(tiny_model):
    return yaml.safe_load((tiny_model / CARD_FILE).read_text())


def test_shipped_card_loads(tiny_model):
    card = load_card(tiny_model)
    assert card.input_size == (96, 160)
    assert card.palette[0] == (200, 30, 30)
    assert isinstance(card.focal, float)


def test_save_then_load_gives_the_same_card(tiny_model, tmp_path):
    card = replace(load_card(tiny_model), metrics={'camvid': {'miou': 0.61}}, licence='é ü 道')
    save_card(card, tmp_path)
    assert load_card(tmp_path) == card


@pytest.mark.parametrize(('key', 'value'), [
    ('name', ''), ('name', 5), ('tasks', []), ('tasks', ['flow']), ('tasks', 'semseg'),
    ('tasks', ['semseg', 'semseg']), ('classes', []), ('classes', ['a'] * 256),
    ('classes', ['red', 'green', 7]), ('palette', [[0, 0, 0]]), ('palette', [[0, 0, 256]] * 3),
    ('palette', [[0, 0]] * 3), ('palette', [[0, 0, 0.5]] * 3), ('input_size', [96]),
    ('input_size', [95, 160]), ('input_size', [0, 160]), ('input_size', [96, 32000]),
    ('input_size', [96.0, 160]), ('size_multiple', 0), ('size_multiple', True),
    ('mean', [1, 2]), ('mean', [1, 2, math.nan]), ('mean', [math.inf, 0, 0]), ('std', [1, 1, 0]),
    ('std', [1, 1, math.inf]), ('std', [1, 1, -1]), ('focal', 0), ('focal', math.nan),
    ('focal', '100'), ('focal', math.inf), ('focal', 10 ** 400), ('assumed_hfov', 180),
    ('assumed_hfov', math.nan), ('depth_range', [1, 1]), ('depth_range', [0, 5]),
    ('depth_range', [1, math.inf]), ('depth_range', [math.nan, 5]), ('onnx', '../model.onnx'),
    ('onnx', '/etc/passwd'), ('onnx', ''), ('onnx', '..'), ('onnx', 'a\0b'),
    ('onnx_sha256', 'A' * 64), ('onnx_sha256', 'a' * 63), ('onnx_sha256', 'a' * 64 + '\n'),
    ('temperature', 0), ('temperature', math.nan), ('temperature', True),
    ('uncertainty_factor', -1), ('uncertainty_factor', math.inf), ('metrics', []),
    ('training', None), ('licence', None),
])
def test_each_wrong_value_is_refused_by_name(values, key, value):
    with pytest.raises(ModelCardError, match=key):
        card_from_dict({**values, key: value})


def test_a_card_says_which_outputs_its_graph_has(values):
    always = ['semantic', 'confidence', 'depth', 'normals', 'boundary']
    assert list(card_from_dict({**values, 'uncertainty_factor': 0}).outputs) == always
    outputs = card_from_dict(values).outputs
    assert set(outputs) == {*always, 'depth_uncertainty'}
    assert outputs['depth_uncertainty'] == outputs['depth'] == ((1,), 'float32')
    with pytest.raises(ModelCardError, match=r'uncertainty_factor.*want 0 with the tasks semseg'):
        card_from_dict({**values, 'tasks': ['semseg']})


@pytest.mark.parametrize('wrong', [None, [], 'text', 3])
def test_no_mapping_is_refused(wrong):
    with pytest.raises(ModelCardError, match='mapping'):
        card_from_dict(wrong)


def test_unknown_and_missing_keys_are_named(values):
    del values['mean']
    with pytest.raises(ModelCardError, match=r'colour.*missing.*mean'):
        card_from_dict({**values, 'colour': 1})


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_change_gives_a_card_or_a_card_error(values, data):
    changed = dict(values)
    for key in data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=3)):
        changed[key] = data.draw(VALUES)
    try:
        card = card_from_dict(changed)
    except ModelCardError:
        return
    assert isinstance(card, ModelCard)
    assert all(math.isfinite(v) for v in (*card.mean, *card.std, card.focal, *card.depth_range))


@given(VALUES)
@settings(max_examples=200)
def test_any_values_give_a_card_or_a_card_error(wrong):
    with pytest.raises(ModelCardError):
        card_from_dict(wrong)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode('utf-8')))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_file_gives_a_card_error(tmp_path, content):
    (tmp_path / CARD_FILE).write_bytes(content)
    with pytest.raises(ModelCardError):
        load_card(tmp_path)


@pytest.mark.parametrize('text', [
    '&a [*a]', 'a: &a\n  b: *a', '[' * 5000, 'a: 2000-13-45', '? [1]\n: 2', '? {a: b}\n: 1',
    '!!python/object/apply:os.system ["true"]', 'a: !!binary "x"', '1: 2\nx: 3',
    'a: 1:99999999999:3', '- ' * 3000, 'a: !!float "x"', 'a: !!int "x"', '!!set {a, [b]}',
    'a: !!timestamp "x"', 'a: 0b', 'a: 0x_', '!!omap [1]', '!!pairs 3', '\x00', '\x7f: 1',
])
def test_nasty_yaml_gives_a_card_error(tmp_path, text):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelCardError):
        load_card(tmp_path)


@given(st.text(alphabet='!&*[]{}:,?-|>%@`"\'#\n abc019._x', max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
def test_any_yaml_syntax_gives_a_card_error(tmp_path, text):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelCardError):
        load_card(tmp_path)


def test_missing_card_names_the_file(tmp_path):
    with pytest.raises(ModelCardError, match=r'card\.yaml'):
        load_card(tmp_path)


def test_graph_is_returned_as_verified(tiny_model):
    card = load_card(tiny_model)
    content = read_onnx(card, tiny_model)
    assert hashlib.sha256(content).hexdigest() == card.onnx_sha256
    assert file_sha256(tiny_model / card.onnx) == card.onnx_sha256


def test_changed_or_missing_graph_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / 'model')
    card = load_card(folder)
    graph = folder / card.onnx
    graph.write_bytes(graph.read_bytes()[:-1] + b'\0')
    with pytest.raises(ModelCardError, match='SHA-256'):
        read_onnx(card, folder)
    graph.unlink()
    with pytest.raises(ModelCardError, match='cannot be read'):
        read_onnx(card, folder)


def test_aliases_that_loop_or_multiply_are_refused(values):
    loop = {}
    loop['self'] = loop
    laughs = ['ha']
    for _ in range(12):
        laughs = [laughs] * 10
    for wrong in (loop, {'laughs': laughs}):
        with pytest.raises(ModelCardError, match='metrics'):
            card_from_dict({**values, 'metrics': wrong})


def test_huge_numbers_are_refused(values):
    for changed in ({**values, 16 ** 5000: 1}, {**values, 'focal': 16 ** 5000},
                    {**values, 'input_size': [16 ** 5000, 32]}, {**values, 'name': 16 ** 5000}):
        with pytest.raises(ModelCardError):
            card_from_dict(changed)
