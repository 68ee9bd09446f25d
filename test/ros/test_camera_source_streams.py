"""The camera source with network cameras that go, come back, or hang, over real DDS."""

from collections.abc import Iterator
import signal
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from running_source import cameras, pixels, stamp
from stream_servers import Hanging, HEIGHT, Mjpeg, Rtsp, Server, STEP, WIDTH


@pytest.fixture
def camera() -> Iterator[Any]:
    """A function that starts a camera source with parameters."""
    with cameras() as start:
        yield start


@pytest.mark.parametrize(('kind', 'scheme'), [(Mjpeg, 'http'), (Rtsp, 'rtsp')])
def test_a_network_camera_that_was_away_comes_back(camera, kind, scheme):
    server = Server(kind)
    source = camera(source=f'{scheme}://someone:secret@127.0.0.1:{server.port}/stream')
    messages = source.collect('image', 12)
    assert (messages[0].width, messages[0].height, messages[0].encoding) == (WIDTH, HEIGHT, 'bgr8')
    # The same picture in every pixel, and the next one a step brighter: none is torn or old.
    assert all(np.ptp(pixels(message)) <= 2 for message in messages)
    assert STEP in np.abs(np.diff([int(pixels(message)[0, 0]) for message in messages]))
    server.kill()
    seen = len(messages)
    source.spin(1.0)
    back = Server(kind, server.port)
    try:
        source.collect('image', max(seen, len(messages)) + 10, 30)
        ages = np.subtract(source.arrivals, [stamp(message) for message in messages]) / 1e9
        assert 0 <= ages.min() < 1
    finally:
        source.process.send_signal(signal.SIGINT)
        code, output = source.wait()
        back.kill()
    assert code == 0
    assert f'stream {scheme}://127.0.0.1:{server.port}/stream' in output
    assert 'trying again in 0.5 s' in output
    assert 'secret' not in output


def test_a_camera_that_hangs_does_not_hold_up_the_end(camera):
    server = Server(Hanging)
    source = camera(source=f'http://127.0.0.1:{server.port}/stream')
    source.spin_until(lambda: server.connections)
    source.process.send_signal(signal.SIGTERM)
    code, output = source.wait()   # not for as long as the camera
    assert code == 0, output
    server.kill()
