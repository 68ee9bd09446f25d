"""Which ROS domains are alive around here, told without taking part in any. No rclpy.

Every participant of a DDS domain announces itself to a multicast group every few seconds, on a
port that follows from the domain, and keeps unicast ports that follow from it, too (DDSI-RTPS 2.5,
section 9.6.2).
"""

from pathlib import Path
import random
import select
import socket
import struct
import time

GROUP = '239.255.0.1'
# Fast DDS announces every 3 s.
SECONDS = 3.5
# Beyond, the ports are those that Linux gives to anybody.
LAST = 101
_BASE, _STEP = 7400, 250
_FIRST_UNICAST, _MOST_PARTICIPANTS = 10, 50


def domains_alive(seconds: float = SECONDS) -> set[int]:
    """Return the domains up to 101 with a participant on this machine, or heard on its network."""
    return domains_in_use() | _heard(seconds)


def domains_in_use() -> set[int]:
    """Return the domains up to 101 with a participant on this machine."""
    return domains_of_ports(_udp_ports())


def unused_domain() -> int:
    """Return a random domain from 1 to 100 in which nothing runs on this machine."""
    taken, domains = domains_in_use(), range(1, LAST)
    return random.choice([domain for domain in domains if domain not in taken] or domains)


def domains_of_ports(ports: set[int]) -> set[int]:
    """Return the domains that bound UDP ports tell of."""
    found = set()
    for port in ports:
        domain, offset = divmod(port - _BASE, _STEP)
        if 0 <= domain <= LAST and (
                0 <= offset - _FIRST_UNICAST < 2 * _MOST_PARTICIPANTS):
            found.add(domain)
    return found


def _udp_ports() -> set[int]:
    table = Path('/proc/net/udp')
    if not table.is_file():
        return set()
    return {int(line.split()[1].rpartition(':')[2], 16)
            for line in table.read_text().splitlines()[1:]}


def _heard(seconds: float) -> set[int]:
    """Listen to the announcements in all domains."""
    domains: dict[socket.socket, int] = {}
    heard = set()
    try:
        for domain in range(LAST + 1):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            domains[one] = domain
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((GROUP, _BASE + _STEP * domain))
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                           struct.pack('=4sl', socket.inet_aton(GROUP), socket.INADDR_ANY))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for one in select.select(list(domains), [], [], left)[0]:
                if one.recv(4).startswith(b'RTPS'):
                    heard.add(domains[one])
    except OSError:
        pass  # no network, or none with multicast: nothing can be heard
    finally:
        for one in domains:
            one.close()
    return heard
