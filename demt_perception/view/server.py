"""Serves the page, and to each viewer the moments that it asks for. Reads only, GET only."""

from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import io
import json
import math
from pathlib import Path
import re
import socket
from socketserver import TCPServer
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from demt_perception.inference.spare_threads import Work
from demt_perception.view import guard
from demt_perception.view.hub import ClosedError, Hub
from demt_perception.view.moments import pack
from demt_perception.view.viewers import LEASE, TooManyViewersError

MAX_CONNECTIONS = 48
MAX_SHOWN = 12
HEAD_SECONDS = 5.0
"""From a connection to the end of its first request's head."""
PATIENCE = 1.0
PART = 1 << 16
"""Bytes of an answer that are sent at a time."""
_PAGE = Path(__file__).parent / 'page'
_TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8',
          '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml'}
_NAME = re.compile(r'[0-9a-z]{8,40}')


class RequestError(ValueError):
    """A request that no page of ours sends; the text says what is wrong."""


class ViewServer(ThreadingHTTPServer):
    """A web server for one hub. ``serve_forever`` runs it, ``shutdown`` ends that."""

    daemon_threads = True   # who still writes to a slow viewer does not hold up the end
    request_queue_size = 16

    def __init__(self, host: str, port: int, hub: Hub) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        if ':' in host:
            self.address_family = socket.AF_INET6
        self.hub = hub
        self.files = {f'/{path.name}': (path.read_bytes(), _TYPES[path.suffix])
                      for path in sorted(_PAGE.iterdir()) if path.suffix in _TYPES}
        self.files['/'] = self.files.pop('/index.html')
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is, for a browser on this machine."""
        host, port = self.server_address[:2]
        name = str(host)
        if name in ('0.0.0.0', '::'):
            name = 'localhost'
        return f'http://{f"[{name}]" if ":" in name else name}:{port}/'

    def server_bind(self) -> None:
        """Listen, without the library's look-up of this machine's name, which can take long."""
        # Connections have it from here. With more, an answer would count as sent that is under way
        # for seconds still, over a slow link.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PART)
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in another thread, unless too many are at work."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        Work(self.process_request_thread, request, client_address, name='view').start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a viewer that leaves in the middle of an answer is no error."""


class _Heads(io.RawIOBase):
    """What a client sends, up to a time: each byte alone would come within any other limit."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.end = time.monotonic() + HEAD_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        limit = self._connection.gettimeout()
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(limit)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: ViewServer
    timeout = 15.0   # for a client that asks no more, or takes less than a part of an answer
    disable_nagle_algorithm = True

    # What the library itself refuses: plain, too.
    error_content_type = 'text/plain; charset=utf-8'
    error_message_format = '%(code)d %(message)s\n'

    def setup(self) -> None:
        """Read within limits of time."""
        super().setup()
        self.rfile.close()
        self._heads = _Heads(self.connection)
        self.rfile = io.BufferedReader(self._heads)

    def handle_one_request(self) -> None:
        """Answer, and give the next request its time."""
        super().handle_one_request()
        self._heads.end = time.monotonic() + self.timeout

    def parse_request(self) -> bool:
        """Go on with GET only, whatever other methods there may be."""
        if not super().parse_request():
            return False
        if self.command == 'GET':
            return True
        self.close_connection = True   # a body may follow
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, b'want GET: nothing can be changed here\n')
        return False

    def do_GET(self) -> None:
        """Answer with a file of the page, a moment, or values."""
        try:
            target = urlsplit(self.path)
        except ValueError as error:   # `//[`: half an address of IPv6
            self.close_connection = True
            return self._answer(HTTPStatus.BAD_REQUEST, f'{error}\n'.encode())
        reason = guard.refusal(self.headers, entry=target.path == '/')
        if reason:
            self.close_connection = True
            return self._answer(HTTPStatus.FORBIDDEN, f'{reason}\n'.encode())
        if target.path in self.server.files:
            return self._answer(HTTPStatus.OK, *self.server.files[target.path])
        route = {'/moment': self._moment, '/values': self._values}.get(target.path)
        if route is None:
            return self._answer(HTTPStatus.NOT_FOUND, b'there is no such page here\n')
        try:
            query = parse_qs(target.query, keep_blank_values=True, max_num_fields=64,
                             errors='strict')
            body, kind = route(query)
            viewer = _viewer(query)
        except (TooManyViewersError, ClosedError) as error:
            self.close_connection = True
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f'{error}\n'.encode())
        except ValueError as error:   # ours, and those of urllib
            return self._answer(HTTPStatus.BAD_REQUEST, f'{error}\n'.encode())
        self._answer(HTTPStatus.OK, body, kind, viewer)

    def _moment(self, query: Mapping[str, list[str]]) -> tuple[bytes, str]:
        topics, numbers = query.get('show', []), query.get('have', [])
        if len(topics) != len(numbers) or len(topics) > MAX_SHOWN:
            raise RequestError(f'{len(topics)} times show and {len(numbers)} times have: want as '
                               f'many, {MAX_SHOWN} at most')
        moment = self.server.hub.next(
            _viewer(query), {topic: _whole(number) for topic, number in zip(topics, numbers,
                                                                             strict=True)},
            _whole(_one(query, 'version')), _whole(_one(query, 'number')),
            _one(query, 'probing') == '1', PATIENCE)
        return pack(moment, _whole(_one(query, 'width'))), 'application/octet-stream'

    def _values(self, query: Mapping[str, list[str]]) -> tuple[bytes, str]:
        texts = self.server.hub.values(_viewer(query), _one(query, 'camera'),
                                       _part(_one(query, 'u')), _part(_one(query, 'v')))
        return json.dumps(texts, allow_nan=False).encode(), 'application/json'

    def _answer(self, status: HTTPStatus, body: bytes,
                kind: str = 'text/plain; charset=utf-8', viewer: str = '') -> None:
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        for name, value in guard.HEADERS.items():
            self.send_header(name, value)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header('Allow', 'GET')
        self.end_headers()
        if self.command != 'HEAD':
            # As one it would have the time limit as a whole, however well it goes.
            try:
                for begin in range(0, len(body), PART):
                    self.server.hub.renew(viewer, self.timeout)
                    self.wfile.write(memoryview(body)[begin:begin + PART])
            finally:
                self.server.hub.renew(viewer, LEASE)

    def version_string(self) -> str:
        """Return the Server header: not which Python this is."""
        return 'demt'

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a moment is asked for many times a second."""


def _one(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name, [''])
    if len(values) != 1:
        raise RequestError(f'{name} is given {len(values)} times, want once')
    return values[0]


def _viewer(query: Mapping[str, list[str]]) -> str:
    name = _one(query, 'viewer')
    if not _NAME.fullmatch(name):
        raise RequestError(f'viewer is {name[:40]!r}, want 8 to 40 of 0-9 and a-z')
    return name


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestError(f'a number is {text[:40]!r}, want 1 to 19 digits')
    return int(text)


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise RequestError(f'a place is {text[:40]!r}, want 0 to 1')
    return value
