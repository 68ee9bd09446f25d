"""Commands to a process of the benchmark: a JSON object a line on its standard input."""

import json
import queue
import sys
import threading
from typing import Any


def read_commands() -> 'queue.Queue[dict[str, Any] | None]':
    """Return a queue that a thread fills with commands; None where the input has ended."""
    commands: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            commands.put(json.loads(line))
        commands.put(None)

    threading.Thread(target=read, daemon=True).start()
    return commands
