"""A held-out part made of whole groups of images, close to a share of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The share of the missing images for which small groups are exchanged at a time.
_SHARE = 1 / 16


def hold_out_groups(
    labels: NDArray[Any], groups: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which of n images are held out, (n,): whole groups, at random.

    Groups are taken in random order. Each is held out if that brings the numbers of held
    out images of each class closer to `fraction` of all (the sum of squared differences),
    and every class keeps an image. Then groups are exchanged one by one, those that do the
    classes least harm, while that brings the number of all images closer to `fraction`.
    A class that is in one group only stays on the other side.

    Parameters
    ----------
    labels, groups
        (n,); groups are numbered from 0, without gaps.
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
    order = rng.permutation(len(chosen.held_out))
    for group in order.tolist():
        if chosen.gain(group) > 0:
            chosen.exchange(group)
    while found := chosen.nearer(order):
        for group in found:
            if chosen.held_out[group] or chosen.gain(group) > -np.inf:
                chosen.exchange(group)
    held_out: NDArray[np.bool_] = chosen.held_out[groups]
    return held_out


class _Choice:
    """The groups that are held out, and how many images of each class are missing."""

    def __init__(
        self, numbers: NDArray[np.intp], groups: NDArray[np.int64], fraction: float
    ) -> None:
        from scipy.sparse import coo_array

        ones = np.ones(len(numbers), np.int64)
        # How many images of each class a group has, (groups, classes).
        self.table: Any = coo_array((ones, (groups, numbers))).tocsr()
        # Images that are not held out, by class.
        self.left = np.bincount(numbers)
        self.missing = fraction * self.left
        self.sizes = np.bincount(groups)
        self.squares = self.table.power(2).sum(axis=1)
        self.held_out = np.zeros(len(self.sizes), np.bool_)

    def gain(self, group: int) -> float:
        """Return by how much the sum of squares falls if a group is held out.

        It is -inf if a class would keep no image.
        """
        classes, sizes = self._row(group)
        if (self.left[classes] <= sizes).any():
            return -np.inf
        return float(2 * sizes @ self.missing[classes] - self.squares[group])

    def exchange(self, group: int) -> None:
        """Move a group to the other side."""
        classes, sizes = self._row(group)
        sign = -1 if self.held_out[group] else 1
        self.missing[classes] -= sign * sizes
        self.left[classes] -= sign * sizes
        self.held_out[group] = sign > 0

    def nearer(self, order: NDArray[np.intp]) -> list[int]:
        """Return the best groups whose exchange brings the number of images closer.

        Many small ones, for a share of the images that are missing; none: there is none. The
        first group may leave too many, rather than none; the last one stays.
        """
        missing = self.missing.sum()
        signs = np.where(self.held_out, -1, 1)
        allowed = abs(missing - signs * self.sizes) < abs(missing) - 1e-9
        n_held_out = self.held_out.sum()
        if n_held_out < 2:
            allowed = ~self.held_out & (allowed | (n_held_out == 0))
        # Groups without which a class would keep no image.
        needed = np.logical_or.reduceat(
            self.left[self.table.indices] <= self.table.data, self.table.indptr[:-1]
        )
        allowed &= self.held_out | ~needed
        gains = 2 * signs * (self.table @ self.missing) - self.squares
        candidates = order[allowed[order]]
        ranked = candidates[np.argsort(-gains[candidates], kind="stable")]
        share = np.searchsorted(np.cumsum(self.sizes[ranked]), _SHARE * abs(missing), "right")
        found: list[int] = ranked[: 1 if n_held_out < 2 else max(1, share)].tolist()
        return found

    def _row(self, group: int) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """Return the classes of a group, and how many images it has of each."""
        place = slice(*self.table.indptr[group : group + 2])
        return self.table.indices[place], self.table.data[place]
