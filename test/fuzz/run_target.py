"""Fuzz one target with atheris, in a process of its own: `campaign.py` starts it.

    python test/fuzz/run_target.py 'ONNX file' CORPUS [options of libFuzzer]
"""

from pathlib import Path
import sys

import atheris

HERE = Path(__file__).parent
INSTRUMENTED = ['demt_perception', 'mcap', 'drawing']
"""Coverage guides the search through these; with everything instrumented it is slow."""

sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]
from all_targets import find_target


def main() -> None:
    """Hand the target and its seeds to libFuzzer, which ends the process."""
    name, corpus, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = find_target(name)
        for number, seed in enumerate(target.seeds()):
            (Path(corpus) / f'seed_{number}').write_bytes(seed)
            target.run(seed)   # now, so that what it imports is instrumented, too
    atheris.Setup([sys.argv[0], corpus, f'-max_len={target.longest}', *options], target.run)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
