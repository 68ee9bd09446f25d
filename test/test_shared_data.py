from pathlib import Path

from shared_data import folder


def test_large_data_are_beside_the_checkout_or_where_the_environment_says():
    beside = Path(__file__).resolve().parents[2] / 'shared'
    assert folder({}) == folder({'DEMT_TEST_DATA': ''}) == beside
    assert folder({'DEMT_TEST_DATA': '/mnt/data'}) == Path('/mnt/data')
    assert folder({'DEMT_TEST_DATA': '~/data'}) == Path.home() / 'data'
