import argparse

import pytest

from demt_perception.cli import view
from demt_perception.view.guard import is_loopback


def test_the_page_is_for_this_machine_unless_it_is_said_otherwise():
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    assert is_loopback(parser.parse_args([]).host)


@pytest.mark.parametrize(('host', 'own'), [
    ('127.0.0.1', True), ('127.8.8.8', True), ('::1', True), ('localhost', True),
    ('0.0.0.0', False), ('::', False), ('192.168.1.2', False), ('localhost.evil', False),
    ('', False)])
def test_what_only_this_machine_reaches(host, own):
    assert is_loopback(host) is own
