"""Network cameras for tests: real servers of MJPEG over HTTP and of RTSP, that can be killed."""

from collections.abc import Iterator
import contextlib
import http.server
import itertools
import socket
import socketserver
import struct
import threading
import time

import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 64, 48, 30
STEP = 5


def pictures() -> Iterator[bytes]:
    """Yield JPEGs, each brighter than the last, as fast as a camera."""
    for index in itertools.count():
        picture = np.full((HEIGHT, WIDTH, 3), STEP * index % 250, np.uint8)
        yield cv2.imencode('.jpg', picture)[1].tobytes()
        time.sleep(1 / RATE)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves on a port of its own, or a given one: a camera that comes back has its address."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type, port: int = 0) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(('127.0.0.1', port), handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request, client_address) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """Say nothing: clients go."""

    def kill(self) -> None:
        """Go away as a camera does whose power is cut."""
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)


class Mjpeg(http.server.BaseHTTPRequestHandler):
    """MJPEG over HTTP, as cheap network cameras have it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
        self.end_headers()
        for data in pictures():
            self.wfile.write(b'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n'
                             % len(data) + data + b'\r\n')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Hanging(http.server.BaseHTTPRequestHandler):
    """A camera that takes the connection and then says nothing, for ever."""

    def do_GET(self) -> None:
        time.sleep(1000)


class Rtsp(socketserver.StreamRequestHandler):
    """RTSP (RFC 2326) with JPEG over RTP (RFC 2435) in the same connection."""

    def handle(self) -> None:
        while True:
            request = self.rfile.readline().decode().split()
            if not request:
                return
            headers = {}
            while line := self.rfile.readline().decode().strip():
                name, _, value = line.partition(':')
                headers[name.lower()] = value.strip()
            verb = request[0]
            body, more = '', ''
            if verb == 'OPTIONS':
                more = 'Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n'
            elif verb == 'DESCRIBE':
                body = ('v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n'
                        'm=video 0 RTP/AVP 26\r\na=control:video\r\n')
                more = f'Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n'
            elif verb == 'SETUP':
                more = 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n'
            self.wfile.write(
                f'RTSP/1.0 200 OK\r\nCSeq: {headers["cseq"]}\r\n{more}\r\n{body}'.encode())
            if verb == 'PLAY':
                self._play()

    def _play(self) -> None:
        for index, data in enumerate(pictures()):
            tables, scan = _parts(data)
            # Offset 0, type 1 (4:2:0), Q 255: the tables follow.
            header = struct.pack('>IBBBBBBH', 0, 1, 255, WIDTH // 8, HEIGHT // 8, 0, 0,
                                 len(tables)) + tables
            packet = struct.pack('>BBHII', 0x80, 0x80 | 26, index & 0xffff,
                                 index * 90_000 // RATE, 1) + header + scan
            self.wfile.write(b'$\0' + struct.pack('>H', len(packet)) + packet)


def _parts(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return the quantisation tables and the coded picture of a JPEG."""
    tables, at = b'', 2
    while True:
        marker, length = jpeg[at + 1], struct.unpack('>H', jpeg[at + 2:at + 4])[0]
        segment = jpeg[at + 4:at + 2 + length]
        at += 2 + length
        if marker == 0xdb:  # one or several tables of 64 bytes behind their number
            tables += b''.join(segment[i + 1:i + 65] for i in range(0, len(segment), 65))
        if marker == 0xda:
            return tables, jpeg[at:-2]
