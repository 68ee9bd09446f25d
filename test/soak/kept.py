"""What each kind of fault leaves in the node's heap, where the soak sees pages of memory only.

    python test/soak/kept.py --count 20 --blocks 3 --out out/kept
    python test/soak/kept.py 'load model' size

One kind after the other is injected ``count`` times, ``blocks`` times over; before and after each
block the node is taken down to unconfigured, which frees its model, and says what malloc has in
use. What is kept once (a cache, a library's first use) falls from block to block; a leak does not.
``nothing`` is the way down and up alone. Needs glibc 2.33 or later.
"""

import argparse
from itertools import pairwise
import json
import os
from pathlib import Path
import random
import signal
import sys
import time

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parent / 'ros')]

from node_testing import environment

FIRST = 5
"""Times that a kind is injected before the first measurement."""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('kinds', nargs='*', help='names of faults (default: all)')
    parser.add_argument('--count', type=int, default=20, help='times in a block (default: 20)')
    parser.add_argument('--blocks', type=int, default=3, help='default: 3')
    parser.add_argument('--model', type=Path,
                        default=HERE.parents[1] / 'models' / 'demt_driving_fast')
    parser.add_argument('--engine', default='onnxruntime')
    parser.add_argument('--out', type=Path, default=Path('out/kept'))
    options = parser.parse_args(arguments)
    (options.out / 'engines').mkdir(mode=0o700, parents=True, exist_ok=True)
    told = options.out.resolve() / 'told.json'
    environ, domain = environment()
    environ['DEMT_CACHE'] = str(options.out / 'engines')
    environ['PYTHONPATH'] = f'{HERE / "kept_site"}:{HERE.parents[1]}'
    os.environ.update(environ)
    environ['DEMT_KEPT'] = str(told)   # of the node alone
    rows = measure(options, environ, domain, told)
    (options.out / 'kept.json').write_text(json.dumps(rows, indent=1) + '\n')
    return 0


def measure(options, environ, domain, told):
    """Return, and print, {kind: kB kept by each fault, of every block}."""
    from soak_faults import HEAVY, LIGHT
    from soak_world import World

    faults = {'nothing': nothing, **LIGHT, **HEAVY}
    rng, rows = random.Random(1), {}
    with open(options.out / 'kept.jsonl', 'w', encoding='utf-8') as file:
        world = World(environ, domain, options.model, file, 5.0, engine=options.engine,
                      max_age=5.0)
        try:
            world.start()
            print('| kind | kept by each, kB, block by block |\n|---|---|')
            for name in options.kinds or faults:
                found = []
                for times in (FIRST, *[options.count] * options.blocks):
                    for _ in range(times):
                        world.inject(name, faults[name], rng)
                    found.append(in_use(world, told)['bytes'])
                rows[name] = [round((b - a) / options.count / 1024, 2) for a, b in pairwise(found)]
                print(f'| {name} | {", ".join(map(str, rows[name]))} |', flush=True)
        finally:
            world.close()
    return rows


def nothing(world, rng, undo):
    """Let some frames come."""
    world.spin(0.2)
    return 'nothing'


def in_use(world, told):
    """Return what the unconfigured node has in use."""
    world.change_state('deactivate', 'cleanup')
    world.spin(0.5)
    told.unlink(missing_ok=True)
    os.kill(world.node.process.pid, signal.SIGUSR2)
    until = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < until, 'the node did not say what it has in use'
        world.spin(0.1)
    found = json.loads(told.read_text())
    world.change_state('configure', 'activate')
    return found


if __name__ == '__main__':
    sys.exit(main())
