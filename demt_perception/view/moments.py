"""The wire format of a moment: one answer with everything that is new, pictures included.

Four bytes, the length of a JSON text, little endian; the JSON text in UTF-8; then the JPEGs that
its ``pictures`` list in that order, each with its ``size`` in bytes. One answer and not five, so
that all pictures on a page are of one frame, and a viewer needs one connection.
"""

import json
import struct
import time
from typing import Any

from demt_perception.view.hub import Moment


def pack(moment: Moment, width: int) -> bytes:
    """Return a moment for the wire.

    Args:
        moment: as the hub gave it.
        width: wanted of the pictures, pixels.
    """
    pictures, blobs = [], []
    now = time.time()
    for topic, frame in moment.pictures.items():
        # The stamp as text: JavaScript's numbers cannot hold nanoseconds.
        entry: dict[str, Any] = {'topic': topic, 'stamp': str(frame.stamp),
                                 'number': frame.number, 'size': 0,
                                 'age_ms': round(now * 1e3 - frame.stamp / 1e6, 1)}
        try:
            blob = frame.jpeg(width)
            height, full = frame.pixels.shape[:2]
            entry |= {'size': len(blob), 'width': full, 'height': height}
            blobs.append(blob)
        except ValueError as error:
            entry['error'] = str(error)
        pictures.append(entry)
    head = json.dumps({
        'pictures': pictures, 'state': moment.state, 'version': moment.version, 'time': now,
        'reports': moment.reports, 'complete': moment.complete}, allow_nan=False).encode()
    return b''.join([struct.pack('<I', len(head)), head, *blobs])
