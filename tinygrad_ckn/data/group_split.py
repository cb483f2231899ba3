"""A held-out part made of whole groups of images, close to a share of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hold_out_groups(
    labels: NDArray[Any], groups: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which of n images are held out, (n,): whole groups, at random.

    Groups are taken in random order. Each is held out if that brings the numbers of held
    out images of each class closer to `fraction` of all (the sum of squared differences),
    and every class keeps an image. Then groups are exchanged one by one, those that do the
    classes least harm, while that brings the number of all images closer to `fraction`.

    Parameters
    ----------
    labels, groups
        (n,); groups are numbered from 0.
    fraction
        Strictly between 0 and 1.
    rng
        Of the order of the groups.

    Examples
    --------
    >>> groups = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    >>> hold_out_groups(np.zeros(8), groups, 0.5, np.random.default_rng(0)).sum().item()
    4
    """
    chosen = _Choice(np.unique(labels, return_inverse=True)[1], groups, fraction)
    order: list[int] = rng.permutation(len(chosen.held_out)).tolist()
    for group in order:
        if chosen.gain(group) > 0:
            chosen.exchange(group)
    while (found := chosen.nearer(order)) is not None:
        chosen.exchange(found)
    held_out: NDArray[np.bool_] = chosen.held_out[groups]
    return held_out


class _Choice:
    """The groups that are held out, and how many images of each class are missing."""

    def __init__(
        self, numbers: NDArray[np.intp], groups: NDArray[np.int64], fraction: float
    ) -> None:
        counts = np.bincount(numbers)
        self.missing = fraction * counts
        # Images that are not held out.
        self.left = counts
        ends = np.cumsum(np.bincount(groups))[:-1]
        by_group = np.split(numbers[np.argsort(groups, kind="stable")], ends)
        # Class numbers of each group, and how many images it has of each.
        self.members = [np.unique(part, return_counts=True) for part in by_group]
        self.sizes = [int(sizes.sum()) for _, sizes in self.members]
        self.held_out = np.zeros(len(by_group), np.bool_)

    def gain(self, group: int) -> float:
        """Return by how much the sum of squares falls if a group changes sides."""
        classes, sizes = self.members[group]
        sign = -1 if self.held_out[group] else 1
        if sign > 0 and (self.left[classes] <= sizes).any():
            return -np.inf
        return float(sizes @ (sign * 2 * self.missing[classes] - sizes))

    def exchange(self, group: int) -> None:
        """Move a group to the other side."""
        classes, sizes = self.members[group]
        sign = -1 if self.held_out[group] else 1
        self.missing[classes] -= sign * sizes
        self.left[classes] -= sign * sizes
        self.held_out[group] = sign > 0

    def nearer(self, order: list[int]) -> int | None:
        """Return the best group whose exchange brings the number of images closer.

        None: there is none. The first group may leave too many, rather than none.
        """
        missing = float(self.missing.sum())
        empty = not self.held_out.any()
        best, best_gain = None, -np.inf
        for group in order:
            size = -self.sizes[group] if self.held_out[group] else self.sizes[group]
            is_nearer = abs(missing - size) < abs(missing) - 1e-9
            if (empty or is_nearer) and (gain := self.gain(group)) > best_gain:
                is_last = self.held_out[group] and self.held_out.sum() == 1
                best, best_gain = (best, best_gain) if is_last else (group, gain)
        return best
