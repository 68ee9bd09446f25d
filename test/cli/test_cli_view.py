"""What `demt view` says where it cannot listen; no page is opened."""

import os
import socket

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from demt_perception.cli.main import main


@pytest.fixture(autouse=True)
def no_signals(monkeypatch):
    monkeypatch.setattr('demt_perception.ros.ending.note_signals', lambda: None)


def test_a_taken_port_is_to_be_changed(capsys):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        assert main(['view', '--port', str(port)]) == 1
    assert f'cannot listen on 127.0.0.1:{port}: {os.strerror(98)}; choose another by --port' in (
        capsys.readouterr().err)


@pytest.mark.parametrize('host', ['192.0.2.1', 'no.such.host.invalid'])
def test_an_address_of_another_machine_is_to_be_changed(host, capsys):
    assert main(['view', '--host', host, '--port', '0']) == 1
    said = capsys.readouterr().err
    assert f'cannot listen on {host}:0: ' in said
    assert said.endswith('; choose another by --host\n')
