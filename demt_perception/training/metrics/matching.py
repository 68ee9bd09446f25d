"""One-to-one matching of boundary pixels within a distance: how many can be matched.

The Berkeley benchmark (``correspondPixels``) solves a minimum-cost assignment in which leaving
a pixel unmatched costs 100 times the greatest distance. Precision and recall need the number of
matched pairs alone, and there the cheapest assignment is one of maximum cardinality: another
pair saves more than all that it makes dearer, unless it takes a chain of over a hundred moved
pairs. (The benchmark's outliers are also wired at random, six to a pixel, so that its own count
may fall short by a pixel or two; this one does not depend on chance.) So this is bipartite
matching, by augmenting paths, which is exact.

Between one threshold and the next few pixels come and go. Each matching therefore starts from
the last one, and only what came or went is looked at again.
"""

import numpy as np

_FREE, _ABSENT = -1, -2


def pixel_pairs(found: np.ndarray, truth: np.ndarray, distance: float) -> np.ndarray:
    """Return all pairs of a found and a true pixel at most ``distance`` apart, nearest first.

    Args:
        found: int (N, 2), rows and columns of the found pixels.
        truth: bool (H, W), the true boundary; its pixels are counted in row-major order.
        distance: greatest distance in pixels, inclusive.

    Returns:
        int64 (M, 2): index of the found pixel, index of the true pixel.
    """
    reach = int(distance)
    number = np.full((truth.shape[0] + 2 * reach, truth.shape[1] + 2 * reach), -1)
    rows, columns = np.nonzero(truth)
    number[rows + reach, columns + reach] = np.arange(len(rows))
    window = np.arange(-reach, reach + 1)
    squared = window[:, None] ** 2 + window ** 2
    near = np.argsort(squared, axis=None, kind='stable')[:(squared <= distance ** 2).sum()]
    pairs = []
    for down, right in zip(*np.unravel_index(near, squared.shape), strict=True):
        other = number[found[:, 0] + down, found[:, 1] + right]
        here = np.flatnonzero(other >= 0)
        pairs.append(np.stack((here, other[here]), 1))
    return np.concatenate(pairs)


def matching_sizes(pairs: np.ndarray, present: np.ndarray, others: int) -> np.ndarray:
    """Return the size of the maximum matching of each of several sets of found pixels.

    Args:
        pairs: int (M, 2) of pairs that may be matched, see `pixel_pairs`.
        present: bool (K, N): which found pixels each set has. Any sets will do; it is fast where
            neighbouring sets differ little.
        others: how many true pixels there are.

    Returns:
        int64 (K,): how many found, and as many true, pixels are matched.
    """
    matchable, local = np.unique(pairs[:, 0], return_inverse=True)
    present = present[:, matchable]
    from_found = _lists(local, pairs[:, 1], len(matchable))
    from_truth = _lists(pairs[:, 1], local, others)
    mate_found, mate_truth = [_ABSENT] * len(matchable), [_FREE] * others
    find_truth = _Side(from_found, mate_found, mate_truth)
    find_found = _Side(from_truth, mate_truth, mate_found)
    sizes = np.zeros(len(present), np.int64)
    size, last = 0, np.zeros(len(matchable), bool)
    for index, now in enumerate(present):
        bereft = []
        for pixel in np.flatnonzero(last & ~now).tolist():
            if mate_found[pixel] != _FREE:
                bereft.append(mate_found[pixel])
                mate_truth[mate_found[pixel]] = _FREE
            mate_found[pixel] = _ABSENT
        size -= len(bereft)
        # Every longer matching has to pair one that lost its mate, or one that came. The latter
        # are absent while the former search: a pair of both could hide that two others are free.
        for pixel in bereft:
            size += find_found.augment(pixel, index)
        for pixel in np.flatnonzero(now & ~last).tolist():
            mate_found[pixel] = _FREE
            size += find_truth.augment(pixel, index)
        sizes[index] = size
        last = now
    return sizes


class _Side:
    """Searches from pixels of one side for pixels of the other.

    Args:
        near: for each pixel of this side, those of the other that it may be paired with.
        mate: for each pixel of this side, its mate, `_FREE` or `_ABSENT`; changed by `augment`.
        other_mate: the same of the other side.
    """

    def __init__(self, near: list[list[int]], mate: list[int], other_mate: list[int]):
        self.near, self.mate, self.other_mate = near, mate, other_mate
        # Of the other side: from where it was reached, and in which round without success.
        # No free pixel is to be reached from there while pixels are only paired.
        self.parent, self.dead = [0] * len(other_mate), [-1] * len(other_mate)

    def augment(self, root: int, round_: int) -> bool:
        """Give ``root`` a mate along a shortest augmenting path, moving others; say whether.

        Pixels of the other side may leave, and pixels of this side may come to be without a
        mate, only between rounds.
        """
        near, other_mate, parent, dead = self.near, self.other_mate, self.parent, self.dead
        reached, queue = [], [root]
        for pixel in queue:
            for other in near[pixel]:
                next_pixel = other_mate[other]
                if next_pixel == _ABSENT or dead[other] == round_:
                    continue
                dead[other] = round_
                parent[other] = pixel
                reached.append(other)
                if next_pixel == _FREE:
                    for alive in reached:
                        dead[alive] = -1
                    self._pair(root, other)
                    return True
                queue.append(next_pixel)
        return False

    def _pair(self, root: int, other: int) -> None:
        """Pair along the path that leads from ``root`` to ``other``."""
        while True:
            pixel = self.parent[other]
            before = self.mate[pixel]
            self.mate[pixel], self.other_mate[other] = other, pixel
            if pixel == root:
                return
            other = before


def _lists(keys: np.ndarray, values: np.ndarray, count: int) -> list[list[int]]:
    """Return for each key 0..count-1 the list of its values, in their order."""
    order = np.argsort(keys, kind='stable')
    ends = np.cumsum(np.bincount(keys, minlength=count)).tolist()
    ordered = values[order].tolist()
    return [ordered[start:end] for start, end in zip([0, *ends], ends, strict=False)]
