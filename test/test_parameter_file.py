import pytest
import yaml

from demt_perception.parameter_file import node_parameters

NODE = '/robot/demt_perception'


def entry(value):
    return {'ros__parameters': {'value': value}}


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of one entry for each name, 0, 1 and so on."""
    def write(*names):
        path = tmp_path / 'params.yaml'
        path.write_text(yaml.safe_dump({name: entry(value) for value, name in enumerate(names)},
                                       sort_keys=False))
        return path
    return write


# Those that rclpy itself takes: see the test below.
@pytest.mark.parametrize(('names', 'value'), [
    (['/**'], 0), (['/*/demt_perception'], 0), (['/**/demt_perception'], 0), ([NODE], 0),
    (['robot/demt_perception'], 0), (['/robot/*'], 0), (['/robot/**'], 0),
    (['/*'], None), (['demt_perception'], None), (['/demt_perception'], None),
    ([NODE, '/**'], 1), (['/**', NODE], 1), (['/**', '/other'], 0)])
def test_a_node_finds_its_entry(file, names, value):
    path = file(*names)
    assert node_parameters(path, NODE).get('value') == value
    assert as_rclpy_has_it(path).get('value') == value


def as_rclpy_has_it(path):
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from rclpy.context import Context
    context = Context()
    context.init(args=['--ros-args', '--params-file', str(path)])
    try:
        node = rclpy.create_node('demt_perception', namespace='/robot', context=context,
                                 start_parameter_services=False, enable_rosout=False)
        return {name: value.value for name, value in node._parameter_overrides.items()}
    finally:
        context.try_shutdown()


def test_namespaces_may_be_written_as_levels(tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text(yaml.safe_dump({'robot': {'demt_perception': entry(1), 'camera': entry(2)}}))
    assert node_parameters(path, NODE) == as_rclpy_has_it(path) == {'value': 1}


@pytest.mark.parametrize('text', [
    '', '# a: 5', '/**: 5', '/**: {ros__parameters: 5}', '5', '[a]', 'a: ['])
def test_what_is_no_parameter_file_holds_nothing_or_is_refused(tmp_path, text):
    path = tmp_path / 'params.yaml'
    path.write_text(text)
    if text.startswith(('/**', '#')) or not text:
        assert node_parameters(path, NODE) == {}
    else:
        with pytest.raises(ValueError, match=r'no parameter file|not YAML'):
            node_parameters(path, NODE)
