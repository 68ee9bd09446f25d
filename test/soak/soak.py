"""Soak: the real node at full rate over DDS for hours, with faults injected at random.

    python test/soak/soak.py --seconds 9700 --seed 1 --out out/soak

Everything is written to ``soak.jsonl`` as it happens, and the report is made of that file, by this
program at its end or by ``soak_report.py`` at any time.
"""

import argparse
import os
from pathlib import Path
import platform
import random
import signal
import sys
import time

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parent / 'ros')]

from node_testing import environment

CALM = (0.3, 1.0)
"""Between two faults, as shares of 7 s, or of a hundredth of a shorter soak."""
MAX_AGE = 2.0
"""Seconds; the default of 0.5 would drop frames for the load of a machine that others use."""
RESTARTS, WARM_UP = 0.1, 0.37
"""Shares of the time: the node is restarted up to the first, and judged from the second on.

The second is an hour of 9,700 s. So long the heap of a node that is configured again and again
spreads over more pages, ever slower: see docs/reliability.md.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=9700)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--sampling', type=float, default=5.0, help='seconds between samples')
    parser.add_argument('--model', type=Path,
                        default=HERE.parents[1] / 'models' / 'demt_driving_fast')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--only', nargs='*', default=(), help='names of faults')
    parser.add_argument('--out', type=Path, default=Path('out/soak'))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    environ, domain = environment()
    environ['DEMT_CACHE'] = str(options.out / 'engines')
    environ['PYTHONPATH'] = str(HERE.parents[1])
    (options.out / 'engines').mkdir(mode=0o700, exist_ok=True)
    # Fast DDS reads them when the participant is made, here.
    os.environ.update(environ)
    soak(options, environ, domain)
    from soak_report import main as report
    return report([str(options.out)])


def soak(options, environ, domain):
    """Run, and write ``soak.jsonl``."""
    from soak_faults import HEAVY, LIGHT, restart
    from soak_world import World

    faults = {**LIGHT, **HEAVY, 'restart': restart}
    rng = random.Random(options.seed)
    stopped = []
    with open(options.out / 'soak.jsonl', 'w', encoding='utf-8') as file:
        world = World(environ, domain, options.model, file, options.sampling,
                      engine=options.engine, max_age=MAX_AGE)
        # After rclpy, which has handlers of its own.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.append(True))
        world.write('begin', seconds=options.seconds, seed=options.seed,
                    model=options.model.name, engine=options.engine, warm_up=WARM_UP,
                    max_age=MAX_AGE, samples_every=options.sampling,
                    date=time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()),
                    python=platform.python_version(), cores=os.cpu_count(), load=os.getloadavg())
        try:
            world.start()
            begin, deck = time.monotonic(), []
            while (past := time.monotonic() - begin) < options.seconds and not stopped:
                if not deck:   # each once, so that rare ones come too
                    deck = [name for part in (LIGHT, HEAVY) for name in rng.sample(
                        sorted(part), len(part)) if name in (options.only or faults)]
                    if past < RESTARTS * options.seconds and not options.only:
                        deck.append('restart')
                name = deck.pop()
                try:
                    world.inject(name, faults[name], rng)
                    world.spin(rng.uniform(*CALM) * min(7.0, options.seconds / 100))
                except Exception as error:   # of the driver: it must go on for hours
                    world.write('driver_error', error=repr(error), fault=name)
                world.write('load', load=os.getloadavg()[0])
        finally:
            world.close()


if __name__ == '__main__':
    sys.exit(main())
