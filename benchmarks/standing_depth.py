"""Depth of photographs without a depth label: of what stands, against the ground at its foot.

    python benchmarks/standing_depth.py MODEL CAMVID [--split val] [--every 3]

Both depths are the model's; where they stand on each other the labelled classes say. On held-out
renders 93 % of the house fronts and 98 % of the poles are within 20 % of the ground at their foot
by their true depth (``losses/standing.py``), so that a model that knows depth comes near that.
"""

import argparse
from pathlib import Path
import sys

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demt_perception.inference import Predictor
from demt_perception.training.datasets.camvid import CamVid, CLASSES
from demt_perception.training.losses.standing import depth_of_feet, feet

GROUND, STANDS = ('road', 'pavement'), ('building', 'pole', 'car')
NEAR = 0.2   # of the logarithm


def main() -> None:
    """Print, for each class, how far it is beside its foot, and the share that is near to it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model')
    parser.add_argument('camvid')
    parser.add_argument('--split', default='val')
    parser.add_argument('--every', type=int, default=3, help='take every n-th picture')
    parser.add_argument('--engine', default='auto')
    args = parser.parse_args()
    predictor = Predictor(args.model, args.engine)
    ground, stands = ([CLASSES.index(name) for name in some] for some in (GROUND, STANDS))
    ratios: dict[int, list[np.ndarray]] = {number: [] for number in stands}
    dataset = CamVid(args.camvid, args.split)
    for index in range(0, len(dataset), args.every):
        sample = dataset[index]
        depth = predictor.predict(cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)).depth
        # As in training, at half the size.
        classes = torch.from_numpy(sample.semseg[::2, ::2].astype(np.int64))[None]
        depth = torch.from_numpy(np.ascontiguousarray(depth[::2, ::2]))[None]
        foot, counts = feet(classes, ground, stands)
        ratio = depth / depth_of_feet(depth, foot)
        for number, found in ratios.items():
            found.append(ratio[counts & (classes == number)].numpy())
    print('class         pixels  own depth / foot, p5 p50 p95  within 20 %')
    for number, found in ratios.items():
        all_of = np.concatenate(found)
        known = all_of[np.isfinite(all_of)]   # else taken for sky: not near to it either
        if not len(known):
            print(f'{CLASSES[number]:10} {len(all_of):9}')
            continue
        low, middle, high = np.percentile(known, (5, 50, 95))
        near = (np.abs(np.log(known)) < NEAR).sum() / len(all_of)
        print(f'{CLASSES[number]:10} {len(all_of):9}  {low:10.2f} {middle:6.2f} {high:6.2f} '
              f'{near:16.3f}')


if __name__ == '__main__':
    main()
