"""Targets: what the server of `demt view` reads. It has no websocket: the page asks by GET."""

import contextlib
from email.message import Message
from functools import cache
import re
import socket

from drawing import Draw
from fuzz_target import Target
from view.view_testing import NAMES, put_all, state, TOPICS

from demt_perception.view import guard, server
from demt_perception.view.hub import Hub
from demt_perception.view.viewers import Viewers

LONGEST_ANSWER = 2 ** 20
SECONDS = 5.0


@cache
def listening() -> tuple[Hub, server.ViewServer]:
    """Return a hub with a frame of every topic, and its server, which only lends its handler."""
    hub = Hub(state(topics=[]))
    hub.set_state(state(), TOPICS, {'': NAMES})
    return hub, server.ViewServer('127.0.0.1', 0, hub)


@cache
def handler() -> type:
    """Return the server's handler, but for an option that only sockets of TCP have."""
    kind = listening()[1].RequestHandlerClass
    return type('Handler', (kind,), {'disable_nagle_algorithm': False})


def request(data: bytes) -> None:
    """All bytes of a connection: an answer of HTTP for each request, and then its end."""
    hub, serving = listening()
    put_all(hub, 5)
    ours, theirs = socket.socketpair()
    patience, server.PATIENCE = server.PATIENCE, 0.0   # moments are answered at once
    with ours, theirs, contextlib.ExitStack() as after:
        after.callback(setattr, server, 'PATIENCE', patience)
        ours.settimeout(SECONDS)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 ** 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 ** 22)
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        handler()(theirs, ('127.0.0.1', 1), serving)
        theirs.close()
        answer = b''.join(iter(lambda: ours.recv(2 ** 16), b''))
    hub._viewers = Viewers()
    assert len(answer) < LONGEST_ANSWER
    first = data.partition(b'\n')[0].decode('latin-1').strip()   # as the library reads it
    assert answer or not first, 'a request without an answer'


def requests() -> list[bytes]:
    host = b'Host: localhost\r\n'
    ask = b'/moment?viewer=abcdefgh&version=0&number=0&width=320&probing=1'
    return [
        b'GET %s HTTP/1.1\r\n%s\r\n' % (path, host) for path in (
            b'/', b'/view.js', ask + b'&show=/n/semantic/overlay&have=0',
            b'/values?viewer=abcdefgh&camera=&u=0.5&v=0.5')] + [
        b'GET %s HTTP/1.1\r\n%s\r\nGET /values?viewer=abcdefgh&camera=&u=1e0&v=0 HTTP/1.1\r\n%s'
        b'\r\n' % (ask + b'&show=/n/depth/image&have=5', host, host),
        b'POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc', b'GET /\r\n',
        b'GET http://[::1]/ HTTP/1.1\r\n' + host + b'\r\n',
        b'GET / HTTP/1.1\r\nHost: [::1]:8420\r\nOrigin: http://[::1]:8420\r\n'
        b'Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n\r\n']


def headers(data: bytes) -> None:
    """Headers of a request: another host, or a page of one, is never let in."""
    draw = Draw(data)
    found = Message()
    for _ in range(draw.unsigned() % 4):
        name = draw.pick(('Host', 'Origin', 'Sec-Fetch-Site', 'Sec-Fetch-Mode', 'Content-Length'))
        other = draw.bytes(draw.unsigned() % 32).decode('latin-1')
        found[name] = draw.pick(('localhost', 'http://localhost', '[::1]:1', '127.0.0.1', '0',
                                 'same-origin', other))
    reason = guard.refusal(found, entry=bool(draw.unsigned() % 2))
    host = found.get('Host', '')
    if not reason:
        name = host.lower().rpartition(':')[0] if re.search(r':\d*$', host) and not (
            host.endswith(']')) else host.lower()
        own = socket.gethostname().lower()
        assert re.fullmatch(r'[\d.]+|\[[0-9a-f:.%\w]+\]', name) or name in (
            'localhost', own, f'{own}.local'), host
        assert found.get('Origin', f'http://{host}').lower() == f'http://{host}'.lower()


TARGETS = {
    'view: request': Target(request, requests, 512),
    'view: headers': Target(headers, lambda: [bytes([2, 0, 0, 1, 1, 0]), bytes(range(40))], 256),
}
