"""Which requests a server on this machine answers: those of its own page, in one browser tab.

A server on loopback is reached by every web page that a browser on this machine shows. Three
things keep them out. The Host header must be an address or a name of this machine, as no name
that an attacker makes point here can be (DNS rebinding). Origin, and Sec-Fetch-Site where the
browser sends it, must be the page's own. And nothing is answered that changes anything.
"""

from email.message import Message
import ipaddress
import socket

HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-store',
}
"""Of every answer: the page loads nothing from elsewhere, and nobody else may embed it."""


def refusal(headers: Message, entry: bool) -> str:
    """Return why a request is refused, or ''.

    Args:
        headers: of the request.
        entry: the page itself is asked for: a link elsewhere may lead there.
    """
    if any(len(headers.get_all(name, [])) > 1 for name in ('Host', 'Origin')):
        return 'Host or Origin is given twice, want each once'
    host = headers.get('Host', '')
    if not is_own(host):
        return (f'Host is {host[:80]!r}, want an address or the name of this machine: open the '
                'page by the address that `demt view` prints')
    origin = headers.get('Origin')
    if origin is not None and origin.lower() != f'http://{host.lower()}':
        return f'Origin is {origin[:80]!r}, want http://{host}: another page may not ask'
    site = headers.get('Sec-Fetch-Site', 'same-origin')
    visit = entry and headers.get('Sec-Fetch-Mode') == 'navigate'
    if site not in ('same-origin', 'none') and not visit:
        return f'Sec-Fetch-Site is {site[:20]!r}, want same-origin: another page may not ask'
    if headers.get('Content-Length', '0') != '0' or 'Transfer-Encoding' in headers:
        return 'the request has a body, want none'
    return ''


def is_own(host: str) -> bool:
    """Tell whether a Host header names this machine, by address or by name; any port."""
    name, colon, port = host.lower().rpartition(':')
    if not colon or port.endswith(']'):
        name = host.lower()
    elif not (port.isascii() and port.isdigit()):
        return False
    if name.startswith('[') and name.endswith(']'):
        return _is_address(name[1:-1], 6)
    own = socket.gethostname().lower()
    return name in ('localhost', own, f'{own}.local') or _is_address(name, 4)


def is_loopback(address: str) -> bool:
    """Tell whether an address to listen on is reached from this machine only."""
    try:
        return address == 'localhost' or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
