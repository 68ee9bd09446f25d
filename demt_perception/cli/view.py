"""Show a running perception node live in the browser; for people without RViz."""

import argparse
import errno
import sys

PORT = 8420


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt view``."""
    parser.add_argument('--node', default='/demt_perception',
                        help='full name of the perception node (default: /demt_perception)')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to listen on (default: 127.0.0.1, this machine only; '
                        '0.0.0.0: everybody who reaches this machine sees the pictures)')
    parser.add_argument('--port', type=int, default=PORT,
                        help=f'port to listen on; 0 takes a free one (default: {PORT})')


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return the exit code."""
    from demt_perception.ros.ending import note_signals

    reasons = note_signals()   # before rclpy, whose import takes long
    from demt_perception.ros.view import run as serve
    from demt_perception.view.guard import is_loopback
    from demt_perception.view.server import ViewServer

    if not 0 <= args.port <= 65535:
        print(f'demt view: --port is {args.port}, want 0 to 65535', file=sys.stderr)
        return 2
    node = args.node if args.node.startswith('/') else f'/{args.node}'

    def ready(server: ViewServer) -> None:
        print(f'{node} at {server.url}\nCtrl-C ends it', flush=True)
        if not is_loopback(args.host):
            print('everybody who reaches this machine can see the pictures: there is no password',
                  flush=True)

    try:
        serve(node, args.host, args.port, ready, reasons)
    except OSError as error:
        # What is not the port's fault is the address': unknown, or of another machine.
        option = '--port' if error.errno in (errno.EADDRINUSE, errno.EACCES) else '--host'
        print(f'demt view: cannot listen on {args.host}:{args.port}: {error.strerror}; '
              f'choose another by {option}', file=sys.stderr)
        return 1
    return 0
