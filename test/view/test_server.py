"""The server in plain Python: the wire format, and every request that it must not answer."""

from html.parser import HTMLParser
import http.client
import json
from pathlib import Path
import re
import socket
import struct
import time

import cv2
from hypothesis import given, settings, strategies
import numpy as np
import pytest
from view_testing import frame, put_all, SIZE

import demt_perception.view
from demt_perception.view import guard
from demt_perception.view import hub as hubs
from demt_perception.view import server as servers
from demt_perception.view.server import MAX_SHOWN
from demt_perception.view.viewers import MAX_VIEWERS

PAGE = Path(demt_perception.view.__file__).parent / 'page'
ASK = '/moment?viewer=abcdefgh&version=0&number=0&width=320&probing=0'


def get(server, path, method='GET', body=None, **headers):
    """Return status, headers and body of a request."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    headers = {name.replace('_', '-'): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {'Host': f'127.0.0.1:{port}', **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def unpack(body):
    (length,) = struct.unpack_from('<I', body)
    head = json.loads(body[4:4 + length])
    at = 4 + length
    blobs = []
    for picture in head['pictures']:
        blobs.append(body[at:at + picture['size']])
        at += picture['size']
    assert at == len(body)
    return head, blobs


def read_slowly(server, path, wait):
    """Return how much of an answer comes to a client that takes 64 kB, waits, and so on."""
    came = 0
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.connect(server.server_address)
        connection.sendall(f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
                           .encode())
        try:
            while part := connection.recv(1 << 16):
                came += len(part)
                wait()
        except ConnectionResetError:
            pass
    return came


def test_a_client_that_reads_slowly_gets_all(server, monkeypatch):
    monkeypatch.setattr(servers._Handler, 'timeout', 1.0)
    server.files['/large'] = bytes(3 << 20), 'text/plain'
    begin = time.monotonic()
    assert read_slowly(server, '/large', lambda: time.sleep(0.05)) > 3 << 20
    assert time.monotonic() - begin > 2


def test_a_client_that_takes_nothing_is_left(server, monkeypatch):
    monkeypatch.setattr(servers._Handler, 'timeout', 0.2)
    server.files['/large'] = bytes(3 << 20), 'text/plain'
    assert read_slowly(server, '/large', lambda: time.sleep(2.0)) < 3 << 20


def seconds_until_left(connection, wait):
    """Return for how long a client is listened to that sends one byte after the other."""
    connection.settimeout(wait)
    begin = time.monotonic()
    while time.monotonic() - begin < 8:
        try:
            connection.sendall(b'a')
            if not connection.recv(1):
                break
        except TimeoutError:
            pass
        except ConnectionError:
            break
    return time.monotonic() - begin


@pytest.mark.parametrize('wait', [0.2, 0.0001])
def test_a_request_that_comes_byte_by_byte_is_given_up(server, monkeypatch, wait):
    monkeypatch.setattr(servers, 'HEAD_SECONDS', 1.0)
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nX: ')
        assert seconds_until_left(connection, wait) < 4


def test_so_is_one_after_another(server, monkeypatch):
    monkeypatch.setattr(servers, 'HEAD_SECONDS', 0.5)
    monkeypatch.setattr(servers._Handler, 'timeout', 1.5)
    request = b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    with socket.create_connection(server.server_address, timeout=20) as connection:
        for wait in 0.8, 0:   # a client that rests between its requests is not
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, bool(answer.read())) == (200, True)
            time.sleep(wait)
        assert seconds_until_left(connection, 0.2) < 4


def test_a_request_in_parts_is_answered(server):
    with socket.create_connection(server.server_address, timeout=20) as connection:
        for part in b'GET / HT', b'TP/1.1\r\nHost: local', b'host\r\n\r', b'\n':
            connection.sendall(part)
            time.sleep(0.1)
        assert connection.recv(1 << 16).startswith(b'HTTP/1.1 200')


def test_a_viewer_is_there_while_its_answer_is_sent(server, hub, monkeypatch):
    for module in servers, hubs:
        monkeypatch.setattr(module, 'LEASE', 1.0)
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1200, 3), np.uint8)
    hub.put('/n/semantic/overlay', frame(noise, 1))
    wanted = []

    def wait():
        time.sleep(0.1)
        wanted.append(hub.wanted())

    path = f'{ASK.replace("width=320", "width=1280")}&show=/n/semantic/overlay&have=0'
    begin = time.monotonic()
    assert read_slowly(server, path, wait) > 900_000
    assert time.monotonic() - begin > 2
    assert set(wanted) == {(True, frozenset({'/n/semantic/overlay'}))}
    while hub.wanted()[0]:   # for the lease, and not for as long as a part may take
        assert time.monotonic() - begin < servers._Handler.timeout
        time.sleep(0.01)


def test_every_file_of_the_page_is_served(server):
    for path in PAGE.iterdir():
        name = '' if path.name == 'index.html' else path.name
        status, headers, body = get(server, f'/{name}')
        assert (status, body) == (200, path.read_bytes())
        assert headers['X-Content-Type-Options'] == 'nosniff'


def test_a_moment_holds_state_and_pictures(server, hub):
    put_all(hub, 1_700_000_000_123_456_789)
    status, _, body = get(
        server, f'{ASK}&show=/n/semantic/overlay&have=0&show=/n/boundary/image&have=0')
    head, blobs = unpack(body)
    assert status == 200
    assert head['state']['node'] == '/n'
    assert [picture['topic'] for picture in head['pictures']] == [
        '/n/semantic/overlay', '/n/boundary/image']
    assert {picture['stamp'] for picture in head['pictures']} == {'1700000000123456789'}
    assert all(picture['number'] > 0 for picture in head['pictures'])   # 0 is 'none yet'
    for blob in blobs:
        picture = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[:2] == SIZE


def test_a_damaged_picture_does_not_spoil_the_others(server, hub):
    put_all(hub, 5)
    _, _, body = get(
        server, f'{ASK}&show=/n/depth/image&have=0&show=/n/boundary/image&have=0')
    head, blobs = unpack(body)
    assert 'no picture' in head['pictures'][0]['error']
    assert blobs[0] == b''
    assert blobs[1].startswith(b'\xff\xd8')


def test_values_are_json(server, hub):
    put_all(hub, 5)
    get(server, f'{ASK.replace("probing=0", "probing=1")}&show=/n/semantic/overlay&have=0')
    status, headers, body = get(server, '/values?viewer=abcdefgh&camera=&u=0.9&v=0.5')
    assert (status, headers['Content-Type']) == (200, 'application/json')
    assert [value['title'] for value in json.loads(body)] == [
        'Class', 'Depth', 'Normals', 'Boundary']


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', '',
    '127.0.0.1:80:80', '127.0.0.1:x', '[::1', '127.1', '0x7f.0.0.1', 'localhost,evil.example'])
def test_a_host_that_is_not_this_machine_is_refused(server, host):
    status, headers, body = get(server, '/', Host=host)
    assert status == 403
    assert b'Host' in body
    assert 'Access-Control-Allow-Origin' not in headers


@pytest.mark.parametrize('host', ['localhost:8420', '127.0.0.1', '[::1]:8420', 'LOCALHOST',
                                  '192.168.1.7:8420', socket.gethostname()])
def test_a_host_that_is_this_machine_is_answered(server, host):
    assert get(server, '/', Host=host)[0] == 200


@pytest.mark.parametrize(('headers', 'path', 'status'), [
    ({'Origin': 'http://evil.example'}, ASK, 403),
    ({'Origin': 'null'}, ASK, 403),
    ({'Origin': 'https://127.0.0.1:{port}'}, ASK, 403),
    ({'Origin': 'http://127.0.0.1:1'}, ASK, 403),
    ({'Origin': 'http://127.0.0.1:{port}'}, ASK, 200),
    ({'Sec_Fetch_Site': 'cross-site'}, ASK, 403),
    ({'Sec_Fetch_Site': 'same-site'}, '/view.js', 403),
    ({'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'navigate'}, ASK, 403),
    ({'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'no-cors'}, '/', 403),
    ({'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'navigate'}, '/', 200),
    ({'Sec_Fetch_Site': 'same-origin'}, ASK, 200),
    ({'Sec_Fetch_Site': 'none'}, '/', 200),
])
def test_another_page_may_not_ask(server, headers, path, status):
    port = server.server_address[1]
    headers = {name: value.format(port=port) for name, value in headers.items()}
    assert get(server, path, **headers)[0] == status


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE',
                                    'BREW'])
def test_nothing_but_get_is_answered(server, method):
    status, headers, _ = get(server, '/', method)
    assert (status, headers['Allow']) == (405, 'GET')


def test_a_body_is_refused(server):
    assert get(server, '/', body=b'x' * 10)[0] == 403
    assert get(server, '/', Transfer_Encoding='chunked')[0] == 403


@pytest.mark.parametrize('path', [
    '/../setup.py', '/%2e%2e/hub.py', '//etc/passwd', '/page/view.js', '/index.html/', '/hub.py'])
def test_no_other_file_is_served(server, path):
    assert get(server, path)[0] == 404


@pytest.mark.parametrize('change', [
    ('viewer=abcdefgh', 'viewer='), ('viewer=abcdefgh', 'viewer=<script>'),
    ('viewer=abcdefgh', ''), ('version=0', 'version=-1'), ('version=0', 'version=1e3'),
    ('width=320', 'width=' + '9' * 30), ('number=0', 'number=0&number=1'),
    ('width=320', 'width=320&show=/a'), ('width=320', 'width=320&have=0'),
    ('width=320', 'width=320' + '&show=/a&have=0' * (MAX_SHOWN + 1)),
    ('width=320', 'width=320' + '&x=1' * 100), ('width=320', 'width=%ff'),
])
def test_a_wrong_request_is_told_what_is_wrong(server, change):
    status, headers, body = get(server, ASK.replace(*change))
    assert status == 400
    assert headers['Content-Type'].startswith('text/plain')
    assert body


@pytest.mark.parametrize('place', ['u=nan&v=0', 'u=0&v=2', 'u=0&v=-1', 'u=0', 'u=inf&v=1'])
def test_a_place_outside_the_picture_is_refused(server, place):
    assert get(server, f'/values?viewer=abcdefgh&camera=&{place}')[0] == 400


def test_one_viewer_too_many_is_told(server):
    statuses = [get(server, ASK.replace('abcdefgh', f'abcdefgh{number}'))[0]
                for number in range(MAX_VIEWERS + 1)]
    assert statuses == [200] * MAX_VIEWERS + [503]


def test_no_bytes_bring_the_server_down(server):
    @given(strategies.binary(max_size=300).filter(lambda noise: b'moment' not in noise))
    @settings(max_examples=60, deadline=None)
    def send(noise):
        with socket.create_connection(server.server_address, timeout=20) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            answer = b''.join(iter(lambda: connection.recv(1 << 16), b''))
        assert b'Traceback' not in answer
        assert not answer.startswith(b'HTTP/1.1 200')   # without a Host header

    send()
    assert get(server, '/')[0] == 200


def test_the_page_needs_nothing_from_elsewhere():
    found = []

    class Links(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.extend(
                value for name, value in attributes if name in ('src', 'href'))
            assert not [name for name, _ in attributes if name.startswith('on')], tag
            assert 'style' not in dict(attributes)

    Links().feed((PAGE / 'index.html').read_text())
    assert found
    assert set(found) <= {path.name for path in PAGE.iterdir()}
    for path in PAGE.iterdir():
        text = path.read_text().replace('http://www.w3.org/2000/svg', '')
        assert not re.search(r'https?://|@import|url\(', text), path.name
        # Names come from outside: they are set as text, never parsed.
        assert not re.search(r'innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b', text)
    for name, value in guard.HEADERS.items():
        assert 'unsafe' not in value, name


def test_every_element_that_scripts_ask_for_exists():
    html = (PAGE / 'index.html').read_text()
    for path in PAGE.glob('*.js'):
        for name in re.findall(r"byId\('([\w-]+)'\)", path.read_text()):
            assert f'id="{name}"' in html, f'{path.name}: {name}'


def test_a_taken_port_is_an_error_and_every_address_can_be_named(server, hub):
    from demt_perception.view.server import ViewServer
    with pytest.raises(OSError, match='in use'):
        ViewServer('127.0.0.1', server.server_address[1], hub)
    assert server.url == f'http://127.0.0.1:{server.server_address[1]}/'
    with ViewServer('0.0.0.0', 0, hub) as everywhere:
        assert everywhere.url.startswith('http://localhost:')
    assert guard.is_loopback('127.0.0.1')
    assert guard.is_loopback('::1')
    assert not guard.is_loopback('0.0.0.0')
    assert not guard.is_loopback('robot')
