"""Run by torchrun in tests: train as `demt train` does, say how the weights are held, maybe die.

Usage: shards.py CONFIG LAST; with LAST above 0 the process dies after that step, unsaved.
"""

import os
import sys

from torch.distributed.tensor import DTensor

from demt_perception.networks.backbones import swin
from demt_perception.training import trainer
from demt_perception.training.config import load_config


def main(path, last):
    """Train."""
    config = load_config(path)
    real = trainer.Run._step

    def step(run, pieces):
        if last and run.step == last:
            os._exit(9)
        if pieces is not None and run.step == last - 1:
            values = [p for p in run.network.parameters() if isinstance(p, DTensor)]
            held = sum(p.to_local().numel() for p in values)
            print(f'rank {run.fabric.global_rank} holds {held} of '
                  f'{sum(p.numel() for p in run.network.parameters())} weights', flush=True)
        return real(run, pieces)

    trainer.Run._step = step
    # Stochastic depth is drawn by each process for itself.
    swin._drop_path = lambda x, *_: x
    trainer.train(config)


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))
