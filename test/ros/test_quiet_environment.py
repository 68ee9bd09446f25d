"""The environment of `make demo` and of the benches: our nodes among themselves."""

import pytest

from demt_perception.ros.processes import quiet_environment


@pytest.mark.parametrize(('distro', 'kept', 'profile'), [
    ('humble', '1', 'fastdds_localhost.xml'), ('jazzy', None, 'fastdds.xml')])
def test_what_keeps_nodes_on_this_machine_is_kept(monkeypatch, tmp_path, distro, kept, profile):
    """Humble has nothing but ROS_LOCALHOST_ONLY, later ones say that it is out of date."""
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
                 'FASTDDS_BUILTIN_TRANSPORTS'):
        monkeypatch.delenv(name, raising=False)
    for name, value in {'ROS_DISTRO': distro, 'ROS_LOCALHOST_ONLY': '1',
                        'ROS_STATIC_PEERS': '10.0.0.1'}.items():
        monkeypatch.setenv(name, value)
    environ = quiet_environment(tmp_path)
    assert environ.get('ROS_LOCALHOST_ONLY') == kept
    assert environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert environ['FASTRTPS_DEFAULT_PROFILES_FILE'].endswith(f'/{profile}')
    assert 'ROS_STATIC_PEERS' not in environ
