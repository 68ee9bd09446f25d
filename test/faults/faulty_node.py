"""The perception node, whose engine does what a file says: see ``Fault``.

    python test/faults/faulty_node.py [NAME=SECONDS ...] --ros-args ...

NAME is a limit of the node's, such as ``pipeline.FEWEST``.
"""

import ctypes
from importlib import import_module
import itertools
import os
from pathlib import Path
import sys
import tempfile
import time

FIRST = 4
"""Runs of an engine that belong to its loading: they go well."""

ROOT = Path(__file__).resolve().parents[2]


def fault_file(process):
    """Return the file that tells the engines of a process, by its number, what to do."""
    return Path(tempfile.gettempdir()) / f'demt_fault_{process}'


def wrapped(engine):
    """Return an engine that runs as before, unless the file has one or more words.

    Once it is loaded: throw; nan (the real outputs, one value of each is NaN); hang SECONDS; slow
    SECONDS; hold SECONDS (hang with Python's global lock). With ``once`` behind, the file is
    removed first.
    """
    run, path, runs = engine.run, fault_file(os.getpid()), itertools.count()

    def faulty(image):
        if next(runs) < FIRST or not path.exists():
            return run(image)
        kind, *more = path.read_text().split()
        if 'once' in more:
            path.unlink()
        if kind == 'throw':
            from demt_perception.inference import EngineError
            raise EngineError('thrown by a test')
        if kind in ('hang', 'slow'):
            time.sleep(float(more[0]))
        if kind == 'hold':
            ctypes.PyDLL(None).sleep(int(more[0]))
        outputs = run(image)
        if kind == 'nan':
            for value in outputs.values():
                if value.dtype == 'float32':
                    value[..., -1, -1] = float('nan')
        return outputs

    engine.run = faulty
    return engine


def main():
    """Run the node; return its exit code."""
    own, _, ros = ' '.join(sys.argv[1:]).partition('--ros-args')
    from demt_perception.ros.ending import note_signals

    reasons = note_signals()
    fault_file(os.getpid()).unlink(missing_ok=True)   # of another process of this number
    from demt_perception.inference import predictor
    from demt_perception.ros.node_process import run

    for name, seconds in (word.split('=') for word in own.split()):
        module, _, limit = name.partition('.')
        setattr(import_module(f'demt_perception.ros.{module}'), limit, float(seconds))
    create = predictor.create_engine
    predictor.create_engine = lambda *arguments: wrapped(create(*arguments))
    return run(sys.argv, reasons)


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
